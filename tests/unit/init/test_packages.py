"""Packages and tests of a project, from its lockfile and its declarations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from release.init.folder import RepositoryFolder
from release.init.packages import ProjectPackages, choose_python_version, parse_requirements, read_packages
from release.init.suite import find_test_suite


def folder(root: Path, **files: str) -> RepositoryFolder:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return RepositoryFolder(root, frozenset(files))


def read(found: RepositoryFolder) -> ProjectPackages:
    packages = read_packages(found, "")
    assert packages is not None
    return packages


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements.txt", "Flask_Login==0.6 \\\n    --hash=sha256:00\n# no\n-r other.txt\n"),
        ("uv.lock", '[[package]]\nname = "flask-login"\nversion = "0.6"\n'),
        ("pylock.toml", '[[packages]]\nname = "flask-login"\nversion = "0.6"\n'),
        ("pdm.lock", '[[package]]\nname = "flask-login"\nversion = "0.6"\n'),
        ("Pipfile.lock", json.dumps({"default": {"flask-login": {"version": "==0.6"}}})),
    ],
)
def test_versions_come_from_the_lockfile(tmp_path: Path, name: str, text: str) -> None:
    """By names as PEP 503 writes them."""
    assert read(folder(tmp_path, **{name: text})).versions["flask-login"] == "0.6"


def test_a_requirement_without_a_version_has_an_empty_one() -> None:
    """Extras and markers are no part of the name."""
    found = parse_requirements("uvicorn[standard]>=0.3 ; python_version > '3'\nhttpx==1 # why\n")
    assert found == {"uvicorn": "", "httpx": "1"}


def test_damaged_files_declare_nothing(tmp_path: Path) -> None:
    """A lockfile that nobody can read is the gate's to refuse."""
    assert read(folder(tmp_path, **{"uv.lock": "[[", "pyproject.toml": "[["})).versions == {}


@pytest.mark.parametrize(
    ("files", "python"),
    [
        ({"pyproject.toml": '[project]\nrequires-python = "<3.12,>=3.10"\n'}, "3.11"),
        ({"pyproject.toml": '[project]\nrequires-python = "nonsense"\n'}, "3.13"),
        ({".python-version": "3.12.4\n"}, "3.12"),
        ({}, "3.13"),
    ],
)
def test_the_python_of_a_new_dockerfile(tmp_path: Path, files: dict[str, str], python: str) -> None:
    """The newest that the project allows, or the one that it names."""
    assert choose_python_version(folder(tmp_path, **files)) == python
    assert choose_python_version(folder(tmp_path), "# uv pip compile --python-version 3.12 a.in") == "3.12"


def test_a_file_for_development_is_installed_with_what_it_includes(tmp_path: Path) -> None:
    """The layer of the tests needs both files."""
    found = folder(
        tmp_path,
        **{
            "requirements.txt": "flask==3\n",
            "requirements-dev.txt": "-r requirements.txt\npytest==9.1.1\n",
            "tests/test_a.py": "def test_a(): ...\n",
        },
    )
    suite = find_test_suite(found, None, read(found), None)
    assert (suite.runner, suite.install) == ("pytest", ["-r requirements-dev.txt"])
    assert suite.copy == ["tests", "requirements.txt"]


def test_tests_of_unittest_need_no_pytest(tmp_path: Path) -> None:
    """They run by the standard library."""
    text = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): ...\n"
    found = folder(tmp_path, **{"requirements.txt": "", "tests/test_a.py": text})
    suite = find_test_suite(found, None, read(found), None)
    assert (suite.runner, suite.install) == ("unittest", [])
    assert suite.command == ("python", "-m", "unittest", "discover", "-v")
