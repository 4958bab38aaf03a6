"""Ruff by default: where nothing says how a service is linted, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from release.chain.assemble import Project
from release.chain.linting import stage
from release.chain.linting.default import DEFAULT_LINT, is_default_lint, with_default_lint
from release.chain.linting.stage import lint
from release.chain.plan import Options
from release.config import Lint, Service
from release.errors import GateFailed
from release.events import Notice
from release.git.source import Source
from release.values import replace
from tests.unit.chain.linting.test_stage import ctx
from tests.unit.chain.test_plan import configured
from tests.unit.repository import Repository

TABLE = '[tool.release]\nservice = "api"\nsmoke = { port = 8000 }\n'


def chosen(folder: Path, files: dict[str, str], **table: Any) -> Service:
    """The service as it is linted, in a repository with these files."""
    repository = Repository.init(folder / "here")
    for path, text in files.items():
        repository.write(path, text)
    repository.commit()
    source = Source.open(repository.root)
    return with_default_lint(configured(**table).service("api"), source, source.head().id)


def test_ruff_runs_where_nothing_is_said(tmp_path: Path) -> None:
    """In one exact version; other tables of tools and other sections are no configuration of a linter."""
    files = {
        "app.py": "",
        "pyproject.toml": "[tool.pytest]\n[tool.ruffian]\n",
        "setup.cfg": "[metadata]\n# [flake8]\n[flake8000]\n",
    }
    found = chosen(tmp_path, files).lint
    assert is_default_lint(found)
    assert found.commands == ("ruff check .",)
    assert [tool.partition("==")[0] for tool in found.tools] == ["ruff"]


@pytest.mark.parametrize(
    "table", [{}, {"commands": []}, {"commands": ["true"]}, {"dockerfile": {"check": "warn"}}]
)
def test_a_lint_table_is_taken_as_it_is(tmp_path: Path, table: dict[str, Any]) -> None:
    """Also an empty one, and one that equals the default."""
    assert chosen(tmp_path, {"app.py": ""}, lint=table).lint == Lint.model_validate(table)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("ruff.toml", ""),
        (".ruff.toml", ""),
        ("services/api/.flake8", ""),
        ("services/.pylintrc", ""),
        ("pylintrc", ""),
        ("setup.cfg", "[metadata]\nname = a\n[flake8]\n"),
        ("services/api/tox.ini", "[pylint.messages_control]\n"),
        ("pyproject.toml", "[tool.ruff]\n"),
        ("pyproject.toml", "[tool.ruff.lint]\nselect = []\n"),
        ("pyproject.toml", 'tool = { pylint = { main = { jobs = "2" } } }\n'),
    ],
)
def test_a_linter_that_the_project_configures_keeps_ruff_away(tmp_path: Path, path: str, text: str) -> None:
    """In the folder of the service, or in one above it."""
    files = {"services/api/app.py": "", path: text}
    assert chosen(tmp_path, files, context="services/api").lint == Lint()


def test_settings_beside_the_service_say_nothing(tmp_path: Path) -> None:
    """They are those of another service."""
    files = {"services/api/app.py": "", "services/web/ruff.toml": "", "services/api/docs/ruff.toml": ""}
    assert is_default_lint(chosen(tmp_path, files, context="services/api").lint)


def test_a_service_without_python_needs_no_ruff(tmp_path: Path) -> None:
    """Nothing is installed for it."""
    assert chosen(tmp_path, {"main.go": "", "notes.py.txt": ""}).lint == Lint()
    files = {"app.py": "", "services/web/main.go": ""}
    assert chosen(tmp_path / "other", files, context="services/web").lint == Lint()


@pytest.mark.parametrize("text", ["tool = [", "tool = 5\n", "\udcff"])
def test_a_broken_project_file_says_nothing(tmp_path: Path, text: str) -> None:
    """Ruff itself tells what is wrong with it."""
    repository = Repository.init(tmp_path / "here")
    repository.write("app.py", "")
    (repository.root / "pyproject.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    (repository.root / "setup.cfg").symlink_to("/etc/passwd")
    repository.commit()
    source = Source.open(repository.root)
    assert is_default_lint(with_default_lint(configured().service("api"), source, source.head().id).lint)


def refused(*_: object) -> Path:
    raise GateFailed("lint", "ruff could not be installed", "check the index")


def test_the_plan_and_the_output_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the version, and with the line that switches it off; the hint also if it cannot be installed."""
    repository = Repository.init(tmp_path / "here")
    repository.write("pyproject.toml", TABLE)
    repository.write("app.py", "")
    repository.commit("feat: start")
    project = Project.open(repository.root, None, lambda event: None)
    options = Options()
    plans = [
        project.plan_release(project.read_facts(options), options),
        project.plan_gates(project.read_facts(options), options),
    ]
    expected = {"tools": list(DEFAULT_LINT.tools), "commands": ["ruff check ."]}
    assert [plan.to_json()["lint"] for plan in plans] == [expected, expected]
    events: list[Any] = []
    made = replace(ctx(repository.root), plan=plans[0], emit=events.append)
    monkeypatch.setattr(stage, "install_tool_environment", refused)
    with pytest.raises(GateFailed, match="could not be installed") as caught:
        lint(made)
    assert caught.value.hint == "check the index; or lint.commands = [] switches it off"
    (told,) = [event.text for event in events if isinstance(event, Notice)]
    assert told.startswith(f"`ruff check .` runs with {DEFAULT_LINT.tools[0]}, because ")
    assert "lint.commands = [] switches it off" in told
