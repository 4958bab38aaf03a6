"""A shell as process 1 of a container: it passes no signal on to the program that it started."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Final

from release.brief import shortened

_SHELLS: Final = ("/bin/sh", "/bin/bash", "/bin/ash", "sh", "bash")
_SIMPLE: Final = re.compile(r"[\w\s./:=,@%+-]+")
"""One command without quotes, variables and operators of a shell."""
_LONGEST: Final = 200


def exec_form(argv: Sequence[str], *, entrypoint: Sequence[str], setting: str) -> str:
    """Return the hint for a command that a shell runs; empty without a shell.

    Args:
        argv: the command that runs.
        entrypoint: the image's ENTRYPOINT.
        setting: the settings that name the command; empty: the image names the command.
    """
    if len(argv) < 3 or argv[0] not in _SHELLS or argv[1] != "-c":
        return ""
    instruction = "ENTRYPOINT" if tuple(entrypoint[:3]) == tuple(argv[:3]) else "CMD"
    text = argv[2].strip()
    words = f"{json.dumps(shlex.split(text))}" if _SIMPLE.fullmatch(text) else ""
    if setting:
        where, like = f"write {setting} without a shell", words
    else:
        where, like = f"write {instruction} in exec form", f"{instruction} {words}" if words else ""
    return f"{where}, {f'as {like}' if like else _instead(text)}: a shell passes no signal on"


def _instead(text: str) -> str:
    return f"in the place of `{shortened(text, _LONGEST)}`"
