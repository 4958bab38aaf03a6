"""Lockfiles whose packages have groups: poetry.lock, pdm.lock, Pipfile.lock, and pylock.toml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from release.chain.installed.choosing import MAIN, InstallOptions
from release.chain.installed.target import LockfileNotEvaluated, PythonTarget
from release.chain.installed.ungrouped import locked_version, select_by_dependencies
from release.chain.installed.wanted import (
    ANY,
    LockedPackages,
    LockfileQuery,
    Pairs,
    read_project_beside,
    select_locked,
)
from release.chain.lockgate.declared import parse_pdm_requirements, parse_poetry_requirements
from release.parsing import jsontext, tomltext
from release.values import replace

# poetry.lock and pdm.lock


def select_from_poetry_lock(question: LockfileQuery) -> LockedPackages:
    """Select packages by the groups and markers that Poetry 2 writes, else by their dependencies."""
    document = tomltext.read(question.content, tomltext.LARGEST_LOCK)
    project = read_project_beside(question)
    packages = document.get("package", [])
    choice = _resolve_poetry_groups(project, question.choice)
    if packages and not all("groups" in package for package in packages):
        return select_by_dependencies(question, packages, project, choice)
    return select_locked(question, _packages_of_groups(packages, choice, question.target))


def _packages_of_groups(
    packages: Iterable[Mapping[str, Any]], choice: InstallOptions, target: PythonTarget
) -> Pairs:
    for package in packages:
        markers = package.get("markers", "")
        for group in sorted(set(package["groups"]) & set(choice.groups or ())):
            marker = markers.get(group, "") if isinstance(markers, Mapping) else markers
            if target.evaluate_marker(str(marker), choice):
                yield package["name"], locked_version(package)
                break


def _all_poetry_groups(project: Mapping[str, Any]) -> frozenset[str]:
    groups = {each.group.removeprefix("group ") for each in parse_poetry_requirements(project) if each.group}
    return frozenset({MAIN, *(group for group in groups if not group.startswith("extra "))})


def _resolve_poetry_groups(project: Mapping[str, Any], choice: InstallOptions) -> InstallOptions:
    tables = project.get("tool", {}).get("poetry", {}).get("group", {})
    optional = {name for name, table in tables.items() if table.get("optional")}
    groups = choice.groups
    if groups is None:
        usual = frozenset({MAIN}) if choice.no_defaults else _all_poetry_groups(project) - optional
        groups = _all_poetry_groups(project) if choice.all_groups else usual
    groups = (groups | choice.added_groups) - choice.removed_groups
    return replace(choice, groups=groups, extras=_selected_extras(project, choice))


def _selected_extras(project: Mapping[str, Any], choice: InstallOptions) -> frozenset[str]:
    if not choice.all_extras:
        return choice.extras
    declared = project.get("project", {}).get("optional-dependencies", {})
    return frozenset({*declared, *project.get("tool", {}).get("poetry", {}).get("extras", {})})


def select_from_pdm_lock(question: LockfileQuery) -> LockedPackages:
    """Select packages by the groups and markers that PDM writes."""
    document = tomltext.read(question.content, tomltext.LARGEST_LOCK)
    packages = document.get("package", [])
    if any("groups" not in package for package in packages):
        raise LockfileNotEvaluated(
            "it holds no groups: `pdm lock --update-reuse --strategy inherit_metadata` writes them"
        )
    groups = _resolve_pdm_groups(read_project_beside(question), document, question.choice)
    choice = replace(question.choice, groups=groups)
    return select_locked(question, _pdm_packages_of_groups(packages, choice, question.target))


def _pdm_packages_of_groups(
    packages: Iterable[Mapping[str, Any]], choice: InstallOptions, target: PythonTarget
) -> Pairs:
    for package in packages:
        names = {MAIN if group == "default" else group for group in package["groups"]}
        if not names & set(choice.groups or ()):
            continue
        if target.evaluate_marker(str(package.get("marker", "")), choice):
            address = {"path", "url", "git", "hg"} & package.keys()
            yield package["name"], ANY if address else str(package["version"])


def _resolve_pdm_groups(
    project: Mapping[str, Any], lock: Mapping[str, Any], choice: InstallOptions
) -> frozenset[str]:
    locked = {MAIN if group == "default" else group for group in lock["metadata"].get("groups", ())}
    dev = {
        each.group.removeprefix("group ")
        for each in parse_pdm_requirements(project)
        if each.group.startswith("group ")
    }
    groups = choice.groups
    if groups is None:
        groups = frozenset({MAIN} if choice.no_defaults else {MAIN, *dev})
    everything = locked - (dev if choice.no_defaults else set()) if choice.all_groups else set()
    found = (groups | choice.added_groups | choice.extras | everything) - choice.removed_groups
    return frozenset(found)


# Pipfile.lock and pylock.toml


def select_from_pipfile_lock(question: LockfileQuery) -> LockedPackages:
    """Select packages by section: "default" always, "develop" if chosen."""
    document = jsontext.read_object(question.content.encode())
    groups = question.choice.groups or frozenset({MAIN})
    names = {"default" if group in (MAIN, "packages") else group for group in groups}
    names = {"develop" if name in ("dev", "dev-packages") else name for name in names}
    return select_locked(question, _packages_of_sections(document, names, question.target))


def _packages_of_sections(document: Mapping[str, Any], names: Iterable[str], target: PythonTarget) -> Pairs:
    for section in names:
        for name, about in document.get(section, {}).items():
            if target.evaluate_marker(str(about.get("markers", ""))):
                yield name, str(about.get("version", ANY)).lstrip("=")


def select_from_pylock(question: LockfileQuery) -> LockedPackages:
    """Select packages by markers, with the default extras and groups of an installer (PEP 751)."""
    document = tomltext.read(question.content, tomltext.LARGEST_LOCK)
    required = str(document.get("requires-python", ""))
    if required and not question.target.satisfies_bound(required):
        raise LockfileNotEvaluated(f"it is for Python {required}, and the image has {question.target.python}")
    choice = question.choice
    if choice.groups is None:
        choice = replace(choice, groups=frozenset(document.get("default-groups", ())))
    return select_locked(question, _pylock_packages(document["packages"], choice, question.target))


def _pylock_packages(
    packages: Iterable[Mapping[str, Any]], choice: InstallOptions, target: PythonTarget
) -> Pairs:
    for package in packages:
        if target.evaluate_marker(str(package.get("marker", "")), choice):
            yield package["name"], str(package.get("version", ANY))
