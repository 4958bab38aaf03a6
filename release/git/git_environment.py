"""Environment of every git command: one repository, no questions, no replaced objects."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_NO_GRAFTS: Final = f"{os.devnull}/grafts"
"""A path that cannot exist: `.git/info/grafts` would show another history than the commits have."""

_EMPTY_WHERE_SET: Final = ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX")


def git_environment(root: Path, git_dir: Path, common_dir: Path) -> dict[str, str]:
    """Return variables that fix the repository, its git folder and its common folder."""
    ours = {
        "GIT_DIR": str(git_dir),
        "GIT_WORK_TREE": str(root),
        "GIT_COMMON_DIR": str(common_dir),
        "GIT_INDEX_FILE": str(git_dir / "index"),
        "GIT_TERMINAL_PROMPT": "0",
        "GCM_INTERACTIVE": "never",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": _NO_GRAFTS,
    }
    if "GIT_OBJECT_DIRECTORY" in os.environ:
        ours["GIT_OBJECT_DIRECTORY"] = str(common_dir / "objects")
    ours |= {name: "" for name in _EMPTY_WHERE_SET if name in os.environ}
    return ours
