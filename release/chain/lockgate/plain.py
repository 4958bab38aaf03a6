"""A requirements.txt without sources: a lockfile by itself, if all entries are pinned.

uv resolves the entries as they are. Additional packages in the result are missing from the file.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from release.chain.lockgate.checking import LockfileCopy
from release.chain.lockgate.entries import (
    RequirementEntry,
    RequirementsFile,
    refuse_unreadable_lines,
    without_constraints,
)
from release.chain.lockgate.outside import read_committed_requirements, refuse_uncommitted_files
from release.chain.lockgate.resolution import (
    ResolvedPackage,
    python_to_resolve_for,
    requirements_of_folder,
    resolve_entries,
)
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked
from release.chain.pythons import HERE

_INCOMPLETE: Final = "is not a complete lockfile"
_SHOWN: Final = 12
_OLD_PYTHONS: Final = frozenset(f"3.{minor}" for minor in range(12))
_OF_THE_IMAGE: Final = frozenset({"distribute", "pip", "setuptools", "wheel"})
"""Packages in the images of these Python versions, which `pip freeze` leaves out."""


def check_plain_requirements(lockfile: LockfileCopy) -> Answer:
    """Check the entries of a requirements file."""
    try:
        entries = read_committed_requirements(lockfile, lockfile.path)
    except ValueError as error:
        return Unchecked(
            reason=f"{lockfile.path} is not UTF-8: {error}", hint="write it in UTF-8, without marks"
        )
    return check_requirement_entries(lockfile, entries, update_command=compile_advice(lockfile, entries))


def check_requirement_entries(
    lockfile: LockfileCopy, entries: RequirementsFile, *, update_command: str
) -> Answer:
    """Check that entries are pinned, hashed if required, complete and free of conflicts.

    Args:
        found: the lockfile with the entries.
        entries: the entries of the lockfile.
        mend: the last words of a hint, with the command that makes a lockfile of another kind.
    """
    refused = (
        refuse_unreadable_lines(entries)
        or _refuse_branches_and_tags(entries)
        or refuse_uncommitted_files(lockfile, lockfile.path, entries)
    )
    if refused is not None:
        return refused
    is_hashed = lockfile.config.require_hashes or any(entry.hashes for entry in without_constraints(entries))
    resolved = resolve_entries(lockfile, entries, is_hashed=is_hashed, update_command=update_command)
    if isinstance(resolved, Stale | Unchecked):
        return resolved
    allowed = _OF_THE_IMAGE if python_to_resolve_for(lockfile) in _OLD_PYTHONS else frozenset[str]()
    problems, lines = _find_problems(entries, resolved, is_hashed=is_hashed, allowed=allowed)
    if problems:
        return Stale(
            differences=tuple(problems[:_SHOWN]),
            verdict=_INCOMPLETE,
            next_step=f"write these lines into {lockfile.path}, or {update_command}"
            if lines
            else update_command,
            tail=tuple(lines),
        )
    return Fresh(
        packages=_packages_with_versions(entries, resolved),
        remark=_remark_on_unbuilt_folders(lockfile, entries),
    )


def _refuse_branches_and_tags(entries: RequirementsFile) -> Stale | None:
    """Return the answer for entries that name a branch or tag; None if none does. Nothing is fetched yet."""
    moving = [
        entry.text for entry in without_constraints(entries) if entry.url_or_path and not entry.is_pinned
    ]
    if not moving:
        return None
    differences = tuple(f"{text} is not pinned" for text in moving[:_SHOWN])
    mend = "name a commit by its 40 digits, as @1234..., in the place of a branch or tag"
    return Stale(differences=differences, verdict=_INCOMPLETE, next_step=mend)


def _find_problems(
    entries: RequirementsFile,
    resolved: Mapping[str, ResolvedPackage],
    *,
    is_hashed: bool,
    allowed: frozenset[str],
) -> tuple[list[str], list[str]]:
    """Return the problems as phrases, and the lines that correct them."""
    pinned = {entry.name for entry in entries.entries if entry.is_pinned}
    problems, lines = [], []
    for entry in without_constraints(entries):
        if not entry.is_pinned and entry.name not in pinned:
            problems.append(f"{entry.text} is not pinned")
            lines += [_pinned_line(entry, resolved)]
        elif is_hashed:
            problems += _find_hash_problems(entry, resolved)
    missing = sorted(resolved.keys() - {entry.name for entry in entries.entries} - allowed)
    if missing:
        problems.append(_describe_missing(missing))
    return problems, lines + [resolved[name].to_line for name in missing]


def _describe_missing(names: list[str]) -> str:
    others = f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{others} {'is' if len(names) == 1 else 'are'} needed and missing"


def _pinned_line(entry: RequirementEntry, resolved: Mapping[str, ResolvedPackage]) -> str:
    """Return the entry with a version."""
    requirement = entry.requirement
    if requirement is None or entry.name not in resolved:
        return entry.text
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras}=={resolved[entry.name].version}{marker}"


def _find_hash_problems(entry: RequirementEntry, resolved: Mapping[str, ResolvedPackage]) -> Iterator[str]:
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


def _packages_with_versions(
    entries: RequirementsFile, resolved: Mapping[str, ResolvedPackage]
) -> dict[str, str]:
    pinned: dict[str, set[str]] = {}
    for entry in without_constraints(entries):
        if entry.name and entry.pinned_version:
            pinned.setdefault(entry.name, set()).add(entry.pinned_version)
    others = {name: {each.version} for name, each in resolved.items() if name not in pinned}
    return {name: ", ".join(sorted(found)) for name, found in (pinned | others).items()}


def _remark_on_unbuilt_folders(lockfile: LockfileCopy, entries: RequirementsFile) -> str:
    unknown = [
        e.text
        for e in without_constraints(entries)
        if e.is_local and requirements_of_folder(lockfile, e) is None
    ]
    if not unknown:
        return ""
    return f"{', '.join(unknown)} is of the commit and was not built, so what it needs was not checked"


def compile_advice(lockfile: LockfileCopy, entries: RequirementsFile) -> str:
    """Return the commands that turn the file into a compiled one."""
    source = Path(lockfile.path).with_suffix(".in").as_posix()
    version = python_to_resolve_for(lockfile)
    options = [*(["--python-version", version] if version != HERE else [])]
    options += (
        ["--generate-hashes"]
        if lockfile.config.require_hashes or any(e.hashes for e in entries.entries)
        else []
    )
    move = shlex.join(["git", "mv", lockfile.path, source])
    make = shlex.join(["uv", "pip", "compile", *options, source, "-o", lockfile.path])
    return f"make it a compiled one: `{move} && {make}`, and commit both"
