"""The report from a real ledger, and the incident as Markdown."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from release.commands import load_task_function
from release.commands.command_line import CommandContext
from release.commands.options import CommandOptions
from release.commands.report.incident import escape_markdown
from release.console import Console
from release.errors import UsageError
from release.programs.interruption import Interruption
from tests.unit.ledger.metrics.scripted import Script
from tests.unit.repository import Repository

SETTINGS = """\
[project]
name = "api"
[tool.release.smoke]
port = 8000
[tool.release.environments.production]
"""


def ago(hours: int) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M")


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Three releases: the second fails, and the first is put back."""
    here = Repository.init(tmp_path / "service")
    here.write("pyproject.toml", SETTINGS)
    here.commit("feat: start")
    made = Script(here)
    made.released("1.0.0", ago(9), lock="A")
    made.deployed("1.0.0", ago(8), ago(8))
    made.released("1.1.0", ago(6), lock="B")
    made.deployed("1.1.0", ago(5), ago(5), "failed")
    made.deployed("1.0.0", ago(4), ago(4), reason="rollback")
    monkeypatch.chdir(here.root)
    return made


def ran(capfd: pytest.CaptureFixture[str], **words: object) -> str:
    options = CommandOptions(**words)  # type: ignore[arg-type]
    with Console(environ={"CI": "true"}) as console:
        status = load_task_function("report")(
            CommandContext(options=options, console=console, interruption=Interruption())
        )
    assert status == 0
    return capfd.readouterr().out


def test_the_report_says_what_the_ledger_says(script: Script, capfd: pytest.CaptureFixture[str]) -> None:
    """Its path is the result; its data are the records."""
    path = Path(ran(capfd).strip())
    assert path == script.here.root / ".release/report.html"
    text = path.read_text()
    assert re.search(r'<p class="big">1\.0\.0</p>', text)
    payload = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert payload is not None
    found = json.loads(payload[1])
    assert [found["texts"][release[0]] for release in found["releases"]] == ["1.1.0", "1.0.0"]
    rows = [[found["texts"][number] for number in event[1:]] for event in found["events"]]
    assert [row[:4] for row in rows] == [
        ["1.0.0", "rollback", "production", "healthy"],
        ["1.1.0", "deploy", "production", "failed"],
        ["1.1.0", "release", "", "released"],
        ["1.0.0", "deploy", "production", "healthy"],
        ["1.0.0", "release", "", "released"],
    ]
    assert "change fail rate" in text


def test_the_file_can_be_named(script: Script, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An older one is replaced."""
    (tmp_path / "a.html").write_text("old")
    assert ran(capfd, output=str(tmp_path / "a.html")).strip() == str(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.html", "service"]


def test_an_incident_is_a_timeline_as_markdown(script: Script, capfd: pytest.CaptureFixture[str]) -> None:
    """Oldest first, from the moment on, with the numbers of failures and rollbacks."""
    said = ran(capfd, incident=True, since="7h")
    assert "1 deployment failed; 1 rolled back" in said
    rows = [line.split(" | ")[1:5] for line in said.splitlines() if line.startswith("| 20")]
    assert rows == [
        ["1.1.0", "release", "", "released"],
        ["1.1.0", "deploy", "production", "started"],
        ["1.1.0", "deploy", "production", "failed"],
        ["1.0.0", "rollback", "production", "started"],
        ["1.0.0", "rollback", "production", "healthy"],
    ]
    assert "## Cause" in said


def test_an_incident_needs_a_beginning(script: Script, capfd: pytest.CaptureFixture[str]) -> None:
    """Usage error, with an example."""
    with pytest.raises(UsageError, match="beginning"):
        ran(capfd, incident=True)


def test_text_of_others_is_no_markdown() -> None:
    """It opens no cell, link, tag or heading."""
    assert escape_markdown("a|b [x](y) <i> #1") == "a\\|b \\[x\\]\\(y\\) \\<i\\> \\#1"
    assert escape_markdown("2026-11-20 12:00:00Z") == "2026-11-20 12:00:00Z"
