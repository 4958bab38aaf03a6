"""A configuration that is only in the working copy: the error of the commit says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.chain.assemble import Project
from release.errors import ConfigError, ReleaseError, SourceError
from tests.unit.repository import Repository

PROJECT, TABLE = '[project]\nname = "api"\n', "[tool.release.smoke]\nport = 8000\n"
OWN = 'service = "api"\n[smoke]\nport = 8000\n'


def refused(folder: Path, committed: dict[str, str], working: dict[str, str]) -> ReleaseError:
    here = Repository.init(folder)
    here.commit("feat: start", **committed)
    for name, text in working.items():
        here.write(name, text)
    with pytest.raises(ReleaseError) as caught:
        Project.open(here.root, None, lambda _: None)
    return caught.value


@pytest.mark.parametrize(
    ("committed", "working"),
    [
        ({"pyproject.toml": PROJECT}, {"pyproject.toml": PROJECT + TABLE}),
        ({"pyproject.toml": PROJECT}, {"pyproject.toml": PROJECT + TABLE + "prot = 1"}),
        ({"pyproject.toml": PROJECT}, {"release.toml": OWN}),
        ({"app.py": ""}, {"pyproject.toml": PROJECT + TABLE}),
        ({"app.py": ""}, {"release.toml": OWN}),
    ],
)
def test_a_table_that_is_not_committed_is_to_be_committed(
    tmp_path: Path, committed: dict[str, str], working: dict[str, str]
) -> None:
    """One problem, with the file and the command."""
    error = refused(tmp_path, committed, working)
    assert isinstance(error, ConfigError)
    (file,) = working
    (problem,) = error.problems
    assert problem.path == file
    assert "the working copy has the table, but the commit does not; commit it" in problem.message
    assert f"git add {file}" in problem.message


def test_a_file_that_git_ignores_is_added_by_force(tmp_path: Path) -> None:
    """Git refuses the plain command."""
    error = refused(tmp_path, {".gitignore": "release.toml\n", "app.py": ""}, {"release.toml": OWN})
    assert "although git ignores it: git add --force release.toml; git commit" in str(error)


def test_a_folder_with_the_name_of_the_file_has_no_table(tmp_path: Path) -> None:
    """It cannot be committed as one."""
    error = refused(tmp_path, {"app.py": ""}, {"release.toml/readme": ""})
    assert isinstance(error, SourceError)
    assert "the commit has neither release.toml nor pyproject.toml" in str(error)


def test_a_problem_that_the_working_copy_does_not_have_is_to_be_committed_too(tmp_path: Path) -> None:
    """The commit's own problems stay."""
    wrong = {"pyproject.toml": f"{PROJECT}{TABLE}prot = 1"}
    error = refused(tmp_path, wrong, {"pyproject.toml": PROJECT + TABLE})
    assert isinstance(error, ConfigError)
    assert [problem.path for problem in error.problems] == ["tool.release.smoke.prot", "pyproject.toml"]
    assert "does not have this problem, but this run reads the commit; commit it" in error.problems[1].message


def test_where_the_working_copy_is_no_better_nothing_is_said_of_it(tmp_path: Path) -> None:
    """The plain errors."""
    wrong = {"pyproject.toml": f"{PROJECT}{TABLE}prot = 1"}
    assert "working copy" not in str(refused(tmp_path / "wrong", wrong, {}))
    assert "working copy" not in str(refused(tmp_path / "bare", {"pyproject.toml": PROJECT}, {}))
    assert isinstance(refused(tmp_path / "none", {"app.py": ""}, {}), SourceError)
