"""A world for each test: a service of its own that is gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from release.images.engine import Engine
from tests.engine.deploy.world import World

Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path, engine: Engine) -> Iterator[Make]:
    """Make services; their containers and images go in the end."""
    made: list[World] = []

    def one(**options: Any) -> World:
        made.append(World(root=tmp_path / f"service-{len(made)}", engine=engine, **options))
        return made[-1]

    yield one
    for world in made:
        world.clean()


@pytest.fixture
def world(make: Make) -> World:
    """A service with two good releases, nothing deployed."""
    one = make()
    one.release("0.1.0")
    one.release("0.2.0")
    return one
