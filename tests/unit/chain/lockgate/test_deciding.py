"""The files that decide whether a lockfile is fresh, as far as they tell that themselves."""

from __future__ import annotations

import pytest

from release.chain.lockgate.deciding import files_that_decide
from release.chain.lockgate.detect import detect_lockfile
from release.config import Lock

PROJECT = '[project]\nname = "api"\nversion = "1"\ndependencies = ["flask>=3"]\n'


def found(files: dict[str, str], *, path: str | None = None, source: str | None = None) -> set[str] | None:
    """Among these files, which is all there is."""

    def read(name: str) -> bytes | None:
        content = files.get(name)
        return content.encode() if content is not None else None

    lockfile = detect_lockfile(Lock(path=path), files, "")
    paths = files_that_decide(lockfile, files, read, source=source) if lockfile is not None else None
    return set(paths) if paths is not None else None


CODE = {"app.py": "print()\n", "uv.lock.txt": "", "tests/requirements.in": "pytest\n"}


def test_code_is_no_part_of_it() -> None:
    """A requirements.txt, and what it is compiled from."""
    files = {"requirements.txt": "flask==3\n", "requirements.in": "flask\n# why\n\n", **CODE}
    assert found(files) == {"requirements.txt", "requirements.in"}


def test_what_is_included_is_part_of_it() -> None:
    """From the folder of the file that includes it, also as a constraint, and what the header names."""
    files = {
        "locks/api.txt": "#    uv pip compile -c old.txt --output-file=locks/api.txt api.in\nflask==3\n",
        "deps/api.in": "-r common/base.in\n-c limits.txt\nflask[async]>=3 ; python_version > '3.9'\n",
        "deps/common/base.in": "--requirement=../more.in  # up again\n",
        "deps/more.in": "click==8 \\\n    --hash=sha256:aa\n",
        "deps/limits.txt": "six<2\n",
        "old.txt": "six<3\n",
        **CODE,
    }
    assert found(files, path="locks/api.txt", source="deps/api.in") == set(files) - set(CODE)


def test_files_that_include_each_other_end() -> None:
    """pip refuses them, and so will the gate."""
    files = {"requirements.txt": "", "requirements.in": "-r more.in\n", "more.in": "-r requirements.in\n"}
    assert found(files) == set(files)


def test_a_project_is_its_own_file_and_its_lock() -> None:
    """Groups that include others name nothing new."""
    more = '[dependency-groups]\ndev = ["pytest", {include-group = "lint"}]\nlint = ["ruff"]\n'
    files = {"sub/uv.lock": "", "sub/pyproject.toml": PROJECT + more, **CODE}
    assert found(files, path="sub/uv.lock") == {"sub/uv.lock", "sub/pyproject.toml"}


@pytest.mark.parametrize("above", ["uv.toml", "pyproject.toml", "apps/pyproject.toml"])
def test_a_project_below_another_makes_every_file_count(above: str) -> None:
    """It may be a member of a workspace, whose lockfile and settings it has."""
    files = {"apps/api/uv.lock": "", "apps/api/pyproject.toml": PROJECT, above: ""}
    assert found(files, path="apps/api/uv.lock") is None


@pytest.mark.parametrize(
    "line",
    [
        *("-e .", "./vendored", "vendored/thing.whl", "--find-links wheels", "--no-binary :all:"),
        *("thing @ file:vendored", "-r https://example.com/base.in", "-r ../outside.in", "-r gone.in"),
        "-r setup.py",
    ],
)
def test_a_line_that_may_read_more_makes_every_file_count(line: str) -> None:
    """Whether it reads a file of the commit is not looked into."""
    files = {"requirements.txt": "", "requirements.in": f"flask\n{line}\n", "setup.py": ""}
    assert found({"vendored/setup.py": "", **files}) is None


@pytest.mark.parametrize(
    "more",
    [
        'dynamic = ["version"]\n',
        "[tool.uv.workspace]\nmembers = ['lib']\n",
        "[tool.uv.sources]\nlib = { path = 'lib' }\n",
        "[project.optional-dependencies]\nx = ['lib @ file:lib']\n",
    ],
)
def test_a_project_that_is_built_or_has_others_makes_every_file_count(more: str) -> None:
    """Its version may be in its code; a member of its workspace has files of its own."""
    assert found({"uv.lock": "", "pyproject.toml": PROJECT + more}) is None


@pytest.mark.parametrize(
    "files",
    [
        {"uv.toml": "", "requirements.txt": "", "requirements.in": ""},
        {"uv.toml": "", "uv.lock": "", "pyproject.toml": PROJECT},
        {"pyproject.toml": "[tool.uv.pip]\n", "requirements.txt": "", "requirements.in": ""},
        {"uv.lock": "", "pyproject.toml": "[tool.black]\n"},
        {"uv.lock": "", "pyproject.toml": "[project\n"},
        {"requirements.txt": "-e .\n"},
        {"requirements.txt": "", "requirements.in": "ÿ"},
        {"uv.lock": "", "pyproject.toml": "project = 1\n"},
        {"app.py": ""},
    ],
)
def test_settings_of_uv_and_what_cannot_be_read_make_every_file_count(files: dict[str, str]) -> None:
    """The gate runs, and says itself what is wrong."""
    assert found(files) is None
