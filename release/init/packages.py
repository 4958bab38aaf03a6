"""Packages of a project: declared names, and versions in the lockfile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from release.chain.lockgate.detect import PIPENV, REQUIREMENTS, detect_lockfile
from release.config import Lock
from release.init.folder import RepositoryFolder
from release.parsing.tomltext import LARGEST_LOCK
from release.values import Struct

PYTHONS: Final = ("3.13", "3.12", "3.11", "3.14", "3.10")
"""Versions of Python for a new Dockerfile; the first one that the project allows is used."""

DEVELOPMENT: Final = (
    *("requirements-dev.txt", "requirements-test.txt", "requirements-tests.txt", "dev-requirements.txt"),
    *("test-requirements.txt", "requirements_dev.txt", "requirements/dev.txt", "requirements/test.txt"),
    *("requirements/tests.txt", "requirements/testing.txt", "requirements/development.txt"),
)
"""Usual names of the file with the packages that tests need."""

_NOT_FOR_TESTS: Final = frozenset(
    {
        *("ruff", "mypy", "black", "isort", "flake8", "pylint", "pre-commit", "tox", "nox", "invoke"),
        *("release", "ipython", "ipdb", "pyright", "build", "twine"),
    }
)
_LINE: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?:==\s*([^\s;\\,#]+))?")


class ProjectPackages(Struct, frozen=True, kw_only=True):
    """Package names in the form of PEP 503, with the locked version or an empty text."""

    lock: str
    """Path of the lockfile."""
    kind: str
    has_hashes: bool
    """True if the lockfile is a requirements.txt with hashes."""
    versions: Mapping[str, str]
    tests: tuple[str, ...]
    """Requirements for the tests only, in pip's form."""
    extra_files: tuple[str, ...]
    """Files to which these requirements refer."""
    python: str

    def has(self, *names: str) -> bool:
        """Return whether the project has one of these packages."""
        return any(name in self.versions for name in names)


def read_packages(folder: RepositoryFolder, dockerfile: str) -> ProjectPackages | None:
    """Return the packages of lockfile and project file; None if there is no lockfile."""
    found = detect_lockfile(Lock(), folder.files, dockerfile)
    if found is None:
        return None
    versions = _read_locked_versions(folder, found.path, found.kind) | {}
    for name in _declared_package_names(folder):
        versions.setdefault(name, "")
    install, files = _test_requirements(folder, versions)
    return ProjectPackages(
        lock=found.path,
        kind=found.kind,
        has_hashes="--hash=" in folder.read_text(found.path),
        versions=versions,
        tests=install,
        extra_files=files,
        python=choose_python_version(
            folder, folder.read_text(found.path) if found.kind == REQUIREMENTS else ""
        ),
    )


def normalised_name(name: str) -> str:
    """Return a package's name in the form of PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _read_locked_versions(folder: RepositoryFolder, path: str, kind: str) -> dict[str, str]:
    if kind == REQUIREMENTS:
        return parse_requirements(folder.read_text(path))
    if kind == PIPENV:
        document = folder.read_json(path)
        tables = [document.get(key) for key in ("default", "develop")]
        return {
            normalised_name(name): str(each.get("version", "")).removeprefix("==")
            for table in tables
            if isinstance(table, dict)
            for name, each in table.items()
            if isinstance(each, dict)
        }
    document = folder.read_toml(path, LARGEST_LOCK)
    entries = document.get("package", document.get("packages", []))
    named = [each for each in entries if isinstance(each, dict) and isinstance(each.get("name"), str)]
    return {normalised_name(each["name"]): str(each.get("version", "")) for each in named}


def parse_requirements(text: str) -> dict[str, str]:
    """Return the packages of a requirements file, each with its version if it is pinned."""
    lines = (line.partition("#")[0] for line in text.splitlines() if not line.startswith((" ", "-", "\t")))
    found = (_LINE.match(line) for line in lines)
    return {normalised_name(match[1]): match[2] or "" for match in found if match}


def _declared_package_names(folder: RepositoryFolder) -> list[str]:
    """Return the packages of pyproject.toml and Pipfile, for the service and for development."""
    project, tool = (
        _subtable(folder.project_file, "project"),
        _subtable(folder.project_file, "tool"),
    )
    texts = [*_list_of_texts(project.get("dependencies")), *_development_names(folder.project_file)]
    poetry = _subtable(tool, "poetry")
    names = [*_subtable(poetry, "dependencies"), *_poetry_development_names(poetry)]
    pipfile = folder.read_toml("Pipfile")
    names += [*_subtable(pipfile, "packages"), *_subtable(pipfile, "dev-packages")]
    return [*map(normalised_name, names), *(name for text in texts for name in parse_requirements(text))]


def _development_names(project_file: Mapping[str, Any]) -> list[str]:
    groups = _subtable(project_file, "dependency-groups")
    extras = _subtable(_subtable(project_file, "project"), "optional-dependencies")
    pdm = _subtable(_subtable(_subtable(project_file, "tool"), "pdm"), "dev-dependencies")
    named = ("dev", "test", "tests", "testing", "development")
    uv = _list_of_texts(_subtable(_subtable(project_file, "tool"), "uv").get("dev-dependencies"))
    return [
        *(
            text
            for table in (groups, extras, pdm)
            for name in named
            for text in _list_of_texts(table.get(name))
        ),
        *uv,
    ]


def _poetry_development_names(poetry: Mapping[str, Any]) -> list[str]:
    groups = _subtable(poetry, "group")
    tables = [_subtable(_subtable(groups, name), "dependencies") for name in ("dev", "test", "tests")]
    return [name for table in (*tables, _subtable(poetry, "dev-dependencies")) for name in table]


def _test_requirements(
    folder: RepositoryFolder, versions: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return pip's requirements for the tests, and the files that pip reads for them."""
    file = folder.first_existing(*DEVELOPMENT)
    if file is not None:
        return (f"-r {file}",), tuple(_included_files(folder, file))
    poetry = _subtable(_subtable(folder.project_file, "tool"), "poetry")
    pipfile = _subtable(folder.read_toml("Pipfile"), "dev-packages")
    declared = [name for text in _development_names(folder.project_file) for name in parse_requirements(text)]
    names = dict.fromkeys(map(normalised_name, [*declared, *_poetry_development_names(poetry), *pipfile]))
    wanted = [name for name in names if name not in _NOT_FOR_TESTS]
    return tuple(f"{name}=={versions[name]}" if versions.get(name) else name for name in wanted), ()


def _included_files(folder: RepositoryFolder, file: str) -> Iterable[str]:
    above = file.rpartition("/")[0]
    for match in re.finditer(r"^-[rc]\s*(\S+)", folder.read_text(file), re.MULTILINE):
        path = f"{above}/{match[1]}" if above else match[1]
        if path in folder.files:
            yield path


def choose_python_version(folder: RepositoryFolder, header: str = "") -> str:
    """Return the version of Python for a new Dockerfile, as "3.13"."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    written = re.search(r"--python-version[ =](3\.\d+)|with Python (3\.\d+)", header[:2000])
    if written:
        return written[1] or written[2]
    own = re.search(r"^\s*(?:python@?|cpython-)?(3\.\d+)", folder.read_text(".python-version"), re.MULTILINE)
    image = own or _python_of_images(folder)
    if image:
        return image[1]
    asked = _subtable(folder.project_file, "project").get("requires-python", "")
    try:
        allowed = SpecifierSet(asked if isinstance(asked, str) else "")
    except InvalidSpecifier:
        return PYTHONS[0]
    return next((each for each in PYTHONS if allowed.contains(f"{each}.5")), PYTHONS[0])


def _python_of_images(folder: RepositoryFolder) -> re.Match[str] | None:
    """Return the version in a Dockerfile that has another name, as Dockerfile.prod or deploy/Dockerfile."""
    paths = sorted(path for path in folder.files if PurePosixPath(path).name.startswith("Dockerfile"))
    found = (_BASE.search(folder.read_text(path)) for path in paths)
    return next(filter(None, found), None)


_BASE: Final = re.compile(r"^FROM\s+(?:--\S+\s+)*\S*\bpython:(3\.\d+)", re.MULTILINE | re.IGNORECASE)


def open_requirements(text: str) -> list[str]:
    """Return the entries of a requirements file that name no exact version: a range, or nothing."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if _OPEN.fullmatch(line.partition(";")[0].strip())]


_OPEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*(?:(?:[<>~!]=?)(?![^,]*://).*)?")


def _subtable(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _list_of_texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
