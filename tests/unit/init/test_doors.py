"""The two small files: new, and beside what is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from release.init.doors import proposed_noxfile, proposed_tasks_file

NAMES = frozenset({"deploy", "rollback", "ledger-rebuild"})


def test_new_files_are_the_usual_ones() -> None:
    """As the documentation shows them."""
    assert proposed_noxfile("").text == "import release\n\nrelease.register()\n"
    assert proposed_tasks_file("", NAMES).text == "import release\n\nns = release.namespace()\n"


def test_files_that_have_the_calls_stay() -> None:
    """Whatever else is in them."""
    text = "import release as r\nimport release\nrelease.register()\n"
    assert proposed_noxfile(text).text == text


def test_sessions_of_a_person_stay() -> None:
    """The chain's are added below."""
    text = '"""Chores."""\nimport nox\n\n\n@nox.session\ndef docs(session):\n    session.run("sphinx")\n'
    made = proposed_noxfile(text).text
    assert "import nox\nimport release\n" in made
    assert made.endswith("\nrelease.register()\n")
    assert "def docs(session)" in made


def test_a_session_of_the_same_name_is_a_problem() -> None:
    """Also one that is named in its decorator: it would be replaced without a word."""
    text = 'import nox\n\n@nox.session(name="lint")\ndef style(session): ...\n'
    found = proposed_noxfile(text)
    assert found.text == text
    assert "defines lint" in found.problem


def test_a_file_that_is_no_python_is_a_problem() -> None:
    """Nothing is added to it."""
    assert "not valid Python" in proposed_noxfile("def (").problem
    assert "not valid Python" in proposed_tasks_file("def (", NAMES).problem


def test_tasks_of_a_person_are_gathered(tmp_path: Path) -> None:
    """Invoke shows theirs and ours."""
    text = "from invoke import task\n\n@task\ndef fixtures(c):\n    'Load fixtures.'\n"
    (tmp_path / "tasks.py").write_text(proposed_tasks_file(text, NAMES).text)
    listed = _listed(tmp_path)
    assert " fixtures " in listed
    assert " rollback " in listed


def test_a_namespace_of_a_person_gets_ours(tmp_path: Path) -> None:
    """Beside what it holds."""
    text = (
        "from invoke import Collection, task\n\n@task\ndef fixtures(c):\n    'Load fixtures.'\n\n"
        "ns = Collection(fixtures)\n"
    )
    (tmp_path / "tasks.py").write_text(proposed_tasks_file(text, NAMES).text)
    listed = _listed(tmp_path)
    assert " fixtures " in listed
    assert " rollback " in listed


def test_a_task_of_the_same_name_is_a_problem() -> None:
    """Underscores are dashes on the command line."""
    text = "from invoke import task\n\n@task\ndef ledger_rebuild(c): ...\n"
    assert "defines ledger_rebuild" in proposed_tasks_file(text, NAMES).problem


def _listed(folder: Path) -> str:
    argv = [sys.executable, "-m", "invoke", "-l"]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True).stdout
