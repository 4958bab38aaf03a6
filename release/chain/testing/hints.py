"""Hints for an image without the program or module that runs its tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from release.chain.testing.known import CommittedTests
from release.config import Test

NOTHING: Final = CommittedTests()
_WHERE: Final = (
    "are the tests in the image, at the paths of `test.command`? `.dockerignore` and the Dockerfile decide, "
    "and `test.copy` brings files of the commit"
)

_MODULE: Final = re.compile(r"(?:^|\s)-m\s+([A-Za-z_][\w.]*)")
_NOT_FOUND: Final = 127
"""Exit status of a shell and of an engine for a missing program."""


def hint_for_missing_module(
    config: Test, status: int, lines: Iterable[str], commit: CommittedTests = NOTHING
) -> str:
    """Return the hint if `python -m` did not find the module of the command; empty otherwise."""
    if status == 0:
        return ""
    modules = dict.fromkeys(_MODULE.findall(" ".join(config.command)))
    said = [line.rstrip() for line in lines]
    absent = (each for each in modules if any(_is_missing_module_line(line, each) for line in said))
    return next((_line_that_adds(config, each, commit) for each in absent), "")


def hint_for_missing_program(config: Test, status: int | None, commit: CommittedTests = NOTHING) -> str:
    """Return the hint if the command's program is not in the image; empty for another status."""
    return _line_that_adds(config, config.command[0], commit) if status == _NOT_FOUND else ""


def hint_for_missing_tests(config: Test, commit: CommittedTests = NOTHING) -> str:
    """Return the hint for a command that found no tests: a line that copies the commit's tests."""
    if not commit.tests:
        return _WHERE
    top = commit.tests[0]
    if config.target is not None:
        return (
            f"the commit has tests in {top}: if the stage {config.target} lacks them, write "
            f"`COPY {top} {top}` there; else name their path in `test.command`"
        )
    if top in config.copy_:
        return f"the image has {top} in its root, as the commit has it: name that path in `test.command`"
    return (
        f"the commit has tests in {top}: if the image lacks them, write test.copy = "
        f"{_toml_list(config.copy_, top)}; else name their path in the image in `test.command`"
    )


def _is_missing_module_line(line: str, module: str) -> bool:
    """If a line is what runpy says of a module, or of the package that it is in."""
    top = re.escape(module.partition(".")[0])
    name = f"(?:{re.escape(module)}|{top})"
    if re.search(rf": No module named (?:{name}|{name}\.__main__)(?:;.*)?$", line):
        return True
    if re.search(f"^No module named '?{name}'?$", line):  # coverage run -m
        return True
    found = rf"Error while finding module specification for '{re.escape(module)}'.*No module named '{top}"
    return re.search(found, line) is not None


def _line_that_adds(config: Test, what: str, commit: CommittedTests) -> str:
    """Return the settings line that adds a missing module or program."""
    own = what.partition(".")[0]
    if config.target is not None:
        way = f"COPY {own}" if own in commit.names else f"RUN pip install {what}"
        return f"the stage {config.target} (`test.target`) has no {what}: write `{way} ...` there"
    if own in commit.names:
        return f"the image has no {what}: write test.copy = {_toml_list(config.copy_, own)}"
    install = f"test.install = {_toml_list(config.install, what)}"
    if config.install or config.copy_:
        return f"the test image has no {what}: write {install}"
    if commit.stages:
        return (
            f'the image has no {what}: write test.target = "{commit.stages[0]}", a stage of your Dockerfile'
        )
    tests = commit.tests[0] if commit.tests else "tests"
    return f'the image has no {what}: write {install} and test.copy = ["{tests}"]'


def _toml_list(known: Iterable[str], more: str) -> str:
    """Return a TOML list."""
    return json.dumps([*known, more])
