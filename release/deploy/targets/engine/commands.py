"""Commands that change the data, in containers of one engine."""

from __future__ import annotations

from typing import Final

from release.cancellation import Cancellation
from release.deploy.core.instance import CommandInstance
from release.deploy.core.place import MIGRATION, Place
from release.images.engine import ContainerSpec, Engine
from release.values import Struct

_AT_ONCE: Final = 0


class EngineCommands(Struct, frozen=True, kw_only=True):
    """Containers with the role of a command. See `release.deploy.core.target.Commands`."""

    engine: Engine
    place: Place

    def refusal(self, kind: str) -> str:  # noqa: ARG002 - other targets refuse
        """Nothing: an engine runs them."""
        return ""

    def every(self) -> tuple[CommandInstance, ...]:
        """By the labels of the place and the role."""
        return tuple(
            CommandInstance(
                id=each.id,
                name=each.name,
                image=each.image,
                status=each.status,
                health=each.health,
                restarts=each.restarts,
                started_at=each.started_at,
                labels=each.labels,
                created_at=each.created_at,
                exit_code=each.exit_code,
                argv=each.argv,
            )
            for each in self.engine.containers(self.place.labels(MIGRATION))
        )

    def start(self, spec: ContainerSpec, cancellation: Cancellation) -> str:
        """Create the container and start it."""
        container = self.engine.create(spec)
        cancellation.check()
        self.engine.start(container)
        return container

    def wait(self, command: str, *, timeout: int, cancellation: Cancellation) -> int:
        """Wait for the end of the container."""
        return self.engine.wait(command, timeout=timeout, cancellation=cancellation)

    def stop(self, command: str) -> None:
        """Kill it."""
        self.engine.stop(command, grace=_AT_ONCE)

    def logs(self, command: str, *, lines: int) -> tuple[str, ...]:
        """Of the container."""
        return self.engine.logs(command, lines=lines)

    def remove(self, command: str) -> None:
        """Remove the container."""
        self.engine.remove(command)
