"""A world as the bench of a target's contract: see `tests.contract`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from release.deploy.environment.environment import LiveEnvironment, Workspace
from tests.engine.deploy.world import World


@dataclass
class WorldBench:
    """A service with its environment at a real target."""

    world: World

    @contextmanager
    def live(self) -> Iterator[LiveEnvironment]:
        """The environment, in this process."""
        opened = Workspace.open(self.world.root, None, environ=os.environ, emit=lambda _: None)
        with opened as workspace, workspace.live(None) as live:
            yield live

    def foreign(self, version: str) -> str:
        """Start a release as another program would."""
        return self.world.foreign(version)

    def run(self, command: str, *words: str) -> tuple[int, Any]:
        """Run `invoke`; what it printed as data."""
        ended = self.world.invoke(command, "--json", *words)
        return ended.status, ended.data if ended.out.strip() else None


def bench_of(world: World) -> WorldBench:
    """Release two that are good, and one that ends at once."""
    world.configure(health_timeout='"10s"')
    world.release("0.1.0")
    world.release("0.2.0")
    world.release("0.3.0", mode="crashing")
    return WorldBench(world=world)
