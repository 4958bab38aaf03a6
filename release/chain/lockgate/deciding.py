"""The committed files that the check of a lockfile reads, if their names can be told from their content.

A lockfile of packages from an index depends on what declares them, and on no line of the service's code. What
is built or read beyond that - a folder as a requirement, a dynamic version, settings of uv - is not followed:
then every file of the service counts.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from packaging.requirements import Requirement

from release.chain.lockgate.compiled import logical_lines, parse_compile_header
from release.chain.lockgate.detect import PDM, PIPENV, POETRY, PYLOCK, UV, Lockfile
from release.parsing import tomltext

Read = Callable[[str], bytes | None]
"""Return the content of a committed file by its path below `context`; None if there is no such file."""

_INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s+|=)(\S+)")
_FILES: Final = (
    *("--constraint", "--constraints", "--override", "--overrides", "--exclude", "--excludes"),
    *("--build-constraint", "--build-constraints"),
)
"""Options of a compilation that name a file."""

_MADE_BY_UV: Final = re.compile(r"^#\s+uv ", re.MULTILINE)
_SETTINGS: Final = "uv.toml"
_PROJECT: Final = "pyproject.toml"
_PROJECTS: Final = {POETRY: _PROJECT, PDM: _PROJECT, PIPENV: "Pipfile"}
"""Project file by lockfile, for lockfiles that hold a hash of the project file."""
_HARMLESS: Final = {"package", "dev-dependencies"}
"""Keys of `[tool.uv]` that name no file."""


def files_that_decide(
    lockfile: Lockfile, names: Collection[str], read: Read, *, source: str | None
) -> frozenset[str] | None:
    """Return the files that decide whether a lockfile is fresh, with the lockfile itself.

    Args:
        lockfile: the lockfile.
        names: all committed files below `context`.
        read: returns the content of a file.
        source: the source of a requirements.txt; None: the `.in` file of the same name.

    Returns:
        The paths below `context`; None if the files' content does not show them.
    """
    path = lockfile.path
    try:
        if lockfile.kind in _PROJECTS:
            beside = posixpath.join(posixpath.dirname(path), _PROJECTS[lockfile.kind])
            return frozenset({path, beside} & {*names})
        if lockfile.kind == UV:
            return _files_for_uv_project(path, names, read)
        if lockfile.kind == PYLOCK:
            return _files_for_pylock(path, source, names, read)
        return _files_for_requirements(path, source, names, read)
    except (ValueError, LookupError, TypeError, AttributeError):  # what is wrong the gate says
        return None


def _files_for_uv_project(lockfile: str, names: Collection[str], read: Read) -> frozenset[str] | None:
    folder = PurePosixPath(lockfile).parent
    project = (folder / _PROJECT).as_posix()
    others = [
        folder / _SETTINGS,
        *(above / name for above in folder.parents for name in (_SETTINGS, _PROJECT)),
    ]
    if any(other.as_posix() in names for other in others):  # uv takes settings and a workspace from above
        return None
    return (
        frozenset({lockfile, project})
        if is_static_project(tomltext.read(_read_text(read, project)))
        else None
    )


def _files_for_pylock(
    lockfile: str, source: str | None, names: Collection[str], read: Read
) -> frozenset[str] | None:
    if _SETTINGS in names or _MADE_BY_UV.search(_read_text(read, lockfile)):
        return None  # the command of its header may read any file
    beside = posixpath.join(posixpath.dirname(lockfile), _PROJECT)
    return frozenset({lockfile, source or beside} & {*names})


def is_static_project(project: Mapping[str, Any]) -> bool:
    """Return whether a project declares all that uv locks, by package names. Raises InvalidRequirement."""
    known, uv = project["project"], project.get("tool", {}).get("uv", {})
    if known.get("dynamic") or not uv.keys() <= _HARMLESS:
        return False
    groups = known.get("optional-dependencies", {}) | project.get("dependency-groups", {})
    declared = [*known.get("dependencies", ()), *uv.get("dev-dependencies", ())]
    declared += [each for group in groups.values() for each in group if isinstance(each, str)]
    return _are_index_packages(declared)


def static_requirements(name: str, content: str) -> list[str] | None:
    """Return the requirements that a pyproject.toml or requirements file always has; None if dynamic.

    Raises ValueError, LookupError, TypeError or AttributeError: the content has an unknown shape.
    """
    if name != _PROJECT:
        includes, declared = _includes_and_requirements(content)
        return None if includes or not _are_index_packages(declared) else declared
    document = tomltext.read(content)
    return list(document["project"].get("dependencies", ())) if is_static_project(document) else None


def _files_for_requirements(
    lockfile: str, source: str | None, names: Collection[str], read: Read
) -> frozenset[str] | None:
    if _SETTINGS in names:
        return None
    if _PROJECT in names and "uv" in tomltext.read(_read_text(read, _PROJECT)).get("tool", {}):
        return None
    made = parse_compile_header(_read_text(read, lockfile))
    if any("://" not in folder for folder in made.option_values("--find-links")):
        return None
    named = made.sources if source is None and all(name in names for name in made.sources) else ()
    beside = str(PurePosixPath(lockfile).with_suffix(".in"))
    is_compiled = bool(named) or source is not None or beside in names
    found: set[str] = {lockfile} if is_compiled else set()
    waiting = [*(named or (source or beside,)), *made.option_values(*_FILES)] if is_compiled else [lockfile]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if PurePosixPath(name).suffix not in (".in", ".txt"):
            return None
        found.add(name)
        includes, declared = _includes_and_requirements(_read_text(read, name))
        waiting += [posixpath.normpath(posixpath.join(posixpath.dirname(name), each)) for each in includes]
        if not _are_index_packages(declared):
            return None
    return frozenset(found)


def _includes_and_requirements(text: str) -> tuple[list[str], list[str]]:
    """Return the included files and the requirements of a file (pip, "Requirements File Format")."""
    lines = logical_lines(text)
    includes = {line: match[1] for line in lines if (match := _INCLUDE.fullmatch(line))}
    declared = [re.sub(r"\s--hash=\S+", "", line) for line in lines if line not in includes]
    return list(includes.values()), declared


def _are_index_packages(declared: Iterable[str]) -> bool:
    """Return whether all are packages by name. Raises InvalidRequirement: an option, or a folder."""
    return all(Requirement(each).url is None for each in declared)


def _read_text(read: Read, name: str) -> str:
    content = read(name)
    if content is None:
        raise LookupError(name)
    return content.decode("utf-8-sig")
