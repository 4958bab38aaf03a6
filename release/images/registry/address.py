"""Addresses that a registry names, and the rule for redirects."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

from release.values import Struct

_LONGEST: Final = 8 * 1024
_PRINTABLE: Final = re.compile(r"[!-~]+")
_PORTS: Final = {"http": 80, "https": 443}
_KEEPS_METHOD: Final = frozenset({307, 308})


class Address(Struct, frozen=True, kw_only=True):
    """Absolute address of HTTP or HTTPS."""

    text: str
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an address. Raise ValueError if it is not absolute, or contains a login."""
        shown = repr(text[:100])
        if len(text) > _LONGEST or not _PRINTABLE.fullmatch(text):
            raise ValueError(f"{shown} is not an address: it is empty, too long, or not plain ASCII")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError(f"{shown} is not an address") from None
        scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
        if scheme not in _PORTS or not host:
            raise ValueError(f"{shown} is not an address of http or https")
        if "@" in parts.netloc or "\\" in parts.netloc:
            raise ValueError(f"the address of {host} holds a login")
        return cls(text=text, scheme=scheme, host=host, port=_PORTS[scheme] if port is None else port)

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return scheme, host and port. A login for one origin is never sent to another."""
        return self.scheme, self.host, self.port

    @property
    def is_loopback(self) -> bool:
        """Return whether the host of the address is this machine."""
        return is_loopback_name(self.host)

    @property
    def is_private(self) -> bool:
        """Return whether nobody can read the traffic: TLS, or this machine."""
        return self.scheme == "https" or self.is_loopback

    def __str__(self) -> str:
        """Return scheme, host and port without path and query, which may hold a signature."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def redirect_address(method: str, now: Address, location: str, status: int, *, stays: bool) -> Address:
    """Return the address of a redirect that may be followed. Raise ValueError for any other.

    Args:
        method: method of the request.
        now: the address that redirects.
        location: new address, absolute or relative.
        status: status of the redirecting answer.
        stays: whether the request holds a login, and so stays at its host.
    """
    try:
        text = urljoin(now.text, location)
    except ValueError:
        text = location
    place = Address.parse(text) if location else None
    if place is None:
        raise ValueError(f"{now} redirects ({status}) without an address")
    reads = method in {"GET", "HEAD"}
    if not reads and status not in _KEEPS_METHOD:
        raise ValueError(f"{now} redirects a {method} ({status}) to {place}, which would make it a GET")
    if place.origin == now.origin:
        return place
    if stays or not reads:
        raise ValueError(
            f"{now} redirects to {place}, but credentials and changes are not sent to another host"
        )
    if not place.is_private or (place.is_loopback and not now.is_loopback):
        raise ValueError(f"{now} redirects to {place}, which is not a host with TLS")
    return place


def is_loopback(host: str) -> bool:
    """Return if a host, with or without a port, is 127.0.0.0/8, ::1 or localhost. It needs no TLS."""
    try:
        return is_loopback_name(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def is_loopback_name(name: str) -> bool:
    """Return whether a host's name without a port is this machine's."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
