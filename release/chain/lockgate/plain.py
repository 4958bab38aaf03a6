"""A requirements.txt without sources: a lockfile by itself, if all entries are pinned.

uv resolves the entries as they are. Additional packages in the result are missing from the file.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from release.chain.lockgate.checking import Checking
from release.chain.lockgate.entries import Entries, Entry, installed, unreadable
from release.chain.lockgate.outside import not_committed, read_files
from release.chain.lockgate.resolution import Resolved, declared, python_of, resolve
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked
from release.chain.pythons import HERE

_INCOMPLETE: Final = "is not a complete lockfile"
_SHOWN: Final = 12
_OLD_PYTHONS: Final = frozenset(f"3.{minor}" for minor in range(12))
_OF_THE_IMAGE: Final = frozenset({"distribute", "pip", "setuptools", "wheel"})
"""Packages in the images of these Python versions, which `pip freeze` leaves out."""


def check(found: Checking) -> Answer:
    """Check the entries of a requirements file."""
    try:
        entries = read_files(found, found.path)
    except ValueError as error:
        return Unchecked(
            reason=f"{found.path} is not UTF-8: {error}", hint="write it in UTF-8, without marks"
        )
    return check_entries(found, entries, mend=compile_advice(found, entries))


def check_entries(found: Checking, entries: Entries, *, mend: str) -> Answer:
    """Check that entries are pinned, hashed if required, complete and free of conflicts.

    Args:
        found: the lockfile with the entries.
        entries: the entries of the lockfile.
        mend: the last words of a hint, with the command that makes a lockfile of another kind.
    """
    refused = unreadable(entries) or _moving(entries) or not_committed(found, found.path, entries)
    if refused is not None:
        return refused
    is_hashed = found.config.require_hashes or any(entry.hashes for entry in installed(entries))
    resolved = resolve(found, entries, is_hashed=is_hashed, mend=mend)
    if isinstance(resolved, Stale | Unchecked):
        return resolved
    allowed = _OF_THE_IMAGE if python_of(found) in _OLD_PYTHONS else frozenset[str]()
    problems, lines = _problems(entries, resolved, is_hashed=is_hashed, allowed=allowed)
    if problems:
        return Stale(
            differences=tuple(problems[:_SHOWN]),
            verdict=_INCOMPLETE,
            mend=f"write these lines into {found.path}, or {mend}" if lines else mend,
            tail=tuple(lines),
        )
    return Fresh(packages=_packages(entries, resolved), remark=_remark(found, entries))


def _moving(entries: Entries) -> Stale | None:
    """Return the answer for entries that name a branch or tag; None if none does. Nothing is fetched yet."""
    moving = [entry.text for entry in installed(entries) if entry.address and not entry.is_pinned]
    if not moving:
        return None
    differences = tuple(f"{text} is not pinned" for text in moving[:_SHOWN])
    mend = "name a commit by its 40 digits, as @1234..., in the place of a branch or tag"
    return Stale(differences=differences, verdict=_INCOMPLETE, mend=mend)


def _problems(
    entries: Entries, resolved: Mapping[str, Resolved], *, is_hashed: bool, allowed: frozenset[str]
) -> tuple[list[str], list[str]]:
    """Return the problems as phrases, and the lines that correct them."""
    pinned = {entry.name for entry in entries.entries if entry.is_pinned}
    problems, lines = [], []
    for entry in installed(entries):
        if not entry.is_pinned and entry.name not in pinned:
            problems.append(f"{entry.text} is not pinned")
            lines += [_pin(entry, resolved)]
        elif is_hashed:
            problems += _hashes(entry, resolved)
    missing = sorted(resolved.keys() - {entry.name for entry in entries.entries} - allowed)
    if missing:
        problems.append(_missing(missing))
    return problems, lines + [resolved[name].line for name in missing]


def _missing(names: list[str]) -> str:
    others = f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{others} {'is' if len(names) == 1 else 'are'} needed and missing"


def _pin(entry: Entry, resolved: Mapping[str, Resolved]) -> str:
    """Return the entry with a version."""
    requirement = entry.requirement
    if requirement is None or entry.name not in resolved:
        return entry.text
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras}=={resolved[entry.name].version}{marker}"


def _hashes(entry: Entry, resolved: Mapping[str, Resolved]) -> Iterator[str]:
    """Yield the problems of an entry's hashes: pip refuses a file in which only some entries have hashes."""
    if entry.is_editable or entry.is_local:
        return
    if not entry.hashes:
        yield f"{entry.text} has no hash"
    elif (
        entry.name in resolved
        and resolved[entry.name].hashes
        and not entry.hashes & resolved[entry.name].hashes
    ):
        yield f"{entry.text} has a hash of no file that the index has"


def _packages(entries: Entries, resolved: Mapping[str, Resolved]) -> dict[str, str]:
    pinned: dict[str, set[str]] = {}
    for entry in installed(entries):
        if entry.name and entry.version:
            pinned.setdefault(entry.name, set()).add(entry.version)
    others = {name: {each.version} for name, each in resolved.items() if name not in pinned}
    return {name: ", ".join(sorted(found)) for name, found in (pinned | others).items()}


def _remark(found: Checking, entries: Entries) -> str:
    unknown = [e.text for e in installed(entries) if e.is_local and declared(found, e) is None]
    if not unknown:
        return ""
    return f"{', '.join(unknown)} is of the commit and was not built, so what it needs was not checked"


def compile_advice(found: Checking, entries: Entries) -> str:
    """Return the commands that turn the file into a compiled one."""
    source = Path(found.path).with_suffix(".in").as_posix()
    version = python_of(found)
    options = [*(["--python-version", version] if version != HERE else [])]
    options += (
        ["--generate-hashes"] if found.config.require_hashes or any(e.hashes for e in entries.entries) else []
    )
    move = shlex.join(["git", "mv", found.path, source])
    make = shlex.join(["uv", "pip", "compile", *options, source, "-o", found.path])
    return f"make it a compiled one: `{move} && {make}`, and commit both"
