"""What the tests of this folder stand on: two kinds of engine, registries, git remotes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from release.images.engine import Engine
from tests import schemas
from tests.engine import lab


@pytest.fixture(autouse=True)
def _ledgers_are_as_documented(tmp_path: Path) -> Iterator[None]:
    """Every record that the programs of a test left in its repositories is as its schema says."""
    yield
    for head in tmp_path.glob("*/.git/HEAD"):
        for record in schemas.recorded(head.parent.parent):
            schemas.check(record)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that `docker` itself would use; its image store is containerd's."""
    return Engine.connect()


@pytest.fixture(scope="session")
def graph_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A second engine, of this worker alone, with a graph driver and no image in it."""
    folder = tmp_path_factory.mktemp("graph")
    with lab.graph_engine(folder) as second:
        yield second
    lab.remove_folder(folder)


@pytest.fixture(scope="session")
def running_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.RunningRegistry]:
    """A registry of this worker alone, without TLS or login."""
    with lab.running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def registry(running_registry: lab.RunningRegistry) -> str:
    """The registry's `host:port`."""
    return running_registry.host


@pytest.fixture(scope="session")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.RunningRegistry]:
    """A registry of this worker alone, with TLS and a login."""
    with lab.running_registry(tmp_path_factory.mktemp("locked"), login=lab.Login(), tls=True) as running:
        yield running


@pytest.fixture
def bare_remote(tmp_path: Path) -> Path:
    """An empty bare git repository, to be cloned from and pushed to."""
    return lab.make_bare_remote(tmp_path / "remote.git")


@pytest.fixture
def labels(engine: Engine) -> Iterator[Mapping[str, str]]:
    """Labels for a test's containers on the machine's engine; those that carry them are removed."""
    with lab.own_containers(engine) as own:
        yield own
