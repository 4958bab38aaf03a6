"""Lockfiles with a hash of the declared requirements: poetry.lock, pdm.lock, Pipfile.lock.

The tools compare the hash without network, and answer only yes or no. This module finds the differing
requirement in the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from packaging.utils import canonicalize_name

from release.chain.lockgate.checking import LockfileCopy
from release.chain.lockgate.damaged import ANY_TROUBLE, unchecked_because_damaged
from release.chain.lockgate.declared import DeclaredRequirement
from release.chain.lockgate.differences import (
    Declares,
    LockContent,
    describe_declaration_changes,
    describe_lock_differences,
    find_unmet_requirements,
)
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked
from release.parsing import tomltext
from release.programs.process import Completed
from release.values import Struct


class HashedLockKind(Struct, frozen=True, kw_only=True):
    """Check of such a lockfile: how its files are read and which command renews it."""

    project_file: str
    """Name of the project file beside the lockfile."""
    parse_declared: Declares
    read_python_bound: Callable[[Mapping[str, Any]], str]
    """Return the Python bound that the project declares."""
    parse_lockfile: Callable[[str], LockContent]
    """Return the content of the lockfile. Raises one of `ANY_TROUBLE`."""
    update_command: str
    """Command that makes the lockfile again."""
    says: str
    """Output of the tool for a stale lockfile: status 1 alone has other causes as well."""


def check_hashed_lockfile(
    lockfile: LockfileCopy, kind: HashedLockKind, ask: Callable[[], Completed | Unchecked]
) -> Answer:
    """Run the tool and explain a difference. `ask` runs the tool: status 0 is fresh, 1 may be stale."""
    read = _parse_both_files(lockfile, kind)
    if isinstance(read, Unchecked):
        return read
    document, locked = read
    done = ask()
    if isinstance(done, Unchecked):
        return done
    if done.status == 0:
        needed = (each for each in declared_requirements(kind, document) if not each.group)
        wrong = tuple(find_unmet_requirements(needed, locked))
        return _stale_answer(kind, wrong) if wrong else Fresh(packages=locked.packages)
    if done.status == 1 and kind.says in done.output:
        return _stale_answer(kind, _explain_stale(lockfile, kind, document, locked), _tool_output(kind, done))
    hint = "do what its last lines ask for; another version of the tool can be set as lock.tool"
    return Unchecked(reason=f"the tool ended with status {done.status}", hint=hint, tail=done.tail)


def declared_requirements(kind: HashedLockKind, document: Mapping[str, Any]) -> list[DeclaredRequirement]:
    """Return the declared requirements, without references to the project's own extras."""
    about = document.get("project", {}).get("name") or document.get("tool", {}).get("poetry", {}).get("name")
    own = canonicalize_name(about) if isinstance(about, str) else None
    return [each for each in kind.parse_declared(document) if each.name != own]


def _parse_both_files(
    lockfile: LockfileCopy, kind: HashedLockKind
) -> tuple[Mapping[str, Any], LockContent] | Unchecked:
    """Return both parsed files. A damaged lockfile is found here, because the tool calls it stale."""
    project = lockfile.path_beside(kind.project_file)
    if not lockfile.has_file(project):
        return Unchecked(
            reason=f"the commit has no {project}",
            hint=f"commit the {kind.project_file} that {lockfile.path} was made from, or set lock.path",
        )
    try:
        document = tomltext.read(lockfile.read_file(project))
        declared_requirements(kind, document)
    except ANY_TROUBLE as error:
        return Unchecked(reason=f"{project} cannot be read: {error}", hint=f"correct {project}")
    try:
        return document, kind.parse_lockfile(lockfile.content)
    except ANY_TROUBLE as error:
        return unchecked_because_damaged(
            lockfile.path, error, lockfile.find_readable_version(kind.parse_lockfile), kind.update_command
        )


def _stale_answer(kind: HashedLockKind, differences: tuple[str, ...], tail: tuple[str, ...] = ()) -> Stale:
    return Stale(
        differences=differences, next_step=f"run `{kind.update_command}` and commit the result", tail=tail
    )


def _tool_output(kind: HashedLockKind, done: Completed) -> tuple[str, ...]:
    """Return the tool's lines about the lockfile."""
    return tuple(line for line in done.tail if kind.says in line)


def _explain_stale(
    lockfile: LockfileCopy, kind: HashedLockKind, document: Mapping[str, Any], locked: LockContent
) -> tuple[str, ...]:
    declared = declared_requirements(kind, document)
    told = describe_lock_differences(declared, locked, kind.read_python_bound(document))
    earlier = lockfile.read_earlier(kind.project_file) if not told else None
    if earlier is not None:
        try:
            told = describe_declaration_changes(
                declared_requirements(kind, tomltext.read(earlier)), declared, lockfile.path
            )
        except ANY_TROUBLE:
            told = []
    return tuple(told) or (
        f"{kind.project_file} asks for other requirements, sources or Pythons than it was made for",
    )
