"""A poetry.lock of Poetry 1, which has no groups: follow the dependencies of the declared packages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.utils import canonicalize_name

from release.chain.installed.choosing import MAIN, InstallOptions
from release.chain.installed.target import PythonTarget
from release.chain.installed.wanted import ANY, LockedPackages, LockfileQuery, all_locked_packages
from release.chain.lockgate.declared import DeclaredRequirement, parse_poetry_requirements
from release.chain.lockgate.differences import package_nodes


def locked_version(package: Mapping[str, Any]) -> str:
    """Return the version of a package in a poetry.lock; `ANY` if the package is not from an index."""
    is_elsewhere = (package.get("source") or {}).get("type", "") in ("git", "directory", "file", "url")
    return ANY if is_elsewhere else str(package["version"])


def select_by_dependencies(
    question: LockfileQuery,
    packages: Iterable[Mapping[str, Any]],
    project: Mapping[str, Any],
    choice: InstallOptions,
) -> LockedPackages:
    """Return the packages that declarations require, and the packages that conditional declarations allow."""
    known = [
        each for each in packages if question.target.satisfies_bound(str(each.get("python-versions", "*")))
    ]
    declared = [each for each in parse_poetry_requirements(project) if _is_selected(each, choice)]
    certain = _reachable_packages(
        known, (each for each in declared if not each.is_conditional), question.target
    )
    required = {name: versions for name, versions in _versions_by_name(known).items() if name in certain}
    possible = _reachable_packages(known, declared, question.target)
    allowed = {name: versions for name, versions in _versions_by_name(known).items() if name in possible}
    if not question.choice.is_known:
        allowed = {**all_locked_packages(question.packages), **allowed}
    return LockedPackages(required=required, allowed=allowed)


def _is_selected(each: DeclaredRequirement, choice: InstallOptions) -> bool:
    kind, _, name = each.group.partition(" ")
    if kind == "extra":
        return name in choice.extras
    return (name or MAIN) in (choice.groups or ())


def _versions_by_name(packages: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for package in packages:
        found.setdefault(canonicalize_name(package["name"]), set()).add(locked_version(package))
    return {name: frozenset(versions) for name, versions in sorted(found.items())}


def _reachable_packages(
    packages: Iterable[Mapping[str, Any]], declared: Iterable[DeclaredRequirement], target: PythonTarget
) -> frozenset[str]:
    needs: dict[str, list[str]] = {}
    for package in packages:
        for node, more in _dependency_edges(package, target):
            needs.setdefault(node, []).extend(more)
    waiting = [node for each in declared for node in package_nodes(each.name, each.extras)]
    reached: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += needs.get(node, ())
    return frozenset(node.partition("[")[0] for node in reached)


def _dependency_edges(package: Mapping[str, Any], target: PythonTarget) -> Iterator[tuple[str, list[str]]]:
    own = canonicalize_name(package["name"])
    for other, value in package.get("dependencies", {}).items():
        for each in value if isinstance(value, list) else [value]:
            about = each if isinstance(each, Mapping) else {}
            if not about.get("optional") and target.evaluate_marker(str(about.get("markers", ""))):
                extras = map(canonicalize_name, about.get("extras", ()))
                yield own, package_nodes(canonicalize_name(other), extras)
    for extra, lines in package.get("extras", {}).items():
        names = (line.split()[0].partition("[")[0] for line in lines if line.split())
        yield f"{own}[{canonicalize_name(extra)}]", [canonicalize_name(name) for name in names]
