"""A poetry.lock of Poetry 1, which has no groups: follow the dependencies of the declared packages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.utils import canonicalize_name

from release.chain.installed.choosing import MAIN, Choice
from release.chain.installed.target import Target
from release.chain.installed.wanted import ANY, Question, Wanted, everything
from release.chain.lockgate.declared import Declared, of_poetry
from release.chain.lockgate.differences import nodes


def version_of(package: Mapping[str, Any]) -> str:
    """Return the version of a package in a poetry.lock; `ANY` if the package is not from an index."""
    is_elsewhere = (package.get("source") or {}).get("type", "") in ("git", "directory", "file", "url")
    return ANY if is_elsewhere else str(package["version"])


def walked(
    question: Question, packages: Iterable[Mapping[str, Any]], project: Mapping[str, Any], choice: Choice
) -> Wanted:
    """Return the packages that declarations require, and the packages that conditional declarations allow."""
    known = [each for each in packages if question.target.is_allowed(str(each.get("python-versions", "*")))]
    declared = [each for each in of_poetry(project) if _is_chosen(each, choice)]
    certain = _reached(known, (each for each in declared if not each.is_conditional), question.target)
    required = {name: versions for name, versions in _versions(known).items() if name in certain}
    possible = _reached(known, declared, question.target)
    allowed = {name: versions for name, versions in _versions(known).items() if name in possible}
    if not question.choice.is_known:
        allowed = {**everything(question.packages), **allowed}
    return Wanted(required=required, allowed=allowed)


def _is_chosen(each: Declared, choice: Choice) -> bool:
    kind, _, name = each.group.partition(" ")
    if kind == "extra":
        return name in choice.extras
    return (name or MAIN) in (choice.groups or ())


def _versions(packages: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for package in packages:
        found.setdefault(canonicalize_name(package["name"]), set()).add(version_of(package))
    return {name: frozenset(versions) for name, versions in sorted(found.items())}


def _reached(
    packages: Iterable[Mapping[str, Any]], declared: Iterable[Declared], target: Target
) -> frozenset[str]:
    needs: dict[str, list[str]] = {}
    for package in packages:
        for node, more in _needs(package, target):
            needs.setdefault(node, []).extend(more)
    waiting = [node for each in declared for node in nodes(each.name, each.extras)]
    reached: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += needs.get(node, ())
    return frozenset(node.partition("[")[0] for node in reached)


def _needs(package: Mapping[str, Any], target: Target) -> Iterator[tuple[str, list[str]]]:
    own = canonicalize_name(package["name"])
    for other, value in package.get("dependencies", {}).items():
        for each in value if isinstance(value, list) else [value]:
            about = each if isinstance(each, Mapping) else {}
            if not about.get("optional") and target.is_true(str(about.get("markers", ""))):
                extras = map(canonicalize_name, about.get("extras", ()))
                yield own, nodes(canonicalize_name(other), extras)
    for extra, lines in package.get("extras", {}).items():
        names = (line.split()[0].partition("[")[0] for line in lines if line.split())
        yield f"{own}[{canonicalize_name(extra)}]", [canonicalize_name(name) for name in names]
