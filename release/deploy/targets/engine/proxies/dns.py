"""A proxy that looks the service's name up again and again: nginx with `resolver`, HAProxy, Caddy and others.

The name is the container's own, `<service>-<environment>`, and it is moved by renaming: the engine's name
server follows a renamed container at once and cuts nothing. A network alias cannot be moved so: taking it
away means to disconnect the container, and every request under way with it. Between the two names' changes
there are some milliseconds in which nobody has the name; `<service>-<environment>-any`, which all
containers of the environment have, is what a proxy can fall back to then (docs/how-to/behind-a-proxy.md).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from release.config import Proxy as Settings
from release.deploy.core.place import DEPLOYMENT, Place
from release.errors import EngineError, NameTaken, ProxyError
from release.images.engine import ContainerState, Engine, StoredImage
from release.runspec import Healthcheck
from release.values import Struct


class Dns(Struct, frozen=True, kw_only=True):
    """A name on a network."""

    engine: Engine
    place: Place
    settings: Settings
    port: int
    traffic_with_health: bool = False

    def problems(self, replicas: int) -> Iterable[str]:  # noqa: ARG002 - the protocol's
        """None: the engine that has the containers has the name."""
        return ()

    def image_problem(self, image: StoredImage, check: Healthcheck | None) -> str:  # noqa: ARG002 - the protocol's
        """Any image will do: it is told when a container is ready."""
        return ""

    def cautions(self) -> Iterable[str]:
        """None."""
        return ()

    def labels(self) -> Mapping[str, str]:
        """None: it looks at names."""
        return {}

    def in_traffic(self, containers: Sequence[ContainerState]) -> frozenset[str]:
        """The one that has the name now, on the network."""
        holder = self.engine.state(self.place.container)
        if holder is None or self.settings.network not in holder.networks:
            return frozenset()
        return frozenset(container.id for container in containers if container.id == holder.id)

    def switch(self, *, into: Sequence[ContainerState], out: Sequence[ContainerState]) -> None:
        """Move the name, and wait until no proxy can still have the old address."""
        if not into:
            return
        target, holder = into[0], self.engine.state(self.place.container)
        if holder is None or holder.id != target.id:
            self._move(holder, target)
        if self.in_traffic([target]) != {target.id}:
            raise ProxyError(
                f"give {target.name} the name {self.place.container} on {self.settings.network}",
                "the engine does not list the name there",
                f"docker network inspect {self.settings.network}",
            )
        if out:
            time.sleep(self.settings.ttl / 1000)

    def _move(self, holder: ContainerState | None, target: ContainerState) -> None:
        """Two names change, one right after the other. Half of it is taken back."""
        if holder is not None:
            if not self.place.owns(holder):
                raise NameTaken(
                    f"give {target.name} the name {self.place.container}",
                    "a container that no deployment made has this name",
                    f"docker rename {self.place.container} {self.place.container}-before",
                )
            self.engine.rename(holder.id, self._aside(holder))
        try:
            self.engine.rename(target.id, self.place.container)
        except EngineError:
            if holder is not None:
                with suppress(EngineError):
                    self.engine.rename(holder.id, self.place.container)
            raise

    def _aside(self, holder: ContainerState) -> str:
        """The name it had before it was in traffic."""
        return self.place.fresh(holder.labels.get(DEPLOYMENT) or holder.id[:12])

    def busy(self, containers: Sequence[ContainerState]) -> int | None:  # noqa: ARG002 - the protocol's
        """A name server does not know."""
        return None

    def forget(self, containers: Sequence[ContainerState]) -> None:
        """Nothing is kept."""
