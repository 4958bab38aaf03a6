"""Hint for a container that cannot reach another service, such as a database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_NO_SERVICE: Final = (
    "Connection refused",
    "Name or service not known",
    "Temporary failure in name resolution",
    "No address associated with hostname",
    "no such host",
    "getaddrinfo ENOTFOUND",
    "ECONNREFUSED",
)
"""Messages of the C library, Go and Node for an unreachable service (gai_strerror(3), strerror(3))."""


def hint_for_missing_service(lines: Iterable[str]) -> str:
    """Return the hint if the output shows that another service was not found; empty otherwise."""
    if any(words in line for line in lines for words in _NO_SERVICE):
        return (
            "it looks for another service, as a database: start one beside it, by a table "
            "`[tool.release.companions.<name>]`, whose name is its host name"
        )
    return ""
