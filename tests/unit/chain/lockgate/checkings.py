"""Checks of lockfiles in a folder of the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from release.chain.lockgate.checking import LockfileCopy
from release.config import Lock
from release.programs.process import Completed
from release.values import replace


def checking(folder: Path, path: str, content: str, **others: Any) -> LockfileCopy:
    """A check whose tools may not run, unless `others` says so."""
    never: Any = None
    made = LockfileCopy(
        folder=folder,
        home=folder,
        path=path,
        content=content,
        config=Lock(),
        image_python=None,
        python=None,
        requires=None,
        execute=never,
        install=never,
        read_earlier=lambda name: None,
        find_readable_version=lambda reads: None,
    )
    return replace(made, **others)


def ending(status: int, output: str) -> Any:
    """A runner of programs that all end like this."""
    return lambda command: Completed(status=status, output=output)
