"""One Swarm of three engines for all tests of this folder, and services of their own in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from release.images.engine import Engine
from tests.lab import machines
from tests.lab.machines import Machines
from tests.lab.world import SwarmWorld

Make = Callable[..., SwarmWorld]


@pytest.fixture(scope="session")
def lab_machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """The lab: it lives as long as the worker that runs these tests."""
    with machines.machines(tmp_path_factory.mktemp("lab")) as made:
        machines.swarm(made.machines)
        yield made


@pytest.fixture
def make(tmp_path: Path, lab_machines: Machines) -> Iterator[Make]:
    """Make services; what they left in the Swarm goes in the end, when every machine is well again."""
    made: list[SwarmWorld] = []

    def one(**options: Any) -> SwarmWorld:
        options = {"root": tmp_path / f"service-{len(made)}", **options}
        with Engine.connect(host=lab_machines.manager.host) as engine:
            made.append(SwarmWorld(engine=engine, machines=lab_machines, **options))
        return made[-1]

    yield one
    for world in made:
        world.clean()


@pytest.fixture
def world(make: Make) -> SwarmWorld:
    """A service with two good releases, nothing deployed."""
    one = make()
    one.release("0.1.0")
    one.release("0.2.0")
    return one
