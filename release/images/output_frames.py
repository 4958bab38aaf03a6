"""Output of containers in the engine's stream format, read within limits.

Output and errors share one stream: each frame has a header with its stream and its size (Docker Engine API
1.45, ContainerAttach, "Stream format"). A program may write without end, so only the last bytes are kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

_HEADER: Final = struct.Struct(">BxxxL")
OUTPUT: Final = 1
ERRORS: Final = 2

CHUNK: Final = 64 * 1024
"""Bytes that are read from an engine at a time."""

OUTPUT_LIMIT: Final = 1024 * 1024
"""Default limit of the kept output of a program in a container, in bytes."""

LOG_LIMIT: Final = 64 * 1024
"""Default limit of a container's last lines, in bytes."""

LONGEST_LINE: Final = 2_000
"""Characters of one output line in a message."""


class Tail:
    """Last bytes of a stream."""

    def __init__(self, limit: int) -> None:
        """Set the number of bytes to keep."""
        self._limit, self._kept, self.is_cut = limit, bytearray(), False

    def add(self, content: bytes | memoryview) -> None:
        """Append bytes and drop the oldest ones above the limit."""
        self._kept += content[-self._limit :]
        self.is_cut = self.is_cut or len(content) > self._limit or len(self._kept) > self._limit
        if len(self._kept) > self._limit:
            del self._kept[: -self._limit]

    @property
    def content(self) -> bytes:
        """Return the kept bytes."""
        return bytes(self._kept)

    def lines(self, longest: int | None = LONGEST_LINE) -> tuple[str, ...]:
        """Return the kept bytes as lines, without a first line that lost its beginning."""
        text = self._kept.decode(errors="replace")
        lines = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")] if text else []
        whole = lines[1:] if self.is_cut and len(lines) > 1 else lines
        return tuple(shortened_line(line, longest) for line in whole)


def shortened_line(line: str, longest: int | None = LONGEST_LINE) -> str:
    """Return the line, or its first characters with the number of the missing ones."""
    if longest is None or len(line) <= longest:
        return line
    return f"{line[:longest]}… ({len(line) - longest:,} more characters)"


class Frames:
    """Parser of a stream of frames, in chunks of any size, which keeps the last bytes of the output."""

    def __init__(self, limit: int, *, merged: bool = False) -> None:
        """Set the bytes to keep: of each stream, or of both together if `merged`."""
        self.output = Tail(limit)
        self.errors = self.output if merged else Tail(limit)
        self._header, self._left, self._kind, self._seen = b"", 0, OUTPUT, 0

    def read(self, chunks: Iterable[bytes]) -> Frames:
        """Parse all chunks. Raise ValueError if the stream ends in the middle of a frame."""
        for chunk in chunks:
            self._feed(memoryview(chunk))
        if self._left or self._header:
            raise ValueError(f"the output ends in the middle of a frame, after {self._seen} bytes")
        return self

    def _feed(self, chunk: memoryview) -> None:
        self._seen += len(chunk)
        while chunk:
            if not self._left:
                taken = _HEADER.size - len(self._header)
                self._header, chunk = self._header + bytes(chunk[:taken]), chunk[taken:]
                if len(self._header) == _HEADER.size:
                    (self._kind, self._left), self._header = _HEADER.unpack(self._header), b""
                continue
            content, chunk = chunk[: self._left], chunk[self._left :]
            self._left -= len(content)
            (self.errors if self._kind == ERRORS else self.output).add(content)
