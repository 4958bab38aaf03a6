"""Address of a container's port, as this machine can reach the port."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from release.images.values import ContainerState

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_ANY: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


def is_local(host: str) -> bool:
    """Return whether the engine at this address runs on this machine."""
    parts = urlsplit(host)
    return parts.scheme in ("unix", "npipe") or parts.hostname in _LOOPBACK


def reachable_address(host: str, state: ContainerState, port: int) -> tuple[str, int] | None:
    """Return host and port at which a container's port answers; None if it is not reachable.

    Args:
        host: the engine's address.
        state: the running container.
        port: inside the container.
    """
    published = state.ports.get(port)
    if published is None:
        return (state.address, port) if is_local(host) and state.address else None
    address, number = published
    if is_local(host):
        return _ANY.get(address, address), number
    if address in _LOOPBACK:
        return None
    return (urlsplit(host).hostname or address, number) if address in _ANY else (address, number)
