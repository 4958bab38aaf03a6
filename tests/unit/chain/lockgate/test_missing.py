"""The first message in a project without a lockfile: the command of its own tool."""

from __future__ import annotations

import pytest

from release.chain.lockgate.missing import no_lockfile_error, unknown_kind_error


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"Pipfile": ""}, "`pipenv lock`"),
        ({"pyproject.toml": "[tool.poetry]\nname = 'api'\n"}, "`poetry lock`"),
        ({"pyproject.toml": "[project]\nname = 'api'\n[tool.pdm]\n"}, "`pdm lock`"),
        ({"pyproject.toml": "[project]\nname = 'api'\n"}, "`uv lock`"),
        ({"requirements.in": ""}, "`uv pip compile requirements.in -o requirements.txt`"),
        ({"requirements/prod.txt": ""}, 'path = "requirements/prod.txt"'),
        ({"pyproject.toml": "[project"}, "requirements.in"),
    ],
)
def test_the_command_is_that_of_the_projects_tool(files: dict[str, str], command: str) -> None:
    """As its files tell it."""
    error = no_lockfile_error(None, files, lambda name: files[name].encode() if name in files else None)
    assert "the commit has no lockfile" in error.found
    assert command in error.hint


def test_a_configured_file_is_named() -> None:
    """One that is not there, and one whose name tells no kind."""
    assert "lock.path is a.txt" in no_lockfile_error("a.txt", (), lambda _: None).found
    assert "poetry.lock" in unknown_kind_error("a.lock").hint
