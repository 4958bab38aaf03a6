"""What `invoke status` tells of an environment whose engine cannot be asked."""

from __future__ import annotations

import re
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from release.commands import inspect
from release.commands.command_line import CommandContext
from release.commands.options import CommandOptions
from release.commands.text import states
from release.console import Console
from release.deploy.environment.environment import Workspace
from release.errors import ReleaseError, UsageError
from release.events import Event, Warned
from release.programs.interruption import Interruption
from release.text.local_time import local_time
from tests.unit.ledger import samples
from tests.unit.ledger.samples import release
from tests.unit.repository import Repository


def test_an_engine_that_does_not_answer_hides_nothing_that_the_ledger_knows(tmp_path: Path) -> None:
    """What should run is told, that nobody could look is the drift, and the error comes with its hint."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    repository = Repository.init(tmp_path / "here")
    pyproject = f"""
[tool.release]
service = "api"
[tool.release.smoke]
port = 8000
path = "/healthz"
[tool.release.environments.production]
host = "{host}"
"""
    repository.commit("feat: start", **{"pyproject.toml": pyproject})
    ledger = samples.ledger(repository.root)
    (record,) = ledger.append([release("1.0.0")])
    ledger.append([samples.event(record, "healthy", at=samples.moment(1))])
    told: list[Event] = []
    failed: list[ReleaseError] = []
    with Workspace.open(repository.root, None, environ={}, emit=told.append) as workspace:
        found = inspect._read_status(workspace, "production", failed)
    rows = dict(states.status_rows(found))
    assert rows["ledger"].startswith("1.0.0  deployed ")
    assert (rows["engine"], rows["running"]) == ("could not be asked", "not known")
    assert host in rows["drift"]
    assert [error.exit_code for error in failed] == [6]
    assert [each.text for each in told if isinstance(each, Warned)] == [f"api in production: {failed[0]}"]


@pytest.mark.parametrize(
    ("drift", "unfinished", "code"),
    [((), None, 0), (("nothing runs",), None, 1), ((), "the deployment d1 to 0.2.0 by Ada", 1)],
)
def test_the_exit_code_tells_of_drift_and_of_an_interrupted_deployment(
    monkeypatch: pytest.MonkeyPatch, drift: tuple[str, ...], unfinished: str | None, code: int
) -> None:
    """So a job that asks each minute hears of an operator whose machine died."""
    found = SimpleNamespace(drift=drift, unfinished=unfinished)
    state = SimpleNamespace(failed=(), is_proven=True, found=(found,))
    monkeypatch.setattr(inspect, "_observe_environments", lambda _cmd: state)
    monkeypatch.setattr(inspect, "_print_status", lambda *_: None)
    options = SimpleNamespace(watch=None, json=False, exit_code=True)
    assert inspect.status(SimpleNamespace(options=options)) == code  # type: ignore[arg-type]


def test_watching_shows_a_state_once_until_it_changes(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the time and its zone before each; a signal ends it with status 0."""
    one, other = (SimpleNamespace(to_json=lambda word=word: word, word=word) for word in ("one", "other"))
    looks = iter([one, one, other])
    interruption = Interruption()

    def look(_cmd: CommandContext) -> inspect._ObservedState:
        found = next(looks)
        if found is other:
            interruption.cancellation.request("SIGINT")
        return inspect._ObservedState(found=(found,), failed=(), is_proven=True)  # type: ignore[arg-type]

    monkeypatch.setattr(inspect, "_observe_environments", look)
    monkeypatch.setattr(inspect, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(
        inspect, "_print_status", lambda cmd, found: cmd.console.print_result(found.found[0].word)
    )
    with Console(environ={"CI": "true"}) as console:
        options = CommandOptions(watch=True)
        context = CommandContext(options=options, console=console, interruption=interruption)
        assert inspect.status(context) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[1::2] == ["one", "other"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+", line) for line in lines[::2])


def test_watching_gives_no_json() -> None:
    """There is no end to it."""
    with Console(environ={"CI": "true"}) as console:
        options = CommandOptions(watch=True, json=True)
        context = CommandContext(options=options, console=console, interruption=Interruption())
        with pytest.raises(UsageError, match="excludes"):
            inspect.status(context)


def test_a_time_has_the_zone_of_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert local_time(datetime(2026, 11, 30, 11, 16, 9, tzinfo=UTC)) == "2026-11-30 12:16:09 CET"
        assert local_time(datetime(2026, 7, 1, 11, 16, 9, tzinfo=UTC)) == "2026-07-01 13:16:09 CEST"
    finally:
        monkeypatch.undo()
        time.tzset()
