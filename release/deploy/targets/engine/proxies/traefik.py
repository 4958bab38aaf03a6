"""Traefik's Docker provider: it reads labels, and sends requests to each labelled container that is healthy.

So a new container takes part from the moment its health check passes, and an old one leaves when it stops.
Between its stop and Traefik's notice a connection may be refused, which the retry in the labels takes care
of. Source: Traefik 3 documentation, "Docker" (routing configuration) and "Retry".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from release.config import Proxy as Settings
from release.deploy.core.place import Place
from release.images.engine import ContainerState, Engine, StoredImage
from release.runspec import Healthcheck
from release.values import Struct


class Traefik(Struct, frozen=True, kw_only=True):
    """A router and a service of a Traefik."""

    engine: Engine
    place: Place
    settings: Settings
    port: int
    traffic_with_health: bool = True

    @property
    def name(self) -> str:
        """Of the router and of the service."""
        return self.settings.backend or self.place.container

    def problems(self, replicas: int) -> Iterable[str]:  # noqa: ARG002 - the protocol's
        """None that could be asked: it takes no orders."""
        return ()

    def image_problem(self, image: StoredImage, check: Healthcheck | None) -> str:
        """Without a health check it would send requests to a container that just starts."""
        early = "Traefik would send requests before the container listens"
        if check is not None and check.disable:
            return f"`healthcheck.disable` leaves no health check: {early}"
        if image.has_healthcheck or (check is not None and check.command):
            return ""
        return f"the image has no HEALTHCHECK, and the settings have no `healthcheck.command`: {early}"

    def cautions(self) -> Iterable[str]:
        """None."""
        return ()

    def labels(self) -> Mapping[str, str]:
        """A router with the rule, a service with the port, and a retry for connections that are refused."""
        name, retry = self.name, f"{self.name}-retry"
        return {
            "traefik.enable": "true",
            "traefik.docker.network": self.settings.network,
            f"traefik.http.routers.{name}.rule": self.settings.rule or "",
            f"traefik.http.routers.{name}.service": name,
            f"traefik.http.routers.{name}.middlewares": retry,
            f"traefik.http.middlewares.{retry}.retry.attempts": "3",
            f"traefik.http.services.{name}.loadbalancer.server.port": str(self.port),
        }

    def in_traffic(self, containers: Sequence[ContainerState]) -> frozenset[str]:
        """Those that it may send requests to, by its own rule: labelled, on the network, healthy."""
        return frozenset(
            container.id
            for container in containers
            if container.labels.get("traefik.enable") == "true"
            and self.settings.network in container.networks
            and container.health in ("none", "healthy")
        )

    def switch(self, *, into: Sequence[ContainerState], out: Sequence[ContainerState]) -> None:
        """Nothing to say: it sees for itself. The old ones leave when they stop."""

    def busy(self, containers: Sequence[ContainerState]) -> int | None:  # noqa: ARG002 - the protocol's
        """Not asked."""
        return None

    def forget(self, containers: Sequence[ContainerState]) -> None:
        """Nothing is kept."""
