"""HTTP connections that limit the time of an answer and the size of its headers, and stop on cancellation.

A timeout of `requests` starts again with every byte, so a server that sends one byte every few seconds never
times out. Here each wait is divided into short pieces. Between them the total time and the cancellation are
checked.
"""

from __future__ import annotations

import http.client
import io
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from release.values import Struct

MOST_HEADER_BYTES: Final = 256 * 1024
"""Largest size of status, headers and interim answers together, in bytes."""

_PIECE: Final = 1.0
"""Longest single wait in seconds; a cancellation is noticed after it."""

logging.getLogger("urllib3").addHandler(logging.NullHandler())  # else odd headers are logged with a traceback


class AnswerTooLate(TimeoutError):
    """Error for an answer that was not complete in time."""


class AnswerTooLarge(OSError):
    """Error for an answer above its limit. The text names the content and the limit."""


class Allowance(Struct, frozen=True, kw_only=True):
    """Time limits of an answer."""

    until: float
    """End time on the clock of `time.monotonic`."""
    silence: float
    """Seconds between two bytes."""
    check: Callable[[], None]
    """Function that is called between two waits; its exception ends the answer."""


def _unchecked() -> None:
    """Do nothing; stands for a check that never ends the wait."""


_ENDLESS: Final = Allowance(until=float("inf"), silence=60.0, check=_unchecked)
_now: ContextVar[Allowance] = ContextVar("allowance", default=_ENDLESS)


@contextmanager
def limit_answer_time(seconds: float, silence: float, check: Callable[[], None]) -> Iterator[Allowance]:
    """In the block, limit each answer to so many seconds, or to the end of an outer block.

    The body of an answer that is read after the block still has the time of the block.
    """
    until = min(time.monotonic() + seconds, _now.get().until)
    token = _now.set(Allowance(until=until, silence=silence, check=check))
    try:
        yield _now.get()
    finally:
        _now.reset(token)


class _Incoming(io.RawIOBase):
    """Bytes of one answer, read within its limits."""

    def __init__(self, sock: Any, file: io.RawIOBase) -> None:
        """Read from the socket; `file` keeps the socket open."""
        self._sock, self._file = sock, file
        self._allowance = _now.get()
        self._header_bytes: int | None = 0

    def readable(self) -> bool:
        return True

    def end_of_headers(self) -> None:
        """Stop the count of bytes; the reader of the body limits the body."""
        self._header_bytes = None

    def readinto(self, buffer: Any) -> int:
        count = self._received(buffer)
        if self._header_bytes is not None:
            self._header_bytes += count
            if self._header_bytes > MOST_HEADER_BYTES:
                raise AnswerTooLarge(f"its headers are larger than {MOST_HEADER_BYTES} bytes")
        return count

    def _received(self, buffer: Any) -> int:
        usual, begun = self._sock.gettimeout(), time.monotonic()
        try:
            while True:
                self._allowance.check()
                self._sock.settimeout(self._piece(begun))
                try:
                    return int(self._sock.recv_into(buffer))
                except TimeoutError:
                    pass
        finally:
            self._sock.settimeout(usual)

    def _piece(self, begun: float) -> float:
        """Return the seconds of the next wait. Raise AnswerTooLate, TimeoutError."""
        now = time.monotonic()
        total, silence = self._allowance.until - now, begun + self._allowance.silence - now
        if total <= 0:
            raise AnswerTooLate("the answer did not end in time")
        if silence <= 0:
            raise TimeoutError("no data came in time")
        return max(min(total, silence, _PIECE), 0.001)

    def close(self) -> None:
        self._file.close()
        super().close()


class Response(http.client.HTTPResponse):
    """Answer of a guarded connection, for its `response_class`."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        """Read from the socket within the limits of the current block."""
        super().__init__(sock, *args, **kwargs)
        file: Any = self.fp
        self._incoming = _Incoming(sock, file.detach())
        self.fp = io.BufferedReader(self._incoming)

    def begin(self) -> None:
        """Read the status and the headers."""
        super().begin()
        self._incoming.end_of_headers()


class _Plain(HTTPConnection):
    response_class = Response


class _Tls(HTTPSConnection):
    response_class = Response


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


def guard(manager: Any) -> None:
    """Make an urllib3 pool manager use guarded connections."""
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}


class Adapter(HTTPAdapter):
    """Adapter of requests for guarded connections."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create guarded connections to a server."""
        super().init_poolmanager(*args, **kwargs)
        guard(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Create guarded connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        guard(manager)
        return manager


def read_body(response: Any, most: int) -> bytes:
    """Return the streamed body of a response. Raise AnswerTooLarge if it is too large or compressed."""
    refuse_packed_body(response)
    content = bytearray()
    while len(content) <= most and (piece := response.raw.read(_BYTES, decode_content=False)):
        content += piece
    if len(content) > most:
        raise AnswerTooLarge(f"the answer is larger than {most} bytes")
    return bytes(content)


_BYTES: Final = 64 * 1024


def refuse_packed_body(response: Any) -> None:
    """Raise AnswerTooLarge for a compressed body, whose real size is unknown."""
    found = response.headers.get("Content-Encoding", "identity").strip().lower()
    if found not in {"", "identity"}:
        raise AnswerTooLarge(f"the answer is compressed ({found[:40]}), although that was not requested")
