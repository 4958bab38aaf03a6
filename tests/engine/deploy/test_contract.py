"""One engine keeps the contract of a target."""

from __future__ import annotations

import pytest

from tests.contract import TargetContract
from tests.engine.deploy.bench import WorldBench, bench_of
from tests.engine.deploy.conftest import Make


@pytest.fixture
def bench(make: Make) -> WorldBench:
    """A service with three releases, and nothing deployed."""
    return bench_of(make())


class TestEngineTarget(TargetContract):
    """The row of one engine: containers, stop-first."""
