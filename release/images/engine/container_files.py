"""Files copied out of containers: read an engine's archive within a limit."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from typing import Final

from release.errors import EngineError
from release.scalars import size_text

LARGEST: Final = 16 * 1024**2
"""Default limit of a file's size in bytes."""

_AROUND: Final = 64 * 1024
"""Bytes of an archive around its file: headers, padding, and the end."""

_DAMAGED: Final = "run the command again; if it fails again, read the log of the engine"
SLOW: Final = "the engine is overloaded or hangs: run `docker info`, then run the command again"
"""Next steps after a damaged archive, and after an answer that took too long."""


class TooLarge(EngineError):
    """Error for a file or an output of a container above its limit."""


def too_large(attempted: str, limit: int) -> TooLarge:
    """Return the error for a file or an output above the limit."""
    return TooLarge(attempted, f"it is larger than the limit, {size_text(limit)}", "make it smaller")


def only_file(chunks: Iterable[bytes], limit: int, attempted: str) -> bytes:
    """Return the content of the one file in an archive (GetContainerArchive).

    The archive states the file's size, and a sparse file expands to more bytes than the archive has. So both
    the bytes from the engine and the expanded bytes are limited.

    Raises:
        TooLarge: the archive or its file is larger than the limit allows.
        EngineError: the path is not a file, or the archive is damaged.
    """
    stream = _Limited(chunks, limit + _AROUND, too_large(attempted, limit))
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            member = tar.next()
            if member is None or not member.isreg():
                raise EngineError(attempted, "the path is not a regular file", "give the path of a file")
            if member.size > limit:
                raise too_large(attempted, limit)
            content = tar.extractfile(member)
            read = content.read(limit + 1) if content is not None else b""
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError) as error:
        raise EngineError(attempted, f"the engine's archive is damaged: {error}", _DAMAGED) from error
    if len(read) != member.size:
        raise EngineError(attempted, "the engine's archive ends early", _DAMAGED)
    return read


class _Limited(io.RawIOBase):
    """Chunks as a file; reading more bytes than the limit raises the given error."""

    def __init__(self, chunks: Iterable[bytes], limit: int, error: EngineError) -> None:
        super().__init__()
        self._chunks: Iterator[bytes] = iter(chunks)
        self._left, self._error = limit, error
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes. Raise the given error above the limit."""
        if not self._rest:
            self._rest = next(self._chunks, b"")
        taken, self._rest = (self._rest[:size], self._rest[size:]) if size >= 0 else (self._rest, b"")
        self._left -= len(taken)
        if self._left < 0:
            raise self._error
        return taken
