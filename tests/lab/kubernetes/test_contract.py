"""A real API server keeps what the tests' own one promises, and a real namespace is a target."""

from __future__ import annotations

import pytest

from tests.cluster.contract import ApiContract
from tests.contract import TargetContract
from tests.engine.deploy.bench import WorldBench, bench_of
from tests.lab.kubernetes.conftest import Make

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def bench(make: Make) -> WorldBench:
    """A service with three releases, and nothing deployed."""
    return bench_of(make())


class TestRealServer(ApiContract):
    """The row of the cluster that KUBECONFIG names."""


class TestRealTarget(TargetContract):
    """The row of a namespace: two pods."""
