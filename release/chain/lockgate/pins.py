"""The pins of a requirements.txt, and the differences between the pins of two files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from release.chain.lockgate.compiled import IN_FILE, CompileCommand, logical_lines

_UNSAFE: Final = frozenset({"distribute", "pip", "setuptools"})
"""Packages that pip-compile pins only on request."""

_SHOWN: Final = 8


def parse_pins(content: str) -> frozenset[str]:
    """Return the pinned requirements with markers and hashes, without comments and line ends."""
    return frozenset(
        " ".join([_normalize_requirement(requirement), *hashes])
        for requirement, hashes in map(_split_hashes, _requirement_lines(content))
    )


def normalized_pins(content: str, made: CompileCommand, *, beside: str | None = None) -> frozenset[str]:
    """Return the pins without differences of spelling between the tools.

    Extras are left out, because their packages are pinned too. pip-compile writes markers into files for one
    system, and omits some packages.

    Args:
        content: the text of the requirements file.
        made: how the committed file was made.
        beside: the committed file, if the content is compiled from its sources.
    """
    left_out: frozenset[str] = frozenset()
    if made.is_pip_compile and beside is not None:
        left_out = _UNSAFE - versions_by_name(parse_pins(beside)).keys()
    found = set()
    for text, hashes in map(_split_hashes, _requirement_lines(content)):
        requirement = _parse_requirement(text)
        if requirement is not None and canonicalize_name(requirement.name) in left_out:
            continue
        found.add(
            " ".join([_normalize_requirement(text, extras=False, marker=not made.is_pip_compile), *hashes])
        )
    return frozenset(found)


def _requirement_lines(content: str) -> Iterator[str]:
    return (line for line in logical_lines(content) if not line.startswith(IN_FILE))


def _split_hashes(line: str) -> tuple[str, list[str]]:
    """Return a requirement and its hashes."""
    words = line.split()
    hashes = sorted(word for word in words if word.startswith("--hash"))
    return " ".join(word for word in words if not word.startswith("--hash")), hashes


def _normalize_requirement(text: str, *, extras: bool = True, marker: bool = True) -> str:
    """Return a requirement in one spelling of names, quotes and spaces."""
    requirement = _parse_requirement(text)
    if requirement is None:
        return text
    requirement.name = canonicalize_name(requirement.name)
    requirement.extras = requirement.extras if extras else set()
    requirement.marker = requirement.marker if marker else None
    return str(requirement)


def _parse_requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def versions_by_name(found: frozenset[str]) -> dict[str, str]:
    """Return names and exact versions of these pins; several versions of one name are joined with ", "."""
    packages: dict[str, set[str]] = {}
    for pin in found:
        requirement = _parse_requirement(_split_hashes(pin)[0])
        versions = {specifier.version for specifier in requirement.specifier} if requirement else set()
        if requirement and versions:
            packages.setdefault(canonicalize_name(requirement.name), set()).update(versions)
    return {name: ", ".join(sorted(versions)) for name, versions in packages.items()}


def describe_pin_changes(before: frozenset[str], after: frozenset[str]) -> str:
    """Return the difference as "flask 3.0.0 → 3.1.0, click is missing, six is not needed"."""
    old, new = versions_by_name(before), versions_by_name(after)
    changed = [
        f"{name} {old[name]} → {new[name]}"
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    ]
    missing = [f"{name} {new[name]} is missing" for name in sorted(new.keys() - old.keys())]
    surplus = [f"{name} is not needed" for name in sorted(old.keys() - new.keys())]
    found = changed + missing + surplus
    return (
        ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "") or "its markers or hashes differ"
    )
