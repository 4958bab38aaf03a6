"""The hint for an image that lacks the program or module that runs its tests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from release.config import Test

_MODULE: Final = re.compile(r"(?:^|\s)-m\s+([A-Za-z_][\w.]*)")
_NOT_FOUND: Final = 127
"""The exit status of a shell, and of an engine, for a program that is not there."""


def lacks_module(config: Test, status: int, lines: Iterable[str]) -> str:
    """Return the hint if Python's `-m` did not find a module of the command; empty if it did."""
    if status == 0:
        return ""
    modules = dict.fromkeys(_MODULE.findall(" ".join(config.command)))
    said = [line.rstrip() for line in lines]
    return next((_lacking(config, each) for each in modules if any(_absent(line, each) for line in said)), "")


def lacks_program(config: Test, status: int | None) -> str:
    """Return the hint if the command's program is not in the image; empty if another status tells more."""
    return _lacking(config, config.command[0]) if status == _NOT_FOUND else ""


def _absent(line: str, module: str) -> bool:
    """If a line is what runpy says of a module, or of the package that it is in."""
    top = re.escape(module.partition(".")[0])
    name = f"(?:{re.escape(module)}|{top})"
    if re.search(rf": No module named (?:{name}|{name}\.__main__)(?:;.*)?$", line):
        return True
    if re.search(f"^No module named '?{name}'?$", line):  # coverage run -m
        return True
    found = rf"Error while finding module specification for '{re.escape(module)}'.*No module named '{top}"
    return re.search(found, line) is not None


def _lacking(config: Test, what: str) -> str:
    if config.target is not None:
        return f"the stage {config.target} (`test.target`) has no {what}: install or copy it there"
    if config.install or config.copy_:
        return f"the test image has no {what}: add it to `test.install`, or its files to `test.copy`"
    return (
        f"the image has no {what}: name a stage that has it in `test.target`, or add it with `test.install` "
        "and the folder of the tests with `test.copy`"
    )
