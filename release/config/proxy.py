"""`proxy` of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import model_validator

from release.scalars import (
    AbsolutePath,
    Duration,
    Matching,
    Name,
    Port,
    Value,
)


class Proxy(Value):
    """`[tool.release.environments.<name>.proxy]`: the proxy in front of the service, on a Docker network."""

    kind: Literal["dns", "haproxy", "caddy", "traefik"]
    """Way to move the traffic: the container's name on the network, HAProxy's runtime API, Caddy's admin
    API, or labels that Traefik reads."""
    network: Name
    """Existing network of the proxy and the service."""
    container: Name | None = None
    """Name of the proxy's container (haproxy, caddy)."""
    admin: (
        Annotated[
            str,
            Matching(
                r"/[^\x00:,]*|[A-Za-z0-9_.-]+:[0-9]{1,5}",
                'its admin address: a path, or "127.0.0.1:2019"',
            ),
        ]
        | None
    ) = None
    """Admin address, seen from the proxy's own container: a socket's path, or "127.0.0.1:2019"."""
    backend: Annotated[str, Matching(r"[A-Za-z0-9_.:-]+", "a name: letters, digits, _ . : and -")] | None = (
        None
    )
    """haproxy: the backend; caddy: the `@id` of the handler; traefik: the name of router and service."""
    rule: str | None = None
    """traefik: the router's rule, as "Host(`api.example`)"."""
    port: Port | None = None
    """Port of the service in its container; absent: the smoke run's port."""
    ttl: Duration = 2000
    """dns: time for which the proxy may use an address after a lookup."""
    drain: Duration = 30_000
    """Limit for open requests before the old container is stopped."""
    state_file: AbsolutePath | None = None
    """haproxy: a file in its container that keeps the state of its servers over a restart."""

    @model_validator(mode="after")
    def _complete(self) -> Proxy:
        needed, known = _NEEDED[self.kind], {*_NEEDED[self.kind], *_POSSIBLE[self.kind]}
        missing = [key for key in needed if getattr(self, key) is None]
        foreign = [key for key in self.model_fields_set - known - _ALWAYS if getattr(self, key) is not None]
        if missing:
            raise ValueError(f'kind = "{self.kind}" needs {", ".join(missing)}')
        if foreign:
            raise ValueError(f'kind = "{self.kind}" does not use {", ".join(sorted(foreign))}')
        return self


_ALWAYS: Final = frozenset({"kind", "network", "drain"})


_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "dns": (),
    "haproxy": ("container", "admin", "backend"),
    "caddy": ("container", "admin", "backend"),
    "traefik": ("rule",),
}


_POSSIBLE: Final[Mapping[str, tuple[str, ...]]] = {
    "dns": ("ttl",),
    "haproxy": ("port", "state_file"),
    "caddy": ("port",),
    "traefik": ("port", "backend"),
}
