"""Download of a blob that computes its digest and continues after a broken connection."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any, Final

import requests

from release.errors import RegistryError
from release.images.registry.http import Answer
from release.images.registry.manifest import Blob
from release.images.registry.retry import ATTEMPTS, FAILURES
from release.retry import Again

CHUNK: Final = 256 * 1024
_DAMAGED: Final = "the registry or a proxy is damaged: read its log, then run it again"


class HashedBody(io.RawIOBase):
    """Body of an answer as a file that computes the digest and continues after a broken connection."""

    def __init__(
        self,
        blob: Blob,
        attempted: str,
        *,
        open_at: Callable[[int], Answer],
        again: Again,
        failure: Callable[[BaseException], RegistryError],
        check: Callable[[], None],
    ) -> None:
        """Send the first request. `check` is called before each piece is read, and may raise."""
        self._blob, self._attempted, self._check = blob, attempted, check
        self._open_at, self._again, self._failure = open_at, again, failure
        self._left = ATTEMPTS - 1
        self._hash, self._position = hashlib.sha256(), 0
        self._answer = open_at(0)

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with the next bytes.

        Raise RegistryError if there are more bytes than the size says.
        """
        chunk = self._chunk(len(buffer))
        self._hash.update(chunk)
        self._position += len(chunk)
        if self._position > self._blob.size:
            found = f"it is larger than its manifest states ({self._blob.size} bytes)"
            raise RegistryError(self._attempted, found, _DAMAGED)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _chunk(self, size: int) -> bytes:
        self._check()
        while True:
            try:
                return self._read(size)
            except FAILURES as error:
                self._check()
                if self._left == 0 or self._again(error, self._left) is False:
                    raise self._failure(error) from error
            self._left -= 1
            self._go_on()

    def _read(self, size: int) -> bytes:
        response = self._answer.response
        return b"" if response is None else bytes(response.raw.read(size, decode_content=False))

    def _go_on(self) -> None:
        """Continue after a break; skip the bytes that are here if the server sends all of them again."""
        self.hang_up()
        self._answer = self._open_at(self._position)
        left = self._position if self._answer.status == requests.codes.ok else 0
        while left and (chunk := self._read(min(left, CHUNK))):
            left -= len(chunk)

    def hang_up(self) -> None:
        """Close the connection."""
        self._answer.close()

    def finish(self) -> None:
        """Read the rest and compare the digest. Raise RegistryError if it differs."""
        while self.read(CHUNK):
            pass
        found = f"sha256:{self._hash.hexdigest()}"
        if found != self._blob.digest.text:
            raise RegistryError(self._attempted, f"its bytes hash to {found}", _DAMAGED)
