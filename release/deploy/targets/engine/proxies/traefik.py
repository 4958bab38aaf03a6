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
        """Return the name of the router and the service."""
        return self.settings.backend or self.place.container

    def problems(self, replicas: int) -> Iterable[str]:  # noqa: ARG002 - the protocol's
        """Return no problems: Traefik takes no commands, so nothing can be asked."""
        return ()

    def image_problem(self, image: StoredImage, check: Healthcheck | None) -> str:
        """Return a problem if there is no health check: starting containers would get requests."""
        early = "Traefik would send requests before the container listens"
        if check is not None and check.disable:
            return f"`healthcheck.disable` leaves no health check: {early}"
        if image.has_healthcheck or (check is not None and check.command):
            return ""
        return f"the image has no HEALTHCHECK, and the settings have no `healthcheck.command`: {early}"

    def cautions(self) -> Iterable[str]:
        """Return no cautions."""
        return ()

    def labels(self) -> Mapping[str, str]:
        """Return labels for a router with the rule, a service with the port, and a retry."""
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
        """Return the ids of containers with the labels, on the network, and healthy."""
        return frozenset(
            container.id
            for container in containers
            if container.labels.get("traefik.enable") == "true"
            and self.settings.network in container.networks
            and container.health in ("none", "healthy")
        )

    def switch(self, *, into: Sequence[ContainerState], out: Sequence[ContainerState]) -> None:
        """Do nothing: Traefik follows the containers' health. Old containers leave when they stop."""

    def busy(self, containers: Sequence[ContainerState]) -> int | None:  # noqa: ARG002 - the protocol's
        """Return None: Traefik is not asked."""
        return None

    def forget(self, containers: Sequence[ContainerState]) -> None:
        """Do nothing: Traefik keeps nothing."""
