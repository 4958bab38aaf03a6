"""Plain lines: how often a stage that has much to tell is heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.console import Console
from release.errors import GateFailed
from release.events import Deployed, Failed, Finding, Found, Planned, Progress, Released, Started


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_passing_progress_is_told_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """A stage that is short tells none, one that is long some; each stage for itself."""
    clock = Clock()
    console = Console(environ={}, clock=clock)
    console.emit(Started(name="test"))
    for second in range(31):
        clock.now = float(second)
        console.emit(Progress(name="test", text=f"line {second}", passing=True))
        console.emit(Progress(name="build", text="step", passing=True))
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "test" in line] == [
        "▸ test",
        "· test: line 10",
        "· test: line 20",
        "· test: line 30",
    ]
    assert lines.count("· build: step") == 3


def test_news_that_never_ends_is_told_every_ten_seconds_too(capsys: pytest.CaptureFixture[str]) -> None:
    """The first twenty lines come at once."""
    clock = Clock()
    console = Console(environ={}, clock=clock)
    for number in range(1000):
        clock.now = number / 10
        console.emit(Progress(name="health", text=f"news {number}"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[19] == "· health: news 19"
    assert len(lines) == 20 + 9


def test_a_plan_is_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """What is released, and where the logs are."""
    plan = Planned(
        service="api", version="1.0.0", commit="c" * 40, subject="feat: x", folder=".release/runs/r"
    )
    Console(environ={}).emit(plan)
    assert capsys.readouterr().err == (
        "• api 1.0.0 from commit cccccccccccc (feat: x)\n• logs: .release/runs/r/\n"
    )


def test_what_is_for_machines_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The log has the findings and the result is on standard output."""
    console = Console(environ={})
    console.emit(Found(name="lint", findings=(Finding(file="a.py", line=1, title="t", message="m"),)))
    console.emit(Released(service="a", version="1", digest="d", reference="r", tag="v1"))
    console.emit(
        Deployed(
            service="a",
            environment="p",
            version="1",
            digest="d",
            reference="r",
            deployment="x",
            changed=True,
        )
    )
    assert capsys.readouterr() == ("", "")


def test_the_log_of_the_stage_that_failed_is_named_not_of_one_that_was_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever ended last; a log that is empty is not worth naming."""
    failed, stopped = tmp_path / "test.log", tmp_path / "push.log"
    failed.write_text("1 failed\n")
    stopped.write_text("half\n")
    console = Console(environ={})
    console.emit(Failed(name="test", duration_ms=1, summary="failed", log=failed))
    console.emit(Failed(name="push", duration_ms=1, summary="stopped", log=stopped, stopped=True))
    console.print_error(GateFailed("test", "status 1"))
    assert capsys.readouterr().err.endswith(f"  → the whole log: {failed}\n")
    failed.write_text("")
    console.print_error(GateFailed("test", "status 1"))
    assert "whole log" not in capsys.readouterr().err


def test_a_log_below_the_current_folder_is_named_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it can be typed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.log").write_text("x\n")
    console = Console(environ={})
    console.emit(Failed(name="test", duration_ms=1, summary="failed", log=tmp_path / "test.log"))
    console.print_error(GateFailed("test", "status 1"))
    assert "the whole log: test.log\n" in capsys.readouterr().err
