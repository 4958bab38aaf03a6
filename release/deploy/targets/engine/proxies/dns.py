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
    """A DNS name on a network."""

    engine: Engine
    place: Place
    settings: Settings
    port: int
    traffic_with_health: bool = False

    def problems(self, replicas: int) -> Iterable[str]:  # noqa: ARG002 - the protocol's
        """Return no problems: the engine of the containers also has the name."""
        return ()

    def image_problem(self, image: StoredImage, check: Healthcheck | None) -> str:  # noqa: ARG002 - the protocol's
        """Return an empty text: any image works, because the rollout renames containers."""
        return ""

    def cautions(self) -> Iterable[str]:
        """Return no cautions."""
        return ()

    def labels(self) -> Mapping[str, str]:
        """Return no labels: only names count."""
        return {}

    def in_traffic(self, containers: Sequence[ContainerState]) -> frozenset[str]:
        """Return the id of the container that has the name on the network."""
        holder = self.engine.state(self.place.container)
        if holder is None or self.settings.network not in holder.networks:
            return frozenset()
        return frozenset(container.id for container in containers if container.id == holder.id)

    def switch(self, *, into: Sequence[ContainerState], out: Sequence[ContainerState]) -> None:
        """Move the name, then wait until no proxy can still have the old address."""
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
        """Rename two containers, one right after the other. If the second fails, undo the first."""
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
        """Return the name that the container had before it was in traffic."""
        return self.place.fresh(holder.labels.get(DEPLOYMENT) or holder.id[:12])

    def busy(self, containers: Sequence[ContainerState]) -> int | None:  # noqa: ARG002 - the protocol's
        """Return None: a name server does not know."""
        return None

    def forget(self, containers: Sequence[ContainerState]) -> None:
        """Do nothing: a name server keeps nothing."""
