"""The nox door: its options, and how little it imports before a session runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release import sessions
from release.chain.arguments import parse_arguments
from release.chain.names import SESSIONS
from release.chain.publishing.record import Recorded
from release.chain.reports import ReportFolder
from release.console import Console
from release.errors import LedgerUnreachable, ReleaseError
from release.programs.interruption import Interrupted, Interruption
from release.records import Record
from release.sessions import reusable
from tests.unit.chain.test_pipeline import ctx
from tests.unit.ledger.samples import release

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


def test_only_a_test_run_is_limited_to_some_tests() -> None:
    """A release runs all of them."""
    assert parse_arguments("test", ["-k", "login"]).only == "login"
    for session in ("check", "release"):
        with pytest.raises(SystemExit):
            parse_arguments(session, ["-k", "login"])


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
    gates = {"lock", "lint", "build", "test", "smoke", "installed", "audit"}
    assert reusable("release", plain) == reusable("check", plain) == gates
    assert reusable("test", plain) == gates - {"test"}
    assert reusable("release", fresh) == frozenset()


class Ended(Exception):
    """What nox raises when a session is told to fail."""


def fail(message: str) -> None:
    raise Ended(message)


def test_an_error_that_nobody_foresaw_ends_a_session_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rendered like a task's: where it came from, one line, and the session fails."""

    def broken(_door: object) -> None:
        raise RuntimeError("a defect")

    session: Any = SimpleNamespace(posargs=[], error=fail)
    monkeypatch.setattr(sessions, "_dispatch", broken)
    with pytest.raises(Ended, match="lint: RuntimeError"):
        sessions._run("lint", session)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "this is a defect of the release library: RuntimeError: a defect" in captured.err


class ReleasedProject:
    """A project whose commit is released: it can be asked, and refuses to act."""

    def __init__(self) -> None:
        self.record = release("1.4.0").at(1, None)

    def refresh_ledger(self) -> None:
        """The ledger is as it was."""

    def read_facts(self, _options: object) -> Any:
        return SimpleNamespace(messages=())

    def released(self, _facts: object, _options: object) -> Record[Any]:
        return self.record


@pytest.fixture
def console() -> Iterator[Console]:
    """Of a session."""
    with Console() as made:
        yield made


def cmd(console: Console, *words: str) -> Any:
    arguments, interruption = parse_arguments("release", words), Interruption()
    return sessions._Door(name="release", arguments=arguments, console=console, interruption=interruption)


def test_the_plan_of_a_released_commit_says_so_and_does_nothing(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """No tag is put, nothing is written, nothing removed."""
    project: Any = ReleasedProject()
    made = cmd(console, "--plan")
    options: Any = None
    sessions._release(project, options, made)
    plan = json.loads(capsys.readouterr().out)
    assert (plan["version"], plan["tag"]) == ("1.4.0", "v1.4.0")
    assert plan["recorded"]["id"] == project.record.id
    assert not made.interruption.too_late


def test_a_release_whose_variables_cannot_be_written_stands(
    tmp_path: Path, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a full disk: that is said, and the result follows."""
    (tmp_path / "reports").write_text("a file in the way")
    released: Any = SimpleNamespace(version="1.4.0", digest="sha256:0", reference="localhost/api@sha256:0")
    ReportFolder(path=tmp_path / "reports").write_release_variables(released, console.emit)
    assert "The release is recorded" in capsys.readouterr().err


def test_a_run_that_fails_hands_on_nothing(tmp_path: Path, console: Console) -> None:
    """What an earlier run has left in a kept workspace goes before anything else, and not by --plan."""
    reports = ReportFolder(path=tmp_path / "reports")
    reports.write(reports.variables_path, "RELEASE_VERSION=1.3.0\n")
    project: Any = ReleasedProject()
    project.reports = reports
    options: Any = None
    sessions._release(project, options, cmd(console, "--plan"))
    assert reports.variables_path.exists()

    def away() -> None:
        raise LedgerUnreachable("read the ledger", "the remote does not answer")

    project.refresh_ledger = away
    with pytest.raises(LedgerUnreachable):
        sessions._release(project, options, cmd(console))
    assert not reports.variables_path.exists()
    reports.variables_path.mkdir()
    with pytest.raises(ReleaseError, match="of an earlier run"):
        sessions._release(project, options, cmd(console))


def test_a_signal_after_the_commit_point_knows_that_there_is_a_release(
    tmp_path: Path, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """It arrives right after the stages have ended: nobody says that nothing was released."""
    place, made = ctx(tmp_path, []), cmd(console)
    record: Any = release("1.4.0").at(1, None)
    place.products.add(Recorded(record=record, evidence=b"", summary=""))
    with pytest.raises(Interrupted), made.interruption.listening():  # noqa: PT012 - the signal is the point
        sessions._run_stages(place, (), made)
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        sessions._interrupted(made, None)
    assert ended.value.code == 128 + signal.SIGTERM
    said = capsys.readouterr().err
    assert "nothing was released" not in said
    assert "the release is recorded" in said
