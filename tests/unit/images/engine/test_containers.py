"""What of the containers needs no engine: their output."""

from __future__ import annotations

from release.images.engine import containers


def test_chunks_become_lines() -> None:
    """A line may come in parts, a character too; the last one needs no end."""
    text = "one\ntwo ü\r\nthree".encode()
    chunks = [text[:6], text[6:9], text[9:10], text[10:]]
    assert list(containers._lines(chunks)) == ["one", "two ü", "three"]
    assert list(containers._lines([])) == []
