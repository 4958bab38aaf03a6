"""The nox door: its options, and how little it imports before a session runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from release.sessions import SESSIONS, parse_arguments, reusable

HEAVY = {"docker", "git", "pydantic", "pydantic_core", "rich", "requests", "release.config"}


def test_listing_sessions_imports_nothing_heavy(tmp_path: Path) -> None:
    """`nox -l` starts without docker, git or the parser."""
    (tmp_path / "noxfile.py").write_text("import release\n\nrelease.register()\n")
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "nox", "-l"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in ran.stderr.splitlines() if "|" in line}
    assert "release.sessions" in imported
    assert not imported & HEAVY


def test_every_session_is_listed_with_its_line(tmp_path: Path) -> None:
    """What `nox -l` shows is what the table says."""
    (tmp_path / "noxfile.py").write_text("import release\n\nrelease.register()\n")
    ran = subprocess.run(
        [sys.executable, "-m", "nox", "-l"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    for name, line in SESSIONS.items():
        assert f"- {name} -> {line}" in ran.stdout


def test_options_after_the_dashes_are_read() -> None:
    """Version, bump, service and the switches."""
    found = parse_arguments("release", ["--version", "1.4.2", "--service", "api", "--plan", "--no-cache"])
    assert (found.version, found.service, found.plan, found.no_cache) == ("1.4.2", "api", True, True)


@pytest.mark.parametrize("words", [["--versoin", "1.4.2"], ["--vers", "1.4.2"], ["surplus"], ["--version"]])
def test_a_wrong_option_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and what the options are; an abbreviation is no option."""
    with pytest.raises(SystemExit) as caught:
        parse_arguments("release", words)
    assert caught.value.code == 2
    assert "usage: nox -s release --" in capsys.readouterr().err


def test_gates_are_used_again_unless_asked_for_by_name_or_forbidden() -> None:
    """`nox -s lint` lints, whatever was linted before; `--no-reuse` runs everything."""
    plain, fresh = parse_arguments("check", []), parse_arguments("check", ["--no-reuse"])
    assert (
        reusable("release", plain) == reusable("check", plain) == {"lock", "lint", "build", "test", "smoke"}
    )
    assert reusable("test", plain) == {"lock", "lint", "build", "smoke"}
    assert reusable("release", fresh) == frozenset()
