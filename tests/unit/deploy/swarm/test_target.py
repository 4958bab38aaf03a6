"""A place in a Swarm: what it refuses before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from release.deploy.docker import DEPLOYMENT, Ours
from release.deploy.swarm.spec import Parts, service_spec
from release.deploy.swarm.target import SwarmTarget
from release.deploy.target import Way
from release.images.swarm import Swarm
from tests.unit.deploy import fakes as containers
from tests.unit.deploy.swarm.fakes import PLACE, FakeSwarm, order, real, service

OLD, NEW = "1" * 12, "2" * 12


@dataclass(frozen=True, kw_only=True)
class Target(SwarmTarget):
    """In a Swarm in memory."""

    fake: FakeSwarm

    @property
    def swarm(self) -> Swarm:
        return real(self.fake)


def target(fake: FakeSwarm) -> Target:
    return Target(engine=fake.engine, place=PLACE, fake=fake)


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
    running = (replace(containers.state(), labels={DEPLOYMENT: task_of}),) if task_of else ()
    error = target(fake).objection(order(NEW, before=Ours(running=running, stopped=())), way)
    assert (error is None) == open_
    assert error is None or "--revert" in error.hint
