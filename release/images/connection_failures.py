"""Causes of failed connections as text, by the type of the exception."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Final

import requests
import urllib3

from release.programs.program_socket import ProgramEnded

_WORDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (FileNotFoundError, "the socket does not exist"),
    (PermissionError, "this user has no permission to use it"),
    (ConnectionRefusedError, "no program listens there (connection refused)"),
    (socket.gaierror, "the host name is not known"),
    (ssl.SSLCertVerificationError, "this machine does not trust its certificate"),
    (ssl.SSLError, "the TLS handshake failed"),
    (TimeoutError, "it does not answer in time"),
    (urllib3.exceptions.TimeoutError, "it does not answer in time"),
    (requests.Timeout, "it does not answer in time"),
    (ConnectionError, "it closed the connection"),
    (urllib3.exceptions.ProtocolError, "it closed the connection"),
    (requests.exceptions.ChunkedEncodingError, "it closed the connection"),
)


def failure_text(error: BaseException) -> str:
    """Return the cause of a failed connection, as "nothing listens there (connection refused)"."""
    ended = find_cause(error, ProgramEnded)
    if ended is not None:
        return str(ended)
    for kind, text in _WORDS:
        if find_cause(error, kind) is not None:
            return text
    return str(error)


def find_cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the first exception of this type among an exception and its causes; None if there is none."""
    return next((link for link in _chain(error) if isinstance(link, kind)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, the outermost first; urllib3 also holds a cause as `reason`."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        held = [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
        waiting.extend(item for item in held if isinstance(item, BaseException))
