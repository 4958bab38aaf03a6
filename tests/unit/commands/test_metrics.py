"""`invoke metrics`: what it measures, and how it prints it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from release.commands.command_line import CommandContext
from release.commands.metrics import metrics
from release.commands.options import CommandOptions
from release.console import Console
from release.errors import UsageError
from release.programs.interruption import Interruption
from release.values import replace
from tests.unit.commands.text.test_metrics import parsed
from tests.unit.ledger import samples
from tests.unit.repository import ENVIRONMENT, Repository

PYPROJECT = """
[tool.release]
service = "api"
[tool.release.smoke]
port = 8000
[tool.release.environments.production]
[tool.release.environments.staging]
"""

Run = Callable[..., None]


def ago(days: float) -> str:
    moment = datetime.now(UTC) - timedelta(days=days)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in a service with a release of 100 days ago, deployed 80 and 3 days ago."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    here = Repository.init(tmp_path_factory.mktemp("here"))
    here.commit("feat: start", **{"pyproject.toml": PYPROJECT})
    ledger = samples.ledger(here.root)
    (release,) = ledger.append([replace(samples.release("1.0.0"), recorded_at=ago(100))])
    for days, place in ((80, "production"), (3, "production"), (2, "former")):
        word = f"{days}"
        events = [
            samples.event(release, status, deployment=word, environment=place, at=ago(days))
            for status in ("started", "healthy")
        ]
        ledger.append(events)
    monkeypatch.chdir(here.root)

    def ran(**words: Any) -> None:
        with Console(environ={}) as console:
            options = CommandOptions(**words)
            assert metrics(CommandContext(options=options, console=console, interruption=Interruption())) == 0

    return ran


def counts(out: str) -> dict[str | None, int | None]:
    """Deployments of each environment."""
    rows = json.loads(out)["metrics"]
    return {row["environment"]: row["count"] for row in rows if row["name"] == "deployment_frequency"}


def test_ninety_days_of_every_environment_are_measured(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """Also of one that only the ledger has; one without a deployment is not known."""
    run(json=True)
    assert counts(capfd.readouterr().out) == {"former": 1, "production": 2, "staging": None}


def test_a_span_and_an_environment_can_be_chosen(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """The span begins at `--since`."""
    run(json=True, since="30d", environment="production")
    assert counts(capfd.readouterr().out) == {"production": 1}


def test_the_text_of_prometheus_is_all_of_standard_output(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """A file of it is read as it is."""
    run(prometheus=True)
    assert ("release_lock_age_seconds", frozenset({("service", "api")})) in parsed(capfd.readouterr().out)


def test_people_get_tables(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """One for each environment, one for the service."""
    run(since="30d")
    lines = capfd.readouterr().out.splitlines()
    titles = [line.partition(",")[0] for line in lines if not line.startswith(" ")]
    assert titles == ["api in former", "api in production", "api in staging", "api"]


@pytest.mark.parametrize(
    "words",
    [{"json": True, "prometheus": True}, {"environment": "productoin"}, {"since": "soon"}],
    ids=["two formats", "no such environment", "no time"],
)
def test_a_wrong_command_line_is_refused(run: Run, words: dict[str, Any]) -> None:
    """With the status of usage errors."""
    with pytest.raises(UsageError):
        run(**words)
