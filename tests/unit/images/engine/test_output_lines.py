"""The output of containers: lines of a bounded length, and all of it for a log."""

from __future__ import annotations

import pytest

from release.images.engine.output_lines import LONGEST_LINE, split_lines

MEGABYTE = 1024**2


def test_chunks_become_lines() -> None:
    """A line may come in parts, a character too; the last one needs no end."""
    text = "one\ntwo ü\r\nthree".encode()
    chunks = [text[:6], text[6:9], text[9:10], text[10:]]
    assert list(split_lines(chunks)) == ["one", "two ü", "three"]
    assert list(split_lines([])) == []
    assert list(split_lines([b"", b"\n", b"\n"])) == ["", ""]


def test_a_log_gets_all_of_it() -> None:
    """In whatever pieces; it ends with a line end, also where the output does not."""
    pieces: list[str] = []
    list(split_lines([b"one\r\ntw", b"o\xc3", b"\xbc"], pieces.append))
    assert "".join(pieces) == "one\ntwoü\n"


@pytest.mark.parametrize("chunk", [1000, 16_384, 5 * MEGABYTE])
@pytest.mark.attack(
    "A passing test writes one line of 5 MB",
    "The line is cut for screens, messages and records; the log has all of it",
)
def test_a_long_line_is_cut_and_the_log_has_all_of_it(chunk: int) -> None:
    """However it is cut into chunks; the lines around it are as they are."""
    text = b"before\n" + b"x" * 5 * MEGABYTE + b"\nafter\n"
    pieces: list[str] = []
    chunks = [text[start : start + chunk] for start in range(0, len(text), chunk)]
    before, cut, after = split_lines(chunks, pieces.append)
    assert (before, after) == ("before", "after")
    assert cut == f"{'x' * LONGEST_LINE}… ({5 * MEGABYTE - LONGEST_LINE:,} more characters)"
    assert "".join(pieces).encode() == text


def test_each_chunk_costs_what_is_new() -> None:
    """The text of a long line that came before is not copied again: at most its kept part is."""
    biggest = 0

    def whole(text: str) -> None:
        nonlocal biggest
        biggest = max(biggest, len(text))

    list(split_lines([b"x" * 100] * 10_000, whole))
    assert biggest <= 100


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    """A wrong byte does not end the reading."""
    assert list(split_lines([b"a\xff", b"b\n"])) == ["a\ufffdb"]
