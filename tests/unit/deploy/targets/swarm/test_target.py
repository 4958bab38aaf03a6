"""A place in a Swarm: what it does and refuses before anything is touched."""

from __future__ import annotations

import pytest

from release.deploy.core.image_location import ImageLocation
from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import DEPLOYMENT
from release.deploy.core.rollout import Way
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.before import remember
from release.deploy.targets.swarm.images import SwarmImages
from release.deploy.targets.swarm.rollout import fresh
from release.deploy.targets.swarm.rollouts import SwarmRollouts
from release.deploy.targets.swarm.spec import Parts, service_spec
from release.events import Event
from release.reference import Digest
from release.runspec import Mount, ProcessSpec, RunSpec
from release.values import replace
from tests.unit.deploy import fakes as containers
from tests.unit.deploy.targets.swarm.fakes import (
    PLACE,
    RELEASE,
    FakeSwarm,
    means,
    node,
    order,
    real,
    service,
)

OLD, NEW = "1" * 12, "2" * 12


class Rollouts(SwarmRollouts, frozen=True, kw_only=True):
    """In a Swarm in memory."""

    fake: FakeSwarm

    @property
    def swarm(self) -> Swarm:
        return real(self.fake)


class Images(SwarmImages, frozen=True, kw_only=True):
    """In a Swarm in memory."""

    fake: FakeSwarm

    @property
    def swarm(self) -> Swarm:
        return real(self.fake)


def rollouts(fake: FakeSwarm) -> Rollouts:
    return Rollouts(engine=fake.engine, place=PLACE, fake=fake)


def images(fake: FakeSwarm) -> Images:
    return Images(engine=fake.engine, place=PLACE, fake=fake)


@pytest.mark.parametrize(
    ("spec_of", "task_of", "way", "open_"),
    [
        (NEW, NEW, "finish", True),
        (NEW, OLD, "finish", True),
        (OLD, NEW, "finish", True),
        (OLD, OLD, "finish", False),
        (OLD, OLD, "revert", True),
        (None, None, "finish", False),
        (None, None, "revert", True),
    ],
)
def test_what_is_not_there_cannot_be_finished(
    spec_of: str | None, task_of: str | None, way: Way, open_: bool
) -> None:
    """Neither its spec nor a task: told before the lock is taken, for it holds the journal."""
    fake = FakeSwarm(there=service(service_spec(order(spec_of), Parts())) if spec_of else None)
    running = (containers.instance(labels={DEPLOYMENT: task_of}),) if task_of else ()
    error = rollouts(fake).objection(order(NEW, before=InstanceSet(running=running, stopped=())), way)
    assert (error is None) == open_
    assert error is None or "--revert" in error.hint


DATA = RunSpec(volumes=(Mount.model_validate("data:/data"),))


def test_bytes_are_fetched_ahead_and_what_is_not_known_is_said() -> None:
    """Here the manager has them already, and of the other node nobody knows anything."""
    stored = containers.stored(Digest(RELEASE.body.image.digest))
    fake = FakeSwarm(engine=containers.FakeEngine(images=(stored,)), machines=[node(), node("b")])
    said = list[Event]()
    images(fake).fetch(RELEASE.body, DATA, ImageLocation(where="registry"), said.append)
    assert [str(getattr(event, "text", event)).partition(":")[0] for event in said] == [
        "cannot check the volume data on b",
        "could not pull the image in advance",
    ]


def test_a_volume_that_is_not_there_is_refused() -> None:
    """As on one engine."""
    fake = FakeSwarm(engine=containers.FakeEngine())
    (problem,) = rollouts(fake).settings_problems(DATA)
    assert problem.path == "environments.production.volumes"
    assert problem.message.startswith("a has no volume data")
    assert rollouts(FakeSwarm(engine=containers.FakeEngine(volumes=("data",)))).settings_problems(DATA) == []


def test_each_process_is_examined_by_its_own_settings() -> None:
    """Its key in the configuration is in the path; ports of the place's other services are no obstacle."""
    web, worker = ProcessSpec(name="web", settings=RunSpec()), ProcessSpec(name="worker", settings=DATA)
    both = RunSpec(processes=(web, worker))
    (problem,) = rollouts(FakeSwarm(engine=containers.FakeEngine())).settings_problems(both)
    assert problem.path == "environments.production.processes.worker.volumes"


def test_what_is_not_kept_any_more_cannot_be_reverted() -> None:
    """As when the operator died after the proof; told before the lock is taken."""
    wanted = replace(order(NEW), replaces=OLD)
    fake = FakeSwarm(there=service(service_spec(wanted, Parts())))
    error = rollouts(fake).objection(wanted, "revert")
    assert error is not None
    assert "--finish" in error.hint
    remember(fresh(real(fake), wanted, means()).parts[0], service(service_spec(order(OLD), Parts())))
    assert rollouts(fake).objection(wanted, "revert") is None
