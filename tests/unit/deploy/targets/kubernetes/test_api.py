"""The tests' own API server keeps what a real one promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from release.config.kubernetes import Kubernetes
from release.deploy.targets.kubernetes.access import read_access
from release.deploy.targets.kubernetes.api import Cluster, connected
from tests.cluster.bench import kubeconfig
from tests.cluster.contract import ApiContract
from tests.cluster.server import ClusterServer
from tests.cluster.wire import served


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A namespace without anything."""
    with served(ClusterServer()) as server:
        environ = {"KUBECONFIG": str(kubeconfig(server, tmp_path / "kubeconfig"))}
        with connected(read_access(Kubernetes(namespace="shop"), environ)) as made:
            yield made


class TestStrictServer(ApiContract):
    """The row of the tests' own server."""
