"""What `nox -l` and `invoke -l` cost beside the same with an empty file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench.measure import side_by_side, table

RUNS: Final = 15
_FILES: Final = {
    "noxfile.py": "import release\n\nrelease.register()\n",
    "tasks.py": "import release\n\nns = release.namespace()\n",
}
_SETTINGS: Final = '[project]\nname = "api"\nversion = "1.0.0"\n\n[tool.release]\nservice = "api"\n'


def listing(_store: Path, room: Path) -> str:
    """Both doors, in turns with empty ones."""
    for folder in ("ours", "empty"):
        (room / folder).mkdir()
        (room / folder / "pyproject.toml").write_text(_SETTINGS)
        for name, content in _FILES.items():
            (room / folder / name).write_text(content if folder == "ours" else "")
    return table(
        ["", "empty file", "this library", "difference"],
        [_row(program, room) for program in ("nox", "invoke")],
    )


def _row(program: str, room: Path) -> list[str]:
    argv = (str(Path(sys.executable).with_name(program)), "-l")
    listed = subprocess.run(argv, cwd=room / "ours", check=True, capture_output=True, text=True).stdout
    assert {"nox": "smoke", "invoke": "rollback"}[program] in listed
    actions: dict[str, Callable[[int], None]] = {
        folder: partial(_listed, argv, room / folder) for folder in ("ours", "empty")
    }
    figures = side_by_side(actions, RUNS)
    more = (figures["ours"].median - figures["empty"].median) * 1e3
    return [f"`{program} -l`", str(figures["empty"]), str(figures["ours"]), f"{more:+.0f}"]


def _listed(argv: tuple[str, ...], folder: Path, _run: int) -> None:
    """An empty tasks.py makes `invoke -l` end with an error, after all the same work."""
    subprocess.run(argv, cwd=folder, check=False, capture_output=True)
