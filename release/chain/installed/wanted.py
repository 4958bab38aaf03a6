"""The packages that a lockfile locks for the Python and the platform of an image.

One function for each kind of lockfile. Nothing is resolved: locked packages are selected by groups, extras
and markers. For uv.lock, `uv export --frozen` selects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from release.chain.installed.choosing import MAIN, InstallOptions
from release.chain.installed.target import LockfileNotEvaluated, PythonTarget
from release.chain.lockgate.deciding import Read
from release.chain.lockgate.entries import RequirementEntry, parse_requirements_file, without_constraints
from release.parsing import tomltext
from release.values import Struct

ANY: Final = ""
"""Version of a package that the lockfile locks without a version: a folder, a URL, a commit."""


class LockedPackages(Struct, frozen=True, kw_only=True):
    """Locked names and versions; several versions of one name are alternatives."""

    required: Mapping[str, frozenset[str]]
    allowed: Mapping[str, frozenset[str]]
    """Packages that may be installed: the required ones, or all locked ones for an unknown choice."""


class LockfileQuery(Struct, frozen=True, kw_only=True):
    """A lockfile, and the image that the lockfile is evaluated for."""

    content: str
    path: str
    """Path of the lockfile below `context`."""
    packages: Mapping[str, str]
    """All locked versions by name; several versions are joined with ", "."""
    choice: InstallOptions
    target: PythonTarget
    read: Read
    """Return a committed file by its path below `context`."""
    beside: Callable[[str], str]
    """Return the path of a file in the lockfile's folder."""
    export: Callable[[tuple[str, ...]], str]
    """Return the output of `uv export` with these options. Raises LockfileNotEvaluated."""
    installed_files: tuple[str, ...] = ()
    """Requirements files that the Dockerfile installs."""
    only_limits: bool = False
    """True: the Dockerfile uses the lockfile for constraints only (`pip install -c`)."""


Pairs = Iterable[tuple[str, str]]


def _versions_by_name(pairs: Pairs) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name, version in pairs:
        found.setdefault(canonicalize_name(name), set()).add(version)
    return {name: frozenset(versions) for name, versions in sorted(found.items())}


def all_locked_packages(packages: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return all locked packages by name, with the versions that records keep."""
    return {name: frozenset(versions.split(", ")) for name, versions in packages.items()}


def read_project_beside(question: LockfileQuery) -> Mapping[str, Any]:
    """Return the pyproject.toml beside a lockfile. Raises LockfileNotEvaluated: there is none."""
    content = question.read(question.beside("pyproject.toml"))
    if content is None:
        raise LockfileNotEvaluated("there is no pyproject.toml beside it")
    return tomltext.read(content)


def select_locked(question: LockfileQuery, pairs: Pairs) -> LockedPackages:
    """Return the selected packages as required; for an unknown choice, allow all locked packages."""
    required = _versions_by_name(pairs)
    if question.choice.is_known:
        return LockedPackages(required=required, allowed=required)
    return LockedPackages(required=required, allowed={**all_locked_packages(question.packages), **required})


# requirements files


def select_from_requirements(question: LockfileQuery) -> LockedPackages:
    """Select the entries of the lockfile and of other requirements files that the Dockerfile installs."""
    if question.only_limits:
        limits = _versions_by_name(_entries_of_file(question, question.path))
        return LockedPackages(required={}, allowed=limits)
    files = dict.fromkeys((question.path, *question.installed_files))
    found = [entry for file in files for entry in _entries_of_file(question, file)]
    return select_locked(question, found)


def _entries_of_file(question: LockfileQuery, file: str) -> Iterator[tuple[str, str]]:
    entries = parse_requirements_file(file, question.read)
    for entry in without_constraints(entries):
        yield from _package_of_entry(entry, question)


def _package_of_entry(entry: RequirementEntry, question: LockfileQuery) -> Iterator[tuple[str, str]]:
    requirement = entry.requirement
    marker = str(requirement.marker) if requirement is not None and requirement.marker else ""
    if not question.target.evaluate_marker(marker, question.choice):
        return
    name, version = entry.name, entry.pinned_version
    if entry.url_or_path:
        name, version = _package_of_wheel_url(entry.url_or_path) or (name, ANY)
    if name:  # a folder without a name is the project's own code, and found by its address
        yield name, version


def _package_of_wheel_url(address: str) -> tuple[str, str] | None:
    file = address.partition("#")[0].partition("?")[0].rpartition("/")[2]
    try:
        name, version, *_ = parse_wheel_filename(file)
    except InvalidWheelFilename:
        return None
    return name, str(version)


# uv.lock

_UV_FLAGS: Final = frozenset(
    {
        *("--no-dev", "--only-dev", "--all-extras", "--all-groups", "--no-default-groups"),
        *("--all-packages",),
    }
)
_UV_VALUES: Final = frozenset(
    {"--extra", "--no-extra", "--group", "--no-group", "--only-group", "--package", "--no-install-package"}
)


def select_from_uv_lock(question: LockfileQuery) -> LockedPackages:
    """Select packages with `uv export`, with the options of the Dockerfile's install command."""
    lines = question.export(uv_export_options(question.choice))
    read = parse_requirements_file("-", lambda name: lines.encode() if name == "-" else None)
    return select_locked(
        question, (pair for entry in without_constraints(read) for pair in _package_of_entry(entry, question))
    )


def uv_export_options(choice: InstallOptions) -> tuple[str, ...]:
    """Return the options of `uv export` for a choice."""
    if choice.groups is not None:
        words = ["--no-default-groups"]
        for group in sorted(choice.groups - {MAIN}):
            words += ["--group", group]
        for extra in sorted(choice.extras):
            words += ["--extra", extra]
        return tuple(words)
    return tuple(_convert_uv_options(choice.uv_words))


def _convert_uv_options(words: tuple[str, ...]) -> Iterator[str]:
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, has_value, _ = word.partition("=")
        given = name.replace("--no-install-package", "--no-emit-package")
        if name in _UV_VALUES and has_value:
            yield given + word[len(name) :]
        elif name in _UV_VALUES and waiting:
            yield from (given, waiting.pop(0))
        elif word in _UV_FLAGS:
            yield word
