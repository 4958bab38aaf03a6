"""Commands that change the data, in containers of one engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from release.deploy.core import image_location
from release.deploy.core.instance import CommandInstance
from release.deploy.core.operations import CommandRequest
from release.deploy.core.place import MIGRATION, Place, container_spec
from release.deploy.targets.engine import failed_output
from release.deploy.targets.engine.images import EngineImages
from release.events import Emit
from release.images.container_spec import UNWATCHED
from release.images.engine import ContainerSpec, Engine
from release.programs.cancellation import Cancellation
from release.records import Image
from release.secrets.redact import Mask
from release.values import Struct, replace

_AT_ONCE: Final = 0


class EngineCommands(Struct, frozen=True, kw_only=True):
    """Containers with the role of a command. See `release.deploy.core.target.Commands`."""

    engine: Engine
    place: Place

    def refusal(self, image: Image) -> str:
        """Return a refusal if the engine lacks the image."""
        if image_location.find_stored(self.engine, image) is not None:
            return ""
        return f"the engine does not have the image {image.repository}@{image.digest}"

    def name(self, deployment: str, kind: str) -> str:
        """Return the name of the command's container."""
        return f"{self.place.fresh(deployment)}-{kind}"

    def advice(self, command: str) -> str:
        """Return the `docker` command that stops the container."""
        return (
            f"wait for it: `docker wait {command}`, then `docker logs {command}`; `docker stop {command}` "
            "stops it in the middle"
        )

    def every(self) -> tuple[CommandInstance, ...]:
        """Return the containers of commands, by the labels of place and role."""
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

    def start(self, request: CommandRequest, emit: Emit, cancellation: Cancellation) -> str:  # noqa: ARG002 - nothing to tell
        """Create the container and start it."""
        container = self.engine.create(command_container(self.engine, request))
        cancellation.check()
        self.engine.start(container)
        return container

    def wait(self, command: str, *, timeout: int, cancellation: Cancellation) -> int:
        """Wait until the container ends; return its exit status."""
        return self.engine.wait(command, timeout=timeout, cancellation=cancellation)

    def follow(self, command: str, cancellation: Cancellation) -> Iterator[str]:
        """Yield the lines of the container."""
        for _, text in self.engine.timed_lines(command, follow=True, cancellation=cancellation):
            yield text

    def stop(self, command: str) -> None:
        """Kill the container."""
        self.engine.stop(command, grace=_AT_ONCE)

    def logs(self, command: str, *, lines: int) -> tuple[str, ...]:
        """Return the last lines of the container."""
        return self.engine.logs(command, lines=lines)

    def keep_output(self, command: str, kind: str, mask: Mask) -> bool:
        """Keep the lines in a container that never runs."""
        state = self.engine.state(command)
        written = failed_output.captured(self.engine, mask, state) if state is not None else None
        if written is None or not written.lines:
            return False
        failed_output.keep(self.engine, self.place, [replace(written, process=kind)])
        return True

    def remove(self, command: str) -> None:
        """Remove the container."""
        self.engine.remove(command)


def command_container(engine: Engine, request: CommandRequest) -> ContainerSpec:
    """Return the container of a command: with the networks, volumes and limits of what serves."""
    serving = container_spec(
        request.place,
        request.identity,
        request.spec,
        image=EngineImages(engine=engine).id_of(request.image),
        secrets=request.secrets,
    )
    return replace(
        serving,
        name=request.name,
        command=request.command,
        entrypoint=request.entrypoint,
        labels=request.place.labels(request.role) | request.identity.labels(),
        aliases=(),
        publish=(),
        restart="no",
        healthcheck=UNWATCHED,
    )
