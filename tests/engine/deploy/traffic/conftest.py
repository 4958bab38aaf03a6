"""Services behind real proxies, gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.engine.deploy.conftest import Make
from tests.engine.deploy.traffic.edge import APP, Edge, Kind, Stand, edge


@pytest.fixture
def stand(make: Make, tmp_path: Path) -> Iterator[Stand]:
    """Put a service with two good releases behind a proxy, nothing deployed."""
    with ExitStack() as stack:

        def one(
            kind: Kind,
            *,
            text: str | None = None,
            drain: str = "10s",
            remote: Path | None = None,
            **settings: str,
        ) -> Edge:
            world = make(app=APP, remote=remote)
            made = stack.enter_context(edge(world, kind, tmp_path / "edge", text=text))
            made.configure(drain, **settings)
            for version in ("0.1.0", "0.2.0"):
                world.release(version)
            return made

        yield one
