"""A service with a real ledger, and a small honest engine where its containers are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from release import config
from release.deploy.core.lock import LOCK, Holder
from release.deploy.core.place import SERVING, Identity, Place
from release.deploy.environment import journal
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.planning.policy import NOTHING, Allowance
from release.deploy.planning.prepare import Prepared, prepare
from release.deploy.targets.engine.target import SingleEngine
from release.git.source import Source
from release.ledger import query
from release.records import Body, Deployment, Draft, Freeze, Record, Release
from release.reference import Digest
from release.runspec import RunSpec
from tests.unit.deploy.fakes import FakeEngine, lock_labels, state, stored
from tests.unit.ledger.samples import digits, draft, event, moment, release
from tests.unit.repository import ENVIRONMENT, Repository

PLACE = Place(service="api", environment="production")


@dataclass
class Scene:
    """What happened, one minute after the other from noon on, and what is there now."""

    live: LiveEnvironment
    engine: FakeEngine
    root: Repository
    releases: dict[str, Record[Release]] = field(default_factory=dict)
    minute: int = 0

    def release(self, *versions: str, commit: str = "") -> None:
        """Each of a commit of its own, or of one that is not here, with its image on the engine."""
        made = [
            release(version, commit=commit or self.root.commit(f"feat: {version}"), at=moment(self.minute))
            for version in versions
        ]
        self.live.workspace.ledger.append(made)
        for version in versions:
            found = query.release_of_version(self.live.workspace.ledger, "api", version)
            assert found is not None
            self.releases[version] = found
            self.engine.images += (stored(Digest(found.body.image.digest)),)

    def say(self, body: Body) -> None:
        """Record a word."""
        self.minute += 1
        self.live.workspace.ledger.append_events([draft(body, at=moment(self.minute))])

    def began(self, version: str, reason: str = "promote") -> Draft[Deployment]:
        """The start of a deployment; nothing is recorded."""
        self.minute += 1
        name = f"{version} {self.minute}"
        found = event(self.releases[version], "started", deployment=name, at=moment(self.minute))
        assert isinstance(found.body, Deployment)
        body = found.body.model_copy(update={"reason": reason, "message": f"why {version}"})
        return found.of(body)

    def deploy(self, version: str, status: str = "healthy", reason: str = "promote") -> str:
        """Recorded from its start to its end, and not on the engine; its id."""
        began = self.began(version, reason)
        self.minute += 1
        end = began.body.model_copy(update={"status": status})
        rest = [draft(end, at=moment(self.minute))] if status != "started" else []
        self.live.workspace.ledger.append([began, *rest])
        return began.body.deployment

    def runs(
        self, version: str, deployment: str, name: str = PLACE.container, called: str = "", **changes: Any
    ) -> None:
        """A container of a deployment; of a version that was never released its image is no release's.

        `called` is the version in its labels, where that is another one.
        """
        known = self.releases.get(version)
        image = Digest(known.body.image.digest if known is not None else f"sha256:{digits('strange')}")
        identity = Identity(
            deployment=deployment,
            version=called or version,
            commit="c" * 40,
            digest=image,
            record=known.id if known is not None else "e" * 64,
        )
        labels = PLACE.labels(SERVING) | identity.labels()
        self.engine.add(state(name, image=image, labels=labels, **changes))

    def locked(self, began: Draft[Deployment]) -> Holder:
        """The lock of a deployment, held by a machine that nobody can look into."""
        holder = Holder(
            who="Grace Hopper",
            host="runner-7",
            pid="7",
            process="boot/7",
            url="",
            deployment=began.body.deployment,
            since=moment(0),
            expires=datetime(2999, 1, 1, tzinfo=UTC).isoformat(),
            journal=journal.write(began),
        )
        self.engine.add(state(PLACE.lock, status="created", labels=PLACE.labels(LOCK) | lock_labels(holder)))
        return holder

    def freeze(self, message: str, until: str | None = None, deployment: str | None = None) -> None:
        """Record a freeze."""
        self.say(Freeze(environment="production", message=message, until=until, deployment=deployment))

    def prepared(
        self, version: str, why: Literal["promote", "rollback"] = "rollback", allowed: Allowance = NOTHING
    ) -> Prepared:
        """The plan, by what is there now."""
        return prepare(self.live, self.releases[version], why, allowed=allowed)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A service without a registry or a remote, that fences migrations; nothing is released."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    repository = Repository.init(tmp_path)
    repository.commit("feat: start", **{"migrations/1_users.py": ""})
    parsed = config.parse({"tool": {"release": TABLE}})
    with closing(Source.open(tmp_path)) as source:
        workspace = Workspace(
            source=source, config=parsed, service=parsed.service(None), environ={}, emit=lambda _: None
        )
        env_ref, engine = workspace.env_ref("production"), FakeEngine()
        target = SingleEngine(engine=engine, place=env_ref.place)
        live = LiveEnvironment(
            workspace=workspace, settings=env_ref.settings, place=env_ref.place, target=target
        )
        yield Scene(live=live, engine=engine, root=repository)


TABLE = {
    "service": "api",
    "smoke": {"port": 8000},
    "migrations": {"paths": ["migrations/*.py"], "down": ["app", "down", "{count}"]},
    "environments": {"production": {"env": {"LOG_LEVEL": "info"}}},
}
SPEC = RunSpec(env={"LOG_LEVEL": "info"})
