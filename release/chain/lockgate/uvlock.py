"""uv.lock, read without uv: locked packages, and the project's declarations.

`uv lock --check` needs an interpreter that the project allows. On a machine without one, what is declared is
compared with what the lockfile says was declared, as far as the files tell it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from release.chain.lockgate.deciding import is_static_project
from release.parsing import tomltext

Declared = tuple[str, str, str, str]
"""Group, name with extras, specifier and marker of one requirement."""


def parse_uv_lock(content: str) -> dict[str, str]:
    """Return names and versions in a uv.lock; several versions of one name are joined with ", ".

    Raises ValueError, LookupError, TypeError or AttributeError: the lockfile is damaged.
    """
    packages: dict[str, list[str]] = {}
    for package in tomltext.read(content, tomltext.LARGEST_LOCK).get("package", []):
        if "version" in package:
            packages.setdefault(str(package["name"]), []).append(str(package["version"]))
    return {name: ", ".join(sorted(versions)) for name, versions in packages.items()}


def describe_uv_differences(project: str, lock: str, *, with_settings: bool = True) -> str | None:
    """Return differences between lockfile and project, as "six==1.17.0 is not locked".

    Args:
        project: the text of pyproject.toml.
        lock: the text of uv.lock.
        with_settings: whether settings of uv count. Without them, an empty result proves nothing.

    Raises:
        ValueError, LookupError, TypeError: these files do not show the differences.
    """
    declared, locked = tomltext.read(project), tomltext.read(lock, tomltext.LARGEST_LOCK)
    if not with_settings:
        declared.get("tool", {}).pop("uv", None)
    if not is_static_project(declared):
        raise ValueError(
            "pyproject.toml has dynamic or missing requirements, so it does not show all that is locked"
        )
    own, entry = declared["project"], _project_entry(locked, declared["project"]["name"])
    wanted, there = own.get("requires-python", ""), locked.get("requires-python", "")
    if SpecifierSet(wanted) != SpecifierSet(there):
        return f"requires-python is {wanted or 'not set'}, and {there or 'not set'} is locked"
    if "version" in own and own["version"] != entry.get("version"):
        return f"the project's version is {own['version']}, and {entry.get('version')} is locked"
    return _describe_difference(set(_declared_requirements(declared)), set(_locked_requirements(entry)))


def _project_entry(lock: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    wanted = canonicalize_name(name)
    return next(
        package
        for package in lock["package"]
        if package["name"] == wanted and package.get("source", {}).keys() & {"virtual", "editable"}
    )


def _describe_difference(declared: set[Declared], locked: set[Declared]) -> str | None:
    if declared == locked:
        return None
    new, old = ({each[:3] for each in side} for side in (declared, locked))
    if new == old:
        raise ValueError("markers are written in several ways")
    missing = sorted(f"{name}{specifier} is not locked" for _, name, specifier in new - old)
    surplus = sorted(f"{name}{specifier} is locked and not declared" for _, name, specifier in old - new)
    return ", ".join([*missing, *surplus][:8])


def _declared_requirements(document: Mapping[str, Any]) -> Iterator[Declared]:
    project = document["project"]
    yield from _parse_requirements("", project.get("dependencies", ()))
    for extra, lines in project.get("optional-dependencies", {}).items():
        yield from _parse_requirements(f"extra {canonicalize_name(extra)}", lines)
    for group, lines in document.get("dependency-groups", {}).items():
        yield from _parse_requirements(f"group {canonicalize_name(group)}", lines)


def _parse_requirements(group: str, lines: Iterable[str]) -> Iterator[Declared]:
    for line in lines:
        requirement = Requirement(line)  # of another table, as `include-group`: TypeError
        name = _name_with_extras(requirement.name, requirement.extras)
        yield group, name, str(requirement.specifier), str(requirement.marker or "")


def _locked_requirements(entry: Mapping[str, Any]) -> Iterator[Declared]:
    metadata = entry.get("metadata", {})
    groups = {"": metadata.get("requires-dist", ())}
    groups |= {f"group {name}": lines for name, lines in metadata.get("requires-dev", {}).items()}
    for group, lines in groups.items():
        for line in lines:
            marker, place = str(line.get("marker", "")), group
            if marker.startswith("extra == ") and " and " not in marker:
                marker, place = "", f"extra {marker.split()[2].strip(chr(39))}"
            elif "extra ==" in marker:
                raise ValueError("markers are written in several ways")
            if marker:
                marker = str(Requirement(f"x ; {marker}").marker)
            specifier = str(SpecifierSet(line.get("specifier", "")))
            yield place, _name_with_extras(line["name"], line.get("extras", ())), specifier, marker


def _name_with_extras(name: str, extras: Iterable[str]) -> str:
    wanted = ",".join(sorted(map(canonicalize_name, extras)))
    return f"{canonicalize_name(name)}[{wanted}]" if wanted else canonicalize_name(name)
