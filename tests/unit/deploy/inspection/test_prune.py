"""What a rollback may need, as the ledger tells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from release import config
from release.config import Retention
from release.deploy.core.engine_machine import EngineStore
from release.deploy.core.lock import current_holder
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.inspection.prune import _locked
from release.deploy.inspection.prune_plan import needed_objects
from release.deploy.inspection.prune_result import Kept, PrunePlan
from release.deploy.inspection.retention import needed
from release.deploy.targets.engine.target import SingleEngine
from release.git.source import Source
from release.records import Body, Record
from release.runspec import RunSpec
from release.values import replace
from tests.unit.deploy.fakes import INFO, FakeEngine, digest
from tests.unit.ledger.samples import digits, event, moment, quarantine, release
from tests.unit.repository import ENVIRONMENT, Repository

TABLE = {"tool": {"release": {"service": "api", "smoke": {"port": 8000}, "environments": {"production": {}}}}}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A service without a registry or a remote, and an empty ledger."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    Repository.init(tmp_path).commit("feat: start")
    parsed = config.parse(TABLE)
    with closing(Source.open(tmp_path)) as source:
        yield Workspace(
            source=source, config=parsed, service=parsed.service(None), environ={}, emit=lambda _: None
        )


class Past:
    """What happened, one minute after the other from noon on."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.minute = workspace, 0
        self.records: dict[str, Record[Body]] = {}

    def release(self, *versions: str) -> None:
        for version in versions:
            self.minute += 1
            (record,) = self.workspace.ledger.append([release(version, at=moment(self.minute))])
            self.records[version] = record

    def deploy(
        self, version: str, status: str = "healthy", environment: str = "production", **more: Any
    ) -> None:
        self.minute += 1
        attempt = {"deployment": f"{version} {self.minute}", "environment": environment, **more}
        of = self.records[version]
        self.workspace.ledger.append([event(of, status, at=moment(self.minute), **attempt)])

    def settings(self, minutes: int, *kept: str) -> tuple[set[str], frozenset[str]]:
        """Fingerprints that must stay when these releases do, and deployments that are over."""
        live = cast(LiveEnvironment, self.workspace.env_ref("production"))
        ids = frozenset(self.records[version].id for version in kept)
        found = needed_objects(live, ids, moment(self.minute - minutes))
        return {value for spec in found.specs for value in spec.secrets.values()}, found.ended

    def needed(self, releases: int, minutes: int) -> dict[str, str]:
        """By version, with the reasons in one text; the window ends with the last minute."""
        now = datetime.fromisoformat(moment(self.minute))
        found = needed(
            self.workspace, Retention.model_validate({"releases": releases, "window": f"{minutes}m"}), now
        )
        names = {record.id: version for version, record in self.records.items()}
        return {names[record]: "; ".join(reasons) for record, reasons in found.items()}


def test_the_last_healthy_releases_of_every_environment_are_needed(workspace: Workspace) -> None:
    """Each counted once, also in an environment that is configured no more."""
    past = Past(workspace)
    past.release("1.0.0", "2.0.0", "3.0.0", "4.0.0")
    for version in ("1.0.0", "2.0.0", "3.0.0", "2.0.0", "4.0.0"):
        past.deploy(version)
    past.deploy("1.0.0", environment="gone")
    past.release("5.0.0")
    found = past.needed(2, minutes=1)
    assert found.keys() == {"4.0.0", "2.0.0", "1.0.0", "5.0.0"}
    assert found["4.0.0"] == "healthy in production, number 1 from now"
    assert found["1.0.0"].startswith("healthy in gone")


def test_a_quarantined_release_does_not_count(workspace: Workspace) -> None:
    """The one before it is needed too; and it stays, for that word can be taken back."""
    past = Past(workspace)
    past.release("1.0.0", "2.0.0", "3.0.0")
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        past.deploy(version)
    workspace.ledger.append([quarantine(past.records["2.0.0"], "leaks")])
    past.release("4.0.0")
    found = past.needed(2, minutes=1)
    assert found.keys() == {"4.0.0", "3.0.0", "2.0.0", "1.0.0"}
    assert found["2.0.0"] == "healthy in production, and quarantined since then"


def test_everything_that_was_deployed_within_the_window_is_needed(workspace: Workspace) -> None:
    """Also what failed; and a release of that time that never was deployed."""
    past = Past(workspace)
    past.release("1.0.0", "2.0.0", "3.0.0", "4.0.0")
    past.deploy("1.0.0")
    past.deploy("2.0.0", "failed")
    past.deploy("3.0.0")
    found = past.needed(1, minutes=3)
    assert found.keys() == {"1.0.0", "2.0.0", "3.0.0", "4.0.0"}
    assert "deployed (failed) in production" in found["2.0.0"]
    assert past.needed(1, minutes=1).keys() == {"2.0.0", "3.0.0"}


def test_a_deployment_without_an_end_is_needed_however_old(workspace: Workspace) -> None:
    """Nobody knows what it left."""
    past = Past(workspace)
    past.release("1.0.0", "2.0.0")
    past.deploy("1.0.0")
    past.deploy("2.0.0", "started")
    past.minute += 100
    found = past.needed(1, minutes=1)
    assert found.keys() == {"1.0.0", "2.0.0"}
    assert "begun in production" in found["2.0.0"]


def test_settings_that_a_rollback_could_restore_must_stay(workspace: Workspace) -> None:
    """The last ones of releases that stay, those of lately, what runs, and what never ended."""
    past = Past(workspace)
    past.release("1.0.0", "2.0.0")

    def rotate(version: str, value: str, status: str = "healthy") -> None:
        spec = RunSpec(secrets={"TOKEN": value})
        past.deploy(version, status, run_spec=spec, deployment=value)

    rotate("1.0.0", "k:1")
    rotate("1.0.0", "k:2")
    rotate("2.0.0", "k:3")
    rotate("2.0.0", "k:4", "started")
    rotate("2.0.0", "k:5")
    past.minute += 100
    stays, ended = past.settings(1, "1.0.0")
    assert stays == {"k:2", "k:4", "k:5"}
    assert ended == {digits(value, 12) for value in ("k:1", "k:2", "k:3", "k:5")}
    assert past.settings(200)[0] == {"k:1", "k:2", "k:3", "k:4", "k:5"}


def test_the_lock_of_a_prune_ends_by_the_engines_clock(workspace: Workspace) -> None:
    """As a deployment's: one that this machine's clock ended, hours ago there, would keep nobody out."""
    ahead = timedelta(hours=5)
    engine = FakeEngine(info=replace(INFO, ahead_ms=int(ahead.total_seconds() * 1000)))
    env_ref = workspace.env_ref("production")
    target = SingleEngine(engine=engine, place=env_ref.place)
    live = LiveEnvironment(workspace=workspace, settings=env_ref.settings, place=env_ref.place, target=target)
    planned = PrunePlan(
        service="api",
        engine="here",
        environments=("production",),
        node="",
        removals=(),
        kept=(Kept(version="0.1.0", digest="", image=str(digest("image")), reasons=(), layers={}),),
        containers=(),
        unknown=(),
    )
    with _locked(live, EngineStore(engine=engine), planned):
        holder = current_holder(target.lock_store(), env_ref.place)
        assert holder is not None
        assert datetime.fromisoformat(holder.since) > datetime.now(UTC) + ahead / 2
