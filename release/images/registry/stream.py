"""A blob as a stream that hashes what is read, and goes on where a connection broke."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any, Final

import requests

from release.errors import RegistryError, RegistryUnreachable
from release.images.registry.manifest import Blob
from release.images.registry.retry import ATTEMPTS, FAILURES
from release.patience import Again

CHUNK: Final = 256 * 1024


class Hashed(io.RawIOBase):
    """The body of a response as a file that hashes what is read, and goes on where a connection broke."""

    def __init__(
        self,
        open_at: Callable[[int], requests.Response],
        again: Again,
        unreachable: Callable[[BaseException], RegistryUnreachable],
        check: Callable[[], None],
    ) -> None:
        """Send the first request. `check` is called before each piece is read, and may raise."""
        self._check = check
        self._open_at, self._again, self._unreachable = open_at, again, unreachable
        self._left = ATTEMPTS - 1
        self._hash, self._position = hashlib.sha256(), 0
        self._response = open_at(0)

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with the next bytes and hash them."""
        chunk = self._chunk(len(buffer))
        self._hash.update(chunk)
        self._position += len(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _chunk(self, size: int) -> bytes:
        self._check()
        while True:
            try:
                return bytes(self._response.raw.read(size))
            except FAILURES as error:
                self._check()
                if self._left == 0 or self._again(error, self._left) is False:
                    raise self._unreachable(error) from error
            self._left -= 1
            self._go_on()

    def _go_on(self) -> None:
        """A server that knows no ranges sends all of it again: what we have is passed over."""
        self.hang_up()
        self._response = self._open_at(self._position)
        left = self._position if self._response.status_code == requests.codes.ok else 0
        while left and (chunk := self._response.raw.read(min(left, CHUNK))):
            left -= len(chunk)

    def hang_up(self) -> None:
        """Close the connection."""
        self._response.close()

    def finish(self, blob: Blob, attempted: str) -> None:
        """Read the rest and compare. Raises RegistryError."""
        while self.read(CHUNK):
            pass
        found = f"sha256:{self._hash.hexdigest()}"
        if found != blob.digest.text:
            raise RegistryError(attempted, f"its bytes hash to {found}", "the registry or a proxy is damaged")
