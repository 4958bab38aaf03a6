"""A Swarm keeps the contract of a target."""

from __future__ import annotations

import pytest

from tests.contract import TargetContract
from tests.engine.deploy.bench import WorldBench, bench_of
from tests.lab.conftest import Make

pytestmark = [pytest.mark.xdist_group("swarm"), pytest.mark.timeout(240)]


@pytest.fixture
def bench(make: Make) -> WorldBench:
    """A service with three releases, and nothing deployed."""
    return bench_of(make())


class TestSwarmTarget(TargetContract):
    """The row of a Swarm: a service with several tasks."""
