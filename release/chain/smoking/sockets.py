"""Listening ports of a container, read from its kernel."""

from __future__ import annotations

import re
from typing import Final

from release.values import Struct

_LISTENING: Final = "0A"
"""State of a listening socket in /proc/net/tcp (TCP_LISTEN)."""


class ListeningPorts(Struct, frozen=True, kw_only=True):
    """Addresses that programs in the container listen on."""

    on_all_addresses: frozenset[int]
    on_loopback: frozenset[int]


def parse_listening_ports(text: str) -> ListeningPorts:
    """Return the listening sockets in a container's /proc/net/tcp and tcp6 (proc(5))."""
    found: dict[bool, set[int]] = {True: set(), False: set()}
    for line in text.splitlines():
        words = line.split()
        address, _, port = (words[1] if len(words) > 3 else "").partition(":")
        if re.fullmatch("[0-9A-F]{4}", port) and words[3] == _LISTENING:
            found[_is_loopback(address)].add(int(port, 16))
    return ListeningPorts(
        on_all_addresses=frozenset(found[False]), on_loopback=frozenset(found[True] - found[False])
    )


def _is_loopback(address: str) -> bool:
    if len(address) == 8:
        return "7F" in (address[:2], address[-2:])
    return address in ("00000000000000000000000001000000", "00000000000000000000000000000001")
