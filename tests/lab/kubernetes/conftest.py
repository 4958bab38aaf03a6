from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lightkube import Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace

from release.config.kubernetes import Kubernetes
from release.deploy.targets.kubernetes.access import read_access
from release.deploy.targets.kubernetes.api import Cluster, connected
from release.images.engine import Engine
from tests.lab.kubernetes.world import ClusterWorld

collect_ignore_glob = [] if os.environ.get("RELEASE_TEST_KUBERNETES") else ["test_*.py"]

Make = Callable[..., ClusterWorld]
_STRICT = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}
"""All that is deployed has to satisfy the strictest of the Pod Security Standards."""


@pytest.fixture
def namespace() -> Iterator[str]:
    """A new namespace of the cluster, which is removed afterwards."""
    name = f"release-test-{secrets.token_hex(4)}"
    access = read_access(Kubernetes(namespace=name), os.environ)
    with Client(config=access.config) as client:
        client.create(Namespace(metadata=ObjectMeta(name=name, labels=_STRICT)))
        try:
            yield name
        finally:
            client.delete(Namespace, name)


@pytest.fixture
def cluster(namespace: str) -> Iterator[Cluster]:
    """The namespace, with nothing in it."""
    with connected(read_access(Kubernetes(namespace=namespace), os.environ)) as made:
        yield made


@pytest.fixture
def make(tmp_path: Path, namespace: str) -> Iterator[Make]:
    """Make services in the namespace."""
    made: list[ClusterWorld] = []
    with Engine.connect() as engine:

        def one(**options: Any) -> ClusterWorld:
            root = tmp_path / f"service-{len(made)}"
            made.append(ClusterWorld(root=root, engine=engine, namespace=namespace, **options))
            return made[-1]

        yield one
        for world in made:
            world.clean()


@pytest.fixture
def world(make: Make) -> ClusterWorld:
    """A service with two good releases, nothing deployed."""
    one = make()
    one.release("0.1.0")
    one.release("0.2.0")
    return one
