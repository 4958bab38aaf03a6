"""A Swarm keeps the contract of a target."""

from __future__ import annotations

import pytest

from tests.contract import TargetContract
from tests.engine.deploy.bench import WorldBench, bench_of
from tests.lab.conftest import Make

pytestmark = [pytest.mark.xdist_group("swarm"), pytest.mark.timeout(240)]


@pytest.fixture
def bench(make: Make, monkeypatch: pytest.MonkeyPatch) -> WorldBench:
    """A service with three releases, and nothing deployed; this process has the lab's login and authority."""
    world = make()
    for name, value in world.machines.environ().items():
        monkeypatch.setenv(name, value)
    return bench_of(world)


class TestSwarmTarget(TargetContract):
    """The row of a Swarm: a service with several tasks."""
