"""What a lockfile holds for an image, by kind."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Mapping

import pytest

from release.chain.installed.choosing import InstallOptions
from release.chain.installed.grouped import (
    select_from_pdm_lock,
    select_from_pipfile_lock,
    select_from_poetry_lock,
    select_from_pylock,
)
from release.chain.installed.target import LockfileNotEvaluated, PythonTarget
from release.chain.installed.wanted import (
    LockedPackages,
    LockfileQuery,
    select_from_requirements,
    select_from_uv_lock,
)

TARGET = PythonTarget(python="3.13", exact_version=None, platform="linux/arm64")
MAIN = InstallOptions(source="", groups=frozenset({"main"}))


def ask(
    adapter: Callable[[LockfileQuery], LockedPackages],
    content: str,
    choice: InstallOptions = MAIN,
    files: Mapping[str, str] | None = None,
    packages: Mapping[str, str] | None = None,
    target: PythonTarget = TARGET,
) -> LockedPackages:
    known = {"lock": content, "pyproject.toml": "", **(files or {})}
    return adapter(
        LockfileQuery(
            content=content,
            path="lock",
            packages=packages or {},
            choice=choice,
            target=target,
            read=lambda name: known[name].encode() if name in known else None,
            beside=lambda name: posixpath.join("", name),
            export=lambda _: content,
        )
    )


def versions(wanted: Mapping[str, frozenset[str]]) -> dict[str, str]:
    return {name: " ".join(sorted(found)) for name, found in wanted.items()}


REQUIREMENTS = """\
--index-url https://index.example/simple
-c limits.txt
six==1.17.0 --hash=sha256:aa \\
    --hash=sha256:bb
colorama==0.4.6 ; sys_platform == 'win32'
old==1 ; python_version < '3.13'
arm==2 ; platform_machine == 'aarch64'
-e ./libs/mine
wheel @ https://example.org/Fancy_Name-1.5-py3-none-any.whl
repo @ git+https://example.org/repo@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
"""


@pytest.mark.parametrize("adapter", [select_from_requirements, select_from_uv_lock])
def test_markers_are_those_of_the_image(adapter: Callable[[LockfileQuery], LockedPackages]) -> None:
    """Another machine and another Python than here; a constraint installs nothing."""
    found = ask(adapter, REQUIREMENTS, files={"limits.txt": "other==1", "-": REQUIREMENTS})
    expected = {"six": "1.17.0", "arm": "2", "fancy-name": "1.5", "repo": ""}
    assert versions(found.required) == expected
    assert found.allowed == found.required


def test_a_marker_that_no_image_answers_is_not_guessed() -> None:
    """Kernels differ from machine to machine; a patch level may not be in the image."""
    for marker in ("platform_release >= '6'", "python_full_version < '3.13.4'"):
        with pytest.raises(LockfileNotEvaluated):
            ask(select_from_requirements, f"six==1 ; {marker}")
    exact = PythonTarget(python="3.13", exact_version="3.13.3", platform="linux/amd64")
    found = ask(select_from_requirements, "six==1 ; python_full_version < '3.13.4'", target=exact)
    assert versions(found.required) == {"six": "1"}


POETRY = """\
[[package]]
name = "six"
version = "1.17.0"
groups = ["main", "dev"]
[[package]]
name = "pytest"
version = "9.0"
groups = ["dev"]
[[package]]
name = "psycopg"
version = "3.2"
optional = true
groups = ["main"]
markers = "extra == \\"pg\\""
[[package]]
name = "both"
version = "1.0"
groups = ["main", "dev"]
markers = {main = "python_version < \\"3.0\\"", dev = "python_version > \\"3.0\\""}
[metadata]
lock-version = "2.1"
"""
POETRY_PROJECT = """\
[tool.poetry.dependencies]
python = "^3.11"
six = "^1"
[tool.poetry.group.dev.dependencies]
pytest = "*"
[tool.poetry.group.docs]
optional = true
[tool.poetry.group.docs.dependencies]
sphinx = "*"
"""


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (MAIN, {"six"}),
        (InstallOptions(source="", groups=frozenset({"main"}), extras=frozenset({"pg"})), {"six", "psycopg"}),
        (InstallOptions(source=""), {"six", "pytest", "both"}),
        (InstallOptions(source="", removed_groups=frozenset({"dev"})), {"six"}),
        (InstallOptions(source="", no_defaults=True), {"six"}),
    ],
)
def test_groups_of_poetry(choice: InstallOptions, expected: set[str]) -> None:
    """By itself Poetry installs every group that is not optional."""
    found = ask(select_from_poetry_lock, POETRY, choice, {"pyproject.toml": POETRY_PROJECT})
    assert set(found.required) == expected


POETRY_1 = """\
[[package]]
name = "flask"
version = "3.0"
python-versions = ">=3.8"
[package.dependencies]
click = ">=8"
zipp = {version = "*", markers = "python_version < \\"3.10\\""}
[package.extras]
async = ["asgiref (>=3)"]
[[package]]
name = "click"
version = "8.1"
python-versions = ">=3.8"
[[package]]
name = "zipp"
version = "1"
python-versions = ">=3.8"
[[package]]
name = "asgiref"
version = "3"
python-versions = ">=3.8"
[[package]]
name = "pytest"
version = "9"
python-versions = ">=3.8"
[metadata]
lock-version = "2.0"
"""


def test_a_lockfile_of_poetry_1_is_followed_from_what_is_declared() -> None:
    """It says for no package which group needs it."""
    project = '[tool.poetry.dependencies]\nflask = {version = "*", extras = ["async"]}\n'
    project += '[tool.poetry.group.dev.dependencies]\npytest = "*"\n'
    found = ask(select_from_poetry_lock, POETRY_1, MAIN, {"pyproject.toml": project})
    assert set(found.required) == {"flask", "click", "asgiref"}


PDM = """\
[metadata]
groups = ["default", "dev", "pg"]
[[package]]
name = "six"
version = "1.17.0"
groups = ["default"]
[[package]]
name = "pytest"
version = "9.0"
groups = ["dev"]
[[package]]
name = "psycopg"
version = "3.2"
groups = ["pg"]
marker = "sys_platform == \\"linux\\""
"""


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (InstallOptions(source=""), {"six", "pytest"}),
        (InstallOptions(source="", no_defaults=True), {"six"}),
        (InstallOptions(source="", no_defaults=True, added_groups=frozenset({"pg"})), {"six", "psycopg"}),
        (InstallOptions(source="", no_defaults=True, all_groups=True), {"six", "psycopg"}),
    ],
)
def test_groups_of_pdm(choice: InstallOptions, expected: set[str]) -> None:
    """By itself PDM installs the groups of development."""
    project = '[project]\nname = "a"\n[dependency-groups]\ndev = ["pytest"]\n'
    found = ask(select_from_pdm_lock, PDM, choice, {"pyproject.toml": project})
    assert set(found.required) == expected


def test_a_pdm_lock_without_groups_is_not_evaluated() -> None:
    """The message has the command that writes them."""
    with pytest.raises(LockfileNotEvaluated, match="inherit_metadata"):
        ask(select_from_pdm_lock, '[metadata]\n[[package]]\nname = "six"\nversion = "1"\n')


def test_sections_of_a_pipfile_lock() -> None:
    """ "default" and "develop"."""
    content = json.dumps(
        {
            "_meta": {},
            "default": {
                "six": {"version": "==1.17.0"},
                "win": {"version": "==1", "markers": "os_name=='nt'"},
            },
            "develop": {"pytest": {"version": "==9.0"}},
        }
    )
    assert versions(ask(select_from_pipfile_lock, content).required) == {"six": "1.17.0"}
    dev = InstallOptions(source="", groups=frozenset({"main", "dev"}))
    assert set(ask(select_from_pipfile_lock, content, dev).required) == {"six", "pytest"}


PYLOCK = """\
lock-version = "1.0"
requires-python = ">=3.12"
dependency-groups = ["dev"]
default-groups = ["web"]
[[packages]]
name = "six"
version = "1.17.0"
[[packages]]
name = "pytest"
version = "9.0"
marker = "'dev' in dependency_groups"
[[packages]]
name = "uvicorn"
version = "1.0"
marker = "'web' in dependency_groups and python_version >= '3.12'"
"""


def test_groups_of_a_pylock() -> None:
    """An installer takes the default groups by itself."""
    assert set(ask(select_from_pylock, PYLOCK, InstallOptions(source="")).required) == {"six", "uvicorn"}
    assert set(
        ask(select_from_pylock, PYLOCK, InstallOptions(source="", groups=frozenset({"dev"}))).required
    ) == {
        "six",
        "pytest",
    }


def test_a_pylock_for_another_python_is_not_evaluated() -> None:
    """Its markers say nothing of this one."""
    with pytest.raises(LockfileNotEvaluated, match=r"it is for Python >=3\.12"):
        ask(
            select_from_pylock,
            PYLOCK,
            target=PythonTarget(python="3.11", exact_version=None, platform="linux/amd64"),
        )


def test_without_a_known_choice_all_that_is_locked_may_be_there() -> None:
    """And what the service always needs must be."""
    choice = InstallOptions(source="", is_known=False, groups=frozenset({"main"}))
    packages = {"six": "1.17.0", "pytest": "8.0, 9.0"}
    found = ask(select_from_poetry_lock, POETRY, choice, {"pyproject.toml": POETRY_PROJECT}, packages)
    assert set(found.required) == {"six"}
    assert found.allowed["pytest"] == {"8.0", "9.0"}
