"""`python -m release` and `invoke init`, as programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.unit.init.repositories import WITH_UV, repository


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "release", *words]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def test_the_difference_is_shown_and_a_question_is_asked(tmp_path: Path) -> None:
    """Without a terminal nothing is written."""
    made = repository(tmp_path, WITH_UV)
    done = run(tmp_path, "init")
    assert done.returncode == 2
    assert "+release.register()" in done.stderr
    assert "add --yes" in done.stderr
    assert not (made.root / "noxfile.py").exists()


def test_yes_writes_and_check_is_content(tmp_path: Path) -> None:
    """`--check` ends with 1 before, with 0 after, and names each file."""
    repository(tmp_path, WITH_UV)
    before = run(tmp_path, "init", "--check")
    assert (before.returncode, "noxfile.py" in before.stdout) == (1, True)
    assert run(tmp_path, "init", "--yes").returncode == 0
    assert run(tmp_path, "init", "--check").returncode == 0
    again = run(tmp_path, "init", "--yes")
    assert "nothing was changed" in again.stderr
    listed = subprocess.run(
        [sys.executable, "-m", "invoke", "init", "--check", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(listed.stdout)["changes"] == []


def test_what_is_missing_is_status_1(tmp_path: Path) -> None:
    """The rest is written."""
    repository(tmp_path, {"pyproject.toml": "[project]\nname = 'x'\n"})
    done = run(tmp_path, "init", "--yes")
    assert done.returncode == 1
    assert "missing: a lockfile" in done.stderr
    assert (tmp_path / "noxfile.py").exists()


def test_outside_of_a_repository_the_next_step_is_said(tmp_path: Path) -> None:
    """As by every command."""
    done = run(tmp_path, "init")
    assert done.returncode == 1
    assert "git" in done.stderr


def test_the_version_and_a_page(tmp_path: Path) -> None:
    """Before a tasks.py exists."""
    assert run(tmp_path, "--version").stdout == "release 0.1.0\n"
    assert run(tmp_path, "explain", "--topic", "init").stdout.startswith("# Set up")
    assert run(tmp_path, "deploy").returncode == 2
