"""TCP connections with time limits for opening and reading, which stop on cancellation."""

from __future__ import annotations

import errno
import io
import os
import select
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing_extensions import Buffer

SLICE_SECONDS: Final = 0.2
"""Longest wait before `check` is asked again."""

Check = Callable[[], None]
"""Raises when the connection is not wanted any more."""


def open_connection(host: str, port: int, *, seconds: float, check: Check = lambda: None) -> socket.socket:
    """Open a connection to the first address of the host that accepts one.

    Raises:
        OSError: none did, with the error of the last one; TimeoutError: not in time.
    """
    end = time.monotonic() + seconds
    error: OSError = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        line = socket.socket(family, kind, protocol)
        try:
            _connect(line, address, end, check)
        except OSError as failed:
            line.close()
            error = failed
        except BaseException:
            line.close()
            raise
        else:
            return line
    raise error


def _connect(line: socket.socket, address: object, end: float, check: Check) -> None:
    line.settimeout(0)
    code = line.connect_ex(address)  # type: ignore[arg-type]
    while code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        check()
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        if select.select([], [line], [], min(left, SLICE_SECONDS))[1]:
            code = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    line.settimeout(max(end - time.monotonic(), SLICE_SECONDS))


class Reader(io.RawIOBase):
    """Reader of a connection with a deadline and a size limit."""

    def __init__(self, line: socket.socket, *, end: float, most: int, check: Check) -> None:
        """Read until `end` of the monotonic clock, at most `most` bytes."""
        self.line = line
        self._end, self._left, self._most, self._check = end, most, most, check

    def hurry(self, seconds: float) -> None:
        """Move the deadline closer."""
        self._end = min(self._end, time.monotonic() + seconds)

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Read the next bytes. Raise TimeoutError after the deadline, OSError above the size limit."""
        while (left := self._end - time.monotonic()) > 0:
            self._check()
            self.line.settimeout(min(left, SLICE_SECONDS))
            try:
                got = self.line.recv_into(buffer)
            except TimeoutError:
                continue
            self._left -= got
            if self._left < 0:
                raise OSError(f"the answer is longer than {self._most // 1024} KiB")
            return got
        raise TimeoutError("the answer did not end in time")


ACCEPTS: Final = "accepts connections"
_ACCEPT_SECONDS: Final = 5.0
_CLOSING_SECONDS: Final = 0.25
"""An engine's own proxy accepts for a container that does not listen, and closes at once."""


def probe_connection(host: str, port: int, *, check: Check = lambda: None) -> str:
    """Open a connection and check that it stays open. Return `ACCEPTS`, or the failure as text."""
    try:
        with open_connection(host, port, seconds=_ACCEPT_SECONDS, check=check) as connection:
            if _stays(connection):
                return ACCEPTS
    except OSError as error:
        return f"accepts no connection: {error.strerror or error}"
    return "closes connections at once"


def _stays(connection: socket.socket) -> bool:
    connection.settimeout(_CLOSING_SECONDS)
    try:
        return bool(connection.recv(1))
    except TimeoutError:
        return True
