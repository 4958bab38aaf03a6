"""uv.lock: `uv lock --check`, with this library's uv or the version that the project requires."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from release.chain.lockgate.checking import LockfileCopy, choose_lock_tool
from release.chain.lockgate.damaged import ANY_TROUBLE, unchecked_because_damaged
from release.chain.lockgate.declared import to_specifier_set
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked, tool_failure_answer
from release.chain.lockgate.uvlock import describe_uv_differences, parse_uv_lock
from release.chain.pythons import HERE, NO_DOWNLOADS, find_python, is_python_allowed
from release.chain.tools import find_uv
from release.parsing import tomltext
from release.programs.environment import PACKAGES
from release.programs.process import Command, Completed

_MEND = "run `uv lock` and commit the result"


def check_uv_lock(lockfile: LockfileCopy) -> Answer:
    """Check a uv.lock with uv; without a suitable interpreter, compare the files."""
    try:
        packages = parse_checked_uv_lock(lockfile.content)
    except ANY_TROUBLE as error:
        return unchecked_because_damaged(
            lockfile.path, error, lockfile.find_readable_version(parse_checked_uv_lock), "uv lock"
        )
    interpreter = find_allowed_interpreter(lockfile)
    if interpreter is None:
        return _check_without_interpreter(lockfile, packages)
    program = find_matching_uv(lockfile)
    if isinstance(program, Unchecked):
        return program
    done = lockfile.execute(
        Command(
            argv=(program, "lock", "--check"),
            cwd=(lockfile.folder / lockfile.path).parent,
            env=NO_DOWNLOADS | {"UV_PYTHON": str(interpreter)},
            inherits=(*PACKAGES, *lockfile.config.pass_env),
        )
    )
    return Fresh(packages=packages) if done.status == 0 else _answer_for_failed_uv(lockfile, done)


def parse_checked_uv_lock(content: str) -> dict[str, str]:
    """Return the packages of a uv.lock that uv reads as well: as `uv_packages`, and it has a `version`."""
    packages = parse_uv_lock(content)
    if not content.strip():
        raise ValueError("it is empty")
    tomltext.read(content, tomltext.LARGEST_LOCK)["version"]
    return packages


def find_matching_uv(lockfile: LockfileCopy) -> str | Unchecked:
    """Return this library's uv, or the version that the project requires."""
    here = version("uv")
    required = _required_uv_version(lockfile)
    wanted = to_specifier_set(required) if required[:1] in "<>=!~" else to_specifier_set(f"=={required}")
    suits = not required or wanted is None or wanted.contains(here)
    tool = choose_lock_tool(lockfile.config, "uv", f"uv=={here}" if suits else f"uv{wanted}")
    return find_uv() if tool.requirement == f"uv=={here}" else lockfile.install(tool)


def _required_uv_version(lockfile: LockfileCopy) -> str:
    try:
        document = tomltext.read(lockfile.read_file(lockfile.path_beside("pyproject.toml")))
        return str(document["tool"]["uv"]["required-version"])
    except (OSError, *ANY_TROUBLE):
        return ""


def find_allowed_interpreter(lockfile: LockfileCopy) -> Path | None:
    """Return an interpreter for uv that the project allows, in spite of `.python-version`."""
    requires, wanted = lockfile.requires or "", lockfile.config.python
    if wanted is not None and is_python_allowed(wanted, requires) and (path := find_python(wanted)):
        return path
    return Path(sys.executable) if is_python_allowed(HERE, requires) else find_python(requires)


def _check_without_interpreter(lockfile: LockfileCopy, packages: dict[str, str]) -> Answer:
    """Check a uv.lock without an interpreter: compare the declarations with those when it was made."""
    hint = f"install one, as `uv python install '{lockfile.requires}'`, or correct requires-python"
    if told := _differences_in_files(lockfile):
        return Stale(differences=told, next_step=_MEND)
    try:
        difference = describe_uv_differences(
            lockfile.read_file(lockfile.path_beside("pyproject.toml")), lockfile.content
        )
    except (OSError, StopIteration, *ANY_TROUBLE):
        return Unchecked(reason=f"no Python here is {lockfile.requires}", hint=hint)
    if difference is not None:
        return Stale(differences=(difference,), next_step=_MEND)
    text = (
        f"no Python here is {lockfile.requires}: {lockfile.path} was compared with pyproject.toml, without uv"
    )
    return Fresh(packages=packages, remark=text)


def _answer_for_failed_uv(lockfile: LockfileCopy, done: Completed) -> Answer:
    """Return the answer for a failed uv: status 1 means stale, status 2 not checked."""
    if done.status == 1:
        return Stale(differences=_differences_in_files(lockfile), next_step=_MEND, tail=done.tail)
    return tool_failure_answer(f"uv ended with status {done.status}", done, "uv lock --check")


def _differences_in_files(lockfile: LockfileCopy) -> tuple[str, ...]:
    """Return the differences that the files themselves show."""
    try:
        project = lockfile.read_file(lockfile.path_beside("pyproject.toml"))
        difference = describe_uv_differences(project, lockfile.content, with_settings=False)
    except (OSError, StopIteration, *ANY_TROUBLE):
        return ()
    return (difference,) if difference is not None else ()
