"""Tests of a repository: runner, requirements and files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from release.config import RUFF
from release.init.application import Application
from release.init.folder import RepositoryFolder
from release.init.image import ExistingDockerfile
from release.init.packages import ProjectPackages, normalised_name
from release.values import Struct

PYTEST: Final = "pytest==9.1.1"
"""Requirement for tests with pytest if no file names a version."""

_SETTINGS: Final = ("conftest.py", "pytest.ini", "tox.ini", "setup.cfg")


class ServiceTests(Struct, frozen=True, kw_only=True):
    """Tests as `[tool.release.test]` runs them."""

    runner: str
    """"pytest", "django", "unittest", or empty without tests."""
    target: str | None = None
    command: Sequence[str] = ()
    """Command; None means the usual command of pytest."""
    install: Sequence[str] = ()
    copy: Sequence[str] = ()
    ruff: str | None = None
    """Requirement of the linter, if the repository configures it."""


def find_test_suite(
    folder: RepositoryFolder,
    application: Application | None,
    packages: ProjectPackages | None,
    image: ExistingDockerfile | None,
) -> ServiceTests:
    """Return the tests of a repository."""
    files = [path for path in folder.files if _is_test_file(path)]
    uses_pytest = _uses_pytest(folder, packages, files)
    ruff = _ruff_requirement(folder, packages)
    django = application is not None and application.framework == "Django" and not uses_pytest
    runner = ("django" if django else "pytest" if uses_pytest else "unittest") if files else ""
    if not runner:
        return ServiceTests(runner="", ruff=ruff)
    if image is not None and image.tests:
        command = () if runner == "pytest" else _test_command(runner, application)
        return ServiceTests(runner=runner, target=image.tests, command=command, ruff=ruff)
    install = list(packages.tests) if packages is not None else []
    if uses_pytest and not any(
        _names_package(each, "pytest") for each in _requirements_for_tests(folder, packages, install)
    ):
        install.append(PYTEST)
    if uses_pytest and _needs_httpx(folder, packages, files, install):
        install.append("httpx")
    if not uses_pytest:
        install = [each for each in install if each.startswith("-r")]
    copied = _test_files_to_copy(folder, files)
    extra = packages.extra_files if packages is not None and install else ()
    return ServiceTests(
        runner=runner,
        command=() if runner == "pytest" else _test_command(runner, application),
        install=install,
        copy=[*copied, *extra],
        ruff=ruff,
    )


def _is_test_file(path: str) -> bool:
    parts = PurePosixPath(path).parts
    name = parts[-1]
    within = any(part in ("tests", "test") for part in parts[:-1])
    named = name.startswith("test_") or name.endswith("_test.py") or name == "tests.py"
    return (
        name.endswith(".py") and (named or (within and name != "__init__.py")) and "node_modules" not in parts
    )


def _uses_pytest(folder: RepositoryFolder, packages: ProjectPackages | None, files: Sequence[str]) -> bool:
    tool = folder.project_file.get("tool")
    configured = isinstance(tool, dict) and "pytest" in tool
    declared = packages is not None and packages.has("pytest")
    named = packages is not None and any(
        "pytest" in line for line in _requirements_for_tests(folder, packages, packages.tests)
    )
    configured = (
        configured or folder.first_existing("pytest.ini", "conftest.py", "tests/conftest.py") is not None
    )
    if configured or declared or named:
        return True
    texts = [folder.read_text(path) for path in files[:200]]
    plain = [text for text in texts if "unittest" not in text and "django.test" not in text]
    return any("import pytest" in text for text in texts) or any(
        re.search(r"^(?:async )?def test_", text, re.MULTILINE) for text in plain
    )


def _requirements_for_tests(
    folder: RepositoryFolder, packages: ProjectPackages | None, install: Sequence[str]
) -> list[str]:
    """Return the requirements of the tests, also from files."""
    found = list(install)
    for each in install:
        if each.startswith("-r "):
            found += folder.read_text(each.removeprefix("-r ")).splitlines()
    for path in packages.extra_files if packages is not None else ():
        found += folder.read_text(path).splitlines()
    return found


def _names_package(line: str, name: str) -> bool:
    match = re.match(r"[A-Za-z0-9._-]+", line)
    return match is not None and normalised_name(match[0]) == name


def _needs_httpx(
    folder: RepositoryFolder, packages: ProjectPackages | None, files: Sequence[str], install: Sequence[str]
) -> bool:
    """Return whether tests use Starlette's client while no requirement installs httpx."""
    known = packages is not None and packages.has("httpx")
    if known or any(
        _names_package(each, "httpx") for each in _requirements_for_tests(folder, packages, install)
    ):
        return False
    return any("testclient import" in folder.read_text(path) for path in files[:200])


def _test_command(runner: str, application: Application | None) -> tuple[str, ...]:
    if runner == "django" and application is not None:
        return ("python", "manage.py", "test")
    return ("python", "-m", "unittest", "discover", "-v")


def _test_files_to_copy(folder: RepositoryFolder, files: Sequence[str]) -> list[str]:
    """Return folders and files of the tests that are not in the image."""
    tops = sorted({_top_folder(path) for path in files if _is_excluded_test(path)})
    settings: list[str] = [path for path in _SETTINGS if path in folder.files]
    tool = folder.project_file.get("tool")
    if isinstance(tool, dict) and "pytest" in tool:
        settings.append("pyproject.toml")
    return [*tops, *settings]


def _is_excluded_test(path: str) -> bool:
    """Return whether the new .dockerignore excludes this test."""
    return path.startswith(("tests/", "test/")) or "/" not in path


def _top_folder(path: str) -> str:
    return path.partition("/")[0]


def _ruff_requirement(folder: RepositoryFolder, packages: ProjectPackages | None) -> str | None:
    tool = folder.project_file.get("tool")
    configured = isinstance(tool, dict) and "ruff" in tool
    if not configured and folder.first_existing("ruff.toml", ".ruff.toml") is None:
        return None
    version = packages.versions.get("ruff") if packages is not None else ""
    return f"ruff=={version}" if version else RUFF
