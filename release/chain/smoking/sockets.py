"""The ports that the programs of a container listen on, as its own kernel tells."""

from __future__ import annotations

import re
from typing import Final

from release.values import Struct

_LISTENING: Final = "0A"
"""The state of a socket in /proc/net/tcp (TCP_LISTEN)."""


class Sockets(Struct, frozen=True, kw_only=True):
    """Addresses on which programs in the container listen."""

    everywhere: frozenset[int]
    loopback: frozenset[int]


def read_sockets(text: str) -> Sockets:
    """Read /proc/net/tcp and tcp6 of a container (proc(5)): hexadecimal, addresses in the machine's order."""
    found: dict[bool, set[int]] = {True: set(), False: set()}
    for line in text.splitlines():
        words = line.split()
        address, _, port = (words[1] if len(words) > 3 else "").partition(":")
        if re.fullmatch("[0-9A-F]{4}", port) and words[3] == _LISTENING:
            found[_is_loopback(address)].add(int(port, 16))
    return Sockets(everywhere=frozenset(found[False]), loopback=frozenset(found[True] - found[False]))


def _is_loopback(address: str) -> bool:
    if len(address) == 8:
        return "7F" in (address[:2], address[-2:])
    return address in ("00000000000000000000000001000000", "00000000000000000000000000000001")
