"""The proxy that a team runs in front of a service: asked and told, never written here. One adapter a kind.

A rollout knows four words. `in_traffic`: which containers get new requests now. `switch`: give new requests
to some and no longer to others. `busy`: requests still under way on those. `forget`: they are gone for good.
All of them can be said again: what is so already stays so. Who is in traffic is asked of the proxy, not
remembered, so that a command after a crash finds what the one before it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from release.config import Proxy as Settings
from release.deploy.core.place import Place
from release.deploy.targets.engine.proxies.caddy import Caddy
from release.deploy.targets.engine.proxies.dns import Dns
from release.deploy.targets.engine.proxies.haproxy import HAProxy
from release.deploy.targets.engine.proxies.traefik import Traefik
from release.images.engine import ContainerState, Engine, StoredImage
from release.runspec import Healthcheck


class Proxy(Protocol):
    """A proxy, as a rollout uses it.

    Every method may raise EngineError, or ProxyError if the proxy refuses.
    """

    @property
    def traffic_with_health(self) -> bool:
        """Return whether the proxy sends requests to every healthy container by itself."""

    def problems(self, replicas: int) -> Iterable[str]:
        """Return problems that keep this number of containers from getting requests."""

    def image_problem(self, image: StoredImage, check: Healthcheck | None) -> str:
        """Return why the proxy cannot use containers of this image and health check; empty if it can.

        `check` replaces the image's own health check.
        """

    def cautions(self) -> Iterable[str]:
        """Return risks of lost requests, for the plan."""

    def labels(self) -> Mapping[str, str]:
        """Return the container labels that the proxy reads."""

    def in_traffic(self, containers: Sequence[ContainerState]) -> frozenset[str]:
        """Return the ids of the containers that get new requests."""

    def switch(self, *, into: Sequence[ContainerState], out: Sequence[ContainerState]) -> None:
        """Send new requests to `into` and no longer to `out`, and verify it."""

    def busy(self, containers: Sequence[ContainerState]) -> int | None:
        """Return the number of open requests at the containers; None if the proxy does not report it."""

    def forget(self, containers: Sequence[ContainerState]) -> None:
        """Free what the proxy keeps for containers that will be removed."""


_KINDS: Final[Mapping[str, Callable[..., Proxy]]] = {
    "dns": Dns,
    "haproxy": HAProxy,
    "caddy": Caddy,
    "traefik": Traefik,
}


def open_proxy(engine: Engine, place: Place, settings: Settings, port: int) -> Proxy:
    """Return the adapter to the proxy of these settings. `port` is the service's port. Nothing is asked."""
    return _KINDS[settings.kind](engine=engine, place=place, settings=settings, port=settings.port or port)
