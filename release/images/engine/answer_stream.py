"""Streamed answers of an engine, parsed with one limited piece in memory at a time.

docker-py reads as many bytes at once as a chunk or a frame announces: up to 4 GB.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

from release.parsing import jsontext

CHUNK: Final = 64 * 1024
"""Bytes that are read at a time."""
LONGEST_MESSAGE: Final = 64 * 1024
"""Largest size of one message of a transfer in bytes."""

_MESSAGE: Final = jsontext.Bounds(size=LONGEST_MESSAGE, depth=20, values=10_000, largest=2**63)
_HEADER: Final = struct.Struct(">BxxxL")


def parse_transfer_messages(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a transfer (ImageCreate, ImagePush), one a line. Raise ValueError."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST_MESSAGE:
            raise ValueError(f"a line of it is longer than {LONGEST_MESSAGE} bytes")
        for line in lines:
            if line.strip():
                yield jsontext.read_object(line, _MESSAGE)
    if rest.strip():
        yield jsontext.read_object(rest, _MESSAGE)


def frame_payloads(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of a stream of frames (ContainerAttach, "Stream format"), in small pieces."""
    header, left = b"", 0
    for chunk in chunks:
        rest = chunk
        while rest:
            if left:
                piece, rest = rest[:left], rest[left:]
                left -= len(piece)
                yield piece
                continue
            missing = _HEADER.size - len(header)
            header, rest = header + rest[:missing], rest[missing:]
            if len(header) == _HEADER.size:
                left, header = _HEADER.unpack(header)[1], b""
