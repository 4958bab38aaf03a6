from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest
from lightkube import Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace

from release.config.kubernetes import Kubernetes
from release.deploy.targets.kubernetes.access import read_access
from release.deploy.targets.kubernetes.api import Cluster, connected

collect_ignore_glob = [] if os.environ.get("RELEASE_TEST_KUBERNETES") else ["test_*.py"]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A new namespace of the cluster, which is removed afterwards."""
    name = f"release-test-{secrets.token_hex(4)}"
    access = read_access(Kubernetes(namespace=name), os.environ)
    with Client(config=access.config) as client:
        client.create(Namespace(metadata=ObjectMeta(name=name)))
        try:
            with connected(access) as made:
                yield made
        finally:
            client.delete(Namespace, name)
