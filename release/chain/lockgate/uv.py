"""uv.lock: `uv lock --check`, with this library's uv or the version that the project requires."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from release import tomltext
from release.chain.lockgate.checking import Checking, pinned_tool
from release.chain.lockgate.damaged import ANY_TROUBLE, damaged
from release.chain.lockgate.declared import specifier
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked, unreached
from release.chain.lockgate.uvlock import undeclared, uv_packages
from release.chain.pythons import HERE, NO_DOWNLOADS, find_python, is_allowed
from release.chain.tools import find_uv
from release.inherited import PACKAGES
from release.process import Command, Completed

_MEND = "run `uv lock` and commit the result"


def check(found: Checking) -> Answer:
    """Check a uv.lock with uv; without a suitable interpreter, compare the files."""
    try:
        packages = read(found.content)
    except ANY_TROUBLE as error:
        return damaged(found.path, error, found.good(read), "uv lock")
    interpreter = interpreter_of(found)
    if interpreter is None:
        return _compared(found, packages)
    program = uv_program(found)
    if isinstance(program, Unchecked):
        return program
    done = found.execute(
        Command(
            argv=(program, "lock", "--check"),
            cwd=(found.folder / found.path).parent,
            env=NO_DOWNLOADS | {"UV_PYTHON": str(interpreter)},
            inherits=(*PACKAGES, *found.config.pass_env),
        )
    )
    return Fresh(packages=packages) if done.status == 0 else _failure(found, done)


def read(content: str) -> dict[str, str]:
    """Return the packages of a uv.lock that uv reads as well: as `uv_packages`, and it has a `version`."""
    packages = uv_packages(content)
    if not content.strip():
        raise ValueError("it is empty")
    tomltext.read(content, tomltext.LARGEST_LOCK)["version"]
    return packages


def uv_program(found: Checking) -> str | Unchecked:
    """Return this library's uv, or the version that the project requires."""
    here = version("uv")
    required = _required(found)
    wanted = specifier(required) if required[:1] in "<>=!~" else specifier(f"=={required}")
    suits = not required or wanted is None or wanted.contains(here)
    tool = pinned_tool(found.config, "uv", f"uv=={here}" if suits else f"uv{wanted}")
    return find_uv() if tool.requirement == f"uv=={here}" else found.install(tool)


def _required(found: Checking) -> str:
    try:
        document = tomltext.read(found.read(found.beside("pyproject.toml")))
        return str(document["tool"]["uv"]["required-version"])
    except (OSError, *ANY_TROUBLE):
        return ""


def interpreter_of(found: Checking) -> Path | None:
    """Return an interpreter for uv that the project allows, in spite of `.python-version`."""
    requires, wanted = found.requires or "", found.config.python
    if wanted is not None and is_allowed(wanted, requires) and (path := find_python(wanted)):
        return path
    return Path(sys.executable) if is_allowed(HERE, requires) else find_python(requires)


def _compared(found: Checking, packages: dict[str, str]) -> Answer:
    """Check a uv.lock without an interpreter: compare the declarations with those when it was made."""
    hint = f"install one, as `uv python install '{found.requires}'`, or correct requires-python"
    if told := _told(found):
        return Stale(differences=told, mend=_MEND)
    try:
        difference = undeclared(found.read(found.beside("pyproject.toml")), found.content)
    except (OSError, StopIteration, *ANY_TROUBLE):
        return Unchecked(reason=f"no Python here is {found.requires}", hint=hint)
    if difference is not None:
        return Stale(differences=(difference,), mend=_MEND)
    text = f"no Python here is {found.requires}: {found.path} was compared with pyproject.toml, without uv"
    return Fresh(packages=packages, remark=text)


def _failure(found: Checking, done: Completed) -> Answer:
    """Return the answer for a failed uv: status 1 means stale, status 2 not checked."""
    if done.status == 1:
        return Stale(differences=_told(found), mend=_MEND, tail=done.tail)
    return unreached(f"uv ended with status {done.status}", done, "uv lock --check")


def _told(found: Checking) -> tuple[str, ...]:
    """Return the differences that the files themselves show."""
    try:
        project = found.read(found.beside("pyproject.toml"))
        difference = undeclared(project, found.content, with_settings=False)
    except (OSError, StopIteration, *ANY_TROUBLE):
        return ()
    return (difference,) if difference is not None else ()
