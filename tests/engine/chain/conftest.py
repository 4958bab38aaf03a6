"""What the chain's tests leave in the engine is taken away again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.chain.smokes import Bench, opened
from tests.engine.service import Service, make_service

Make = Callable[..., Service]


@pytest.fixture
def make(tmp_path: Path, engine: Engine) -> Iterator[Make]:
    """Make services below this test's folder; their images and containers go in the end."""
    made: list[Service] = []

    def one(**options: Any) -> Service:
        made.append(make_service(tmp_path / f"service-{len(made)}", **options))
        return made[-1]

    yield one
    for service in made:
        lab.remove_service(engine, service.name)


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Iterator[Bench]:
    """Images of this test; they are removed in the end."""
    with opened(engine, tmp_path) as made:
        yield made
