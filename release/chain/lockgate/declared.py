"""Requirements as a project declares them: pyproject.toml of any tool, and Pipfile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from release.values import Struct


class DeclaredRequirement(Struct, frozen=True, kw_only=True):
    """One declared requirement."""

    name: str
    """Normalised name."""
    extras: frozenset[str] = frozenset()
    bound: str = ""
    """Version bound as written; empty if any version is allowed or the package is not from an index."""
    group: str = ""
    """Extra or group that declares the requirement; empty for the service's own requirements."""
    is_conditional: bool = False
    """True: a marker, a Python or a platform limits the requirement."""

    def __str__(self) -> str:
        """Return the requirement as "alpha[more]>=1"."""
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        return f"{self.name}{extras}{self.bound if self.bound[:1] in '<>=!~' else ' ' + self.bound}"

    @property
    def specifier(self) -> SpecifierSet | None:
        """Return the bound in PEP 440 form; None if the bound has no such form."""
        return to_specifier_set(self.bound)


def parse_project_requirements(document: Mapping[str, Any]) -> Iterator[DeclaredRequirement]:
    """Return what `[project]` and `[dependency-groups]` declare."""
    project = document.get("project", {})
    yield from _parse_requirement_lines(project.get("dependencies", ()), "")
    for extra, lines in project.get("optional-dependencies", {}).items():
        yield from _parse_requirement_lines(lines, f"extra {canonicalize_name(extra)}")
    for group, lines in document.get("dependency-groups", {}).items():
        yield from _parse_requirement_lines(
            (line for line in lines if isinstance(line, str)), f"group {canonicalize_name(group)}"
        )


def parse_pdm_requirements(document: Mapping[str, Any]) -> Iterator[DeclaredRequirement]:
    """Return what a project of PDM declares."""
    yield from parse_project_requirements(document)
    for group, lines in document.get("tool", {}).get("pdm", {}).get("dev-dependencies", {}).items():
        yield from _parse_requirement_lines(
            (line for line in lines if not line.startswith("-e")), f"group {group}"
        )


def parse_poetry_requirements(document: Mapping[str, Any]) -> Iterator[DeclaredRequirement]:
    """Return what a project of Poetry declares."""
    yield from parse_project_requirements(document)
    poetry = document.get("tool", {}).get("poetry", {})
    groups = {
        "": poetry.get("dependencies", {}) if not document.get("project", {}).get("dependencies") else {},
        "group dev": poetry.get("dev-dependencies", {}),
        **{f"group {name}": table.get("dependencies", {}) for name, table in poetry.get("group", {}).items()},
    }
    for group, table in groups.items():
        yield from _parse_requirement_table(table, group)


def parse_pipfile_requirements(document: Mapping[str, Any]) -> Iterator[DeclaredRequirement]:
    """Return what a Pipfile declares."""
    for section, table in document.items():
        if section not in ("source", "requires", "scripts", "pipenv"):
            yield from _parse_requirement_table(table, "" if section == "packages" else f"group {section}")


def poetry_python_bound(document: Mapping[str, Any]) -> str:
    """Return the Python bound that a project of Poetry declares."""
    legacy = document.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python", "")
    return str(document.get("project", {}).get("requires-python") or legacy)


def _parse_requirement_lines(lines: Iterable[str], group: str) -> Iterator[DeclaredRequirement]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        yield DeclaredRequirement(
            name=canonicalize_name(requirement.name),
            extras=frozenset(map(canonicalize_name, requirement.extras)),
            bound=str(requirement.specifier),
            group=group,
            is_conditional=requirement.marker is not None,
        )


_CONDITIONS = ("markers", "python", "platform", "platforms", "sys_platform", "os_name", "python_version")


def _parse_requirement_table(table: Mapping[str, Any], group: str) -> Iterator[DeclaredRequirement]:
    for name, value in table.items():
        for each in value if isinstance(value, list) else [value]:
            entry = {"version": each} if isinstance(each, str) else each
            if name.lower() != "python":
                yield DeclaredRequirement(
                    name=canonicalize_name(name),
                    extras=frozenset(map(canonicalize_name, entry.get("extras", ()))),
                    bound=str(entry.get("version", "")).removeprefix("*"),
                    group=group,
                    is_conditional=any(key in entry for key in _CONDITIONS) or isinstance(value, list),
                )


def to_specifier_set(bound: str) -> SpecifierSet | None:
    """Return a bound of Poetry or PEP 440, as "^1.2" or ">=1,<2", in PEP 440 form; None if impossible."""
    parts = [part.replace(" ", "") for part in re.split(r",|(?<=[\w*])\s+(?=[<>=!~^])", bound)]
    try:
        return SpecifierSet(",".join(_bound_to_pep440(part) for part in parts))
    except (InvalidSpecifier, ValueError):
        return None


def _bound_to_pep440(part: str) -> str:
    """Return one bound of Poetry in PEP 440 form (Poetry, "Dependency specification")."""
    if part in ("", "*"):
        return ""
    if part[0] == "^" or (part[0] == "~" and not part.startswith("~=")):
        numbers = [int(each) for each in part[1:].split(".")]
        return f">={part[1:]},<{'.'.join(map(str, _excluded_version(numbers, part[0])))}"
    return f"=={part}" if part[0].isdigit() else part


def _excluded_version(numbers: list[int], sign: str) -> list[int]:
    """Return the first version that a caret or tilde bound excludes."""
    if sign == "~":
        kept = min(len(numbers), 2)
    else:
        kept = next((place for place, number in enumerate(numbers, 1) if number), len(numbers))
    return [*numbers[: kept - 1], numbers[kept - 1] + 1]
