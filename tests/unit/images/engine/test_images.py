"""What of the image store needs no engine: streams."""

from __future__ import annotations

import io

from release.images.engine import images


def test_chunks_are_read_as_a_file() -> None:
    """However the chunks are cut, empty ones among them."""
    with io.BufferedReader(images._Chunks([b"ab", b"", b"cdef", b"g"]), 3) as stream:
        assert (stream.read(1), stream.read(4), stream.read(), stream.read()) == (b"a", b"bcde", b"fg", b"")
