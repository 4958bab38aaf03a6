"""The Python that lint tools run on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from release.chain.linting import python
from release.chain.linting.python import find_lint_python, wanted_lint_python
from release.chain.linting.stage import lint
from release.chain.pythons import HERE
from release.errors import GateFailed
from tests.unit.chain.linting.test_stage import ctx, wheel
from tests.unit.repository import Repository

FLAKE = ("flake8==7.3.0",)


@pytest.fixture
def here(tmp_path: Path) -> Repository:
    """A repository whose image has Python 3.99."""
    made = Repository.init(tmp_path / "here")
    made.commit("feat: start", Dockerfile="FROM python:3.99-slim\n", app="")
    return made


def lookup(monkeypatch: pytest.MonkeyPatch, found: Path | None) -> list[str]:
    """The versions that are looked for on the machine."""
    asked: list[str] = []

    def find(version: str) -> Path | None:
        asked.append(version)
        return found

    monkeypatch.setattr(python, "find_python", find)
    return asked


def test_the_tools_run_on_the_projects_python(here: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the image, if the settings say nothing."""
    asked = lookup(monkeypatch, Path("/opt/python3.99"))
    assert find_lint_python(ctx(here.root, tools=FLAKE)).path == Path("/opt/python3.99")
    assert find_lint_python(ctx(here.root, tools=FLAKE, python="3.98")).path == Path("/opt/python3.99")
    assert find_lint_python(ctx(here.root, tools=FLAKE, python=HERE)).path == Path(sys.executable)
    assert asked == ["3.99", "3.98"]


def test_a_configured_python_that_is_not_here_is_an_error(
    here: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the command that installs it; nothing is fetched by itself."""
    lookup(monkeypatch, None)
    with pytest.raises(GateFailed, match=r"this machine has no Python 3\.98") as caught:
        find_lint_python(ctx(here.root, tools=FLAKE, python="3.98"))
    assert "uv python install 3.98" in caught.value.hint


def test_without_the_projects_python_a_failure_says_so(
    here: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tools run on this Python then."""
    lookup(monkeypatch, None)
    wheel(tmp_path / "packages")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "packages"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    tool = {"tools": ["lint-tool==1.0"]}
    assert lint(ctx(here.root, **tool, commands=["lint-tool"])).summary == "lint-tool==1.0"
    with pytest.raises(GateFailed, match="ended with status 1") as caught:
        lint(ctx(here.root, **tool, commands=["false"]))
    assert (
        f"the tools ran on Python {HERE}, because this machine lacks the project's 3.99" in caught.value.hint
    )


def test_tools_that_are_no_python_programs_need_no_certain_one(
    here: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is looked for."""
    asked = lookup(monkeypatch, None)
    assert find_lint_python(ctx(here.root, tools=("ruff==0.14.5",))).path == Path(sys.executable)
    assert wanted_lint_python(ctx(here.root, tools=("ruff==0.14.5",))) is None
    assert asked == []
