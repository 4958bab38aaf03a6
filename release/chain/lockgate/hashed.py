"""Lockfiles with a hash of the declared requirements: poetry.lock, pdm.lock, Pipfile.lock.

The tools compare the hash without network, and answer only yes or no. This module finds the differing
requirement in the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from packaging.utils import canonicalize_name

from release import tomltext
from release.chain.lockgate.checking import Checking
from release.chain.lockgate.damaged import ANY_TROUBLE, damaged
from release.chain.lockgate.declared import Declared
from release.chain.lockgate.differences import Declares, Locked, changes, contradictions, differences
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked
from release.process import Completed
from release.values import Struct


class Hashed(Struct, frozen=True, kw_only=True):
    """Check of such a lockfile: how its files are read and which command renews it."""

    project: str
    """Name of the project file beside the lockfile."""
    declares: Declares
    python: Callable[[Mapping[str, Any]], str]
    """Return the Python bound that the project declares."""
    read: Callable[[str], Locked]
    """Return the content of the lockfile. Raises one of `ANY_TROUBLE`."""
    mend: str
    """Command that makes the lockfile again."""
    says: str
    """Output of the tool for a stale lockfile: status 1 alone has other causes as well."""


def check(found: Checking, kind: Hashed, ask: Callable[[], Completed | Unchecked]) -> Answer:
    """Run the tool and explain a difference. `ask` runs the tool: status 0 is fresh, 1 may be stale."""
    read = _read(found, kind)
    if isinstance(read, Unchecked):
        return read
    document, locked = read
    done = ask()
    if isinstance(done, Unchecked):
        return done
    if done.status == 0:
        needed = (each for each in declared_by(kind, document) if not each.group)
        wrong = tuple(contradictions(needed, locked))
        return _stale(kind, wrong) if wrong else Fresh(packages=locked.packages)
    if done.status == 1 and kind.says in done.output:
        return _stale(kind, _explained(found, kind, document, locked), _said(kind, done))
    hint = "do what its last lines ask for; another version of the tool can be set as lock.tool"
    return Unchecked(reason=f"the tool ended with status {done.status}", hint=hint, tail=done.tail)


def declared_by(kind: Hashed, document: Mapping[str, Any]) -> list[Declared]:
    """Return the declared requirements, without references to the project's own extras."""
    about = document.get("project", {}).get("name") or document.get("tool", {}).get("poetry", {}).get("name")
    own = canonicalize_name(about) if isinstance(about, str) else None
    return [each for each in kind.declares(document) if each.name != own]


def _read(found: Checking, kind: Hashed) -> tuple[Mapping[str, Any], Locked] | Unchecked:
    """Return both parsed files. A damaged lockfile is found here, because the tool calls it stale."""
    project = found.beside(kind.project)
    if not found.has(project):
        return Unchecked(
            reason=f"the commit has no {project}",
            hint=f"commit the {kind.project} that {found.path} was made from, or set lock.path",
        )
    try:
        document = tomltext.read(found.read(project))
        declared_by(kind, document)
    except ANY_TROUBLE as error:
        return Unchecked(reason=f"{project} cannot be read: {error}", hint=f"correct {project}")
    try:
        return document, kind.read(found.content)
    except ANY_TROUBLE as error:
        return damaged(found.path, error, found.good(kind.read), kind.mend)


def _stale(kind: Hashed, found: tuple[str, ...], tail: tuple[str, ...] = ()) -> Stale:
    return Stale(differences=found, mend=f"run `{kind.mend}` and commit the result", tail=tail)


def _said(kind: Hashed, done: Completed) -> tuple[str, ...]:
    """Return the tool's lines about the lockfile."""
    return tuple(line for line in done.tail if kind.says in line)


def _explained(found: Checking, kind: Hashed, document: Mapping[str, Any], locked: Locked) -> tuple[str, ...]:
    declared = declared_by(kind, document)
    told = differences(declared, locked, kind.python(document))
    earlier = found.earlier(kind.project) if not told else None
    if earlier is not None:
        try:
            told = changes(declared_by(kind, tomltext.read(earlier)), declared, found.path)
        except ANY_TROUBLE:
            told = []
    return tuple(told) or (
        f"{kind.project} asks for other requirements, sources or Pythons than it was made for",
    )
