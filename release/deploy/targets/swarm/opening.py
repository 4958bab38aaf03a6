"""Connect to a Swarm through one of its managers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from release.config import Environment
from release.deploy.core.place import Place
from release.deploy.core.target import Target
from release.deploy.targets.swarm.nodes import manager
from release.deploy.targets.swarm.target import SwarmTarget
from release.events import Emit


def open_target(
    place: Place,
    settings: Environment,
    ports: Mapping[str, int | None],  # noqa: ARG001 - no proxy is told
    stack: ExitStack,
    emit: Emit,
) -> Target:
    """Return the target of a Swarm, with any manager that has a majority.

    See `release.deploy.targets.Opening`.
    """
    ways = settings.swarm.nodes if settings.swarm is not None else {}
    engine = manager(settings, ways, stack, emit)
    return SwarmTarget(engine=engine, place=place, ways=ways)
