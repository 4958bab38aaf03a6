"""Lockfiles whose packages have groups: poetry.lock, pdm.lock, Pipfile.lock, and pylock.toml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from release import jsontext, tomltext
from release.chain.installed.choosing import MAIN, Choice
from release.chain.installed.target import NotEvaluated, Target
from release.chain.installed.ungrouped import version_of, walked
from release.chain.installed.wanted import ANY, Pairs, Question, Wanted, project_of, select
from release.chain.lockgate.declared import of_pdm, of_poetry
from release.values import replace

# poetry.lock and pdm.lock


def of_poetry_lock(question: Question) -> Wanted:
    """Select packages by the groups and markers that Poetry 2 writes, else by their dependencies."""
    document = tomltext.read(question.content, tomltext.LARGEST_LOCK)
    project = project_of(question)
    packages = document.get("package", [])
    choice = _groups_of_poetry(project, question.choice)
    if packages and not all("groups" in package for package in packages):
        return walked(question, packages, project, choice)
    return select(question, _of_packages(packages, choice, question.target))


def _of_packages(packages: Iterable[Mapping[str, Any]], choice: Choice, target: Target) -> Pairs:
    for package in packages:
        markers = package.get("markers", "")
        for group in sorted(set(package["groups"]) & set(choice.groups or ())):
            marker = markers.get(group, "") if isinstance(markers, Mapping) else markers
            if target.is_true(str(marker), choice):
                yield package["name"], version_of(package)
                break


def _every_group(project: Mapping[str, Any]) -> frozenset[str]:
    groups = {each.group.removeprefix("group ") for each in of_poetry(project) if each.group}
    return frozenset({MAIN, *(group for group in groups if not group.startswith("extra "))})


def _groups_of_poetry(project: Mapping[str, Any], choice: Choice) -> Choice:
    tables = project.get("tool", {}).get("poetry", {}).get("group", {})
    optional = {name for name, table in tables.items() if table.get("optional")}
    groups = choice.groups
    if groups is None:
        usual = frozenset({MAIN}) if choice.no_defaults else _every_group(project) - optional
        groups = _every_group(project) if choice.all_groups else usual
    groups = (groups | choice.more) - choice.fewer
    return replace(choice, groups=groups, extras=_extras(project, choice))


def _extras(project: Mapping[str, Any], choice: Choice) -> frozenset[str]:
    if not choice.all_extras:
        return choice.extras
    declared = project.get("project", {}).get("optional-dependencies", {})
    return frozenset({*declared, *project.get("tool", {}).get("poetry", {}).get("extras", {})})


def of_pdm_lock(question: Question) -> Wanted:
    """Select packages by the groups and markers that PDM writes."""
    document = tomltext.read(question.content, tomltext.LARGEST_LOCK)
    packages = document.get("package", [])
    if any("groups" not in package for package in packages):
        raise NotEvaluated(
            "it holds no groups: `pdm lock --update-reuse --strategy inherit_metadata` writes them"
        )
    groups = _groups_of_pdm(project_of(question), document, question.choice)
    choice = replace(question.choice, groups=groups)
    return select(question, _of_pdm_packages(packages, choice, question.target))


def _of_pdm_packages(packages: Iterable[Mapping[str, Any]], choice: Choice, target: Target) -> Pairs:
    for package in packages:
        names = {MAIN if group == "default" else group for group in package["groups"]}
        if not names & set(choice.groups or ()):
            continue
        if target.is_true(str(package.get("marker", "")), choice):
            address = {"path", "url", "git", "hg"} & package.keys()
            yield package["name"], ANY if address else str(package["version"])


def _groups_of_pdm(project: Mapping[str, Any], lock: Mapping[str, Any], choice: Choice) -> frozenset[str]:
    locked = {MAIN if group == "default" else group for group in lock["metadata"].get("groups", ())}
    dev = {each.group.removeprefix("group ") for each in of_pdm(project) if each.group.startswith("group ")}
    groups = choice.groups
    if groups is None:
        groups = frozenset({MAIN} if choice.no_defaults else {MAIN, *dev})
    everything = locked - (dev if choice.no_defaults else set()) if choice.all_groups else set()
    found = (groups | choice.more | choice.extras | everything) - choice.fewer
    return frozenset(found)


# Pipfile.lock and pylock.toml


def of_pipfile_lock(question: Question) -> Wanted:
    """Select packages by section: "default" always, "develop" if chosen."""
    document = jsontext.read_object(question.content.encode())
    groups = question.choice.groups or frozenset({MAIN})
    names = {"default" if group in (MAIN, "packages") else group for group in groups}
    names = {"develop" if name in ("dev", "dev-packages") else name for name in names}
    return select(question, _of_sections(document, names, question.target))


def _of_sections(document: Mapping[str, Any], names: Iterable[str], target: Target) -> Pairs:
    for section in names:
        for name, about in document.get(section, {}).items():
            if target.is_true(str(about.get("markers", ""))):
                yield name, str(about.get("version", ANY)).lstrip("=")


def of_pylock(question: Question) -> Wanted:
    """Select packages by markers, with the default extras and groups of an installer (PEP 751)."""
    document = tomltext.read(question.content, tomltext.LARGEST_LOCK)
    required = str(document.get("requires-python", ""))
    if required and not question.target.is_allowed(required):
        raise NotEvaluated(f"it is for Python {required}, and the image has {question.target.python}")
    choice = question.choice
    if choice.groups is None:
        choice = replace(choice, groups=frozenset(document.get("default-groups", ())))
    return select(question, _of_pylock_packages(document["packages"], choice, question.target))


def _of_pylock_packages(packages: Iterable[Mapping[str, Any]], choice: Choice, target: Target) -> Pairs:
    for package in packages:
        if target.is_true(str(package.get("marker", "")), choice):
            yield package["name"], str(package.get("version", ANY))
