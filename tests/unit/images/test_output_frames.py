"""The output of containers: frames, the last bytes, lines."""

from __future__ import annotations

import pytest

from release.images.output_frames import Frames, Tail, shortened_line


def frame(stream: int, content: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


SENT = frame(1, b"one ") + frame(2, b"oh") + frame(1, b"two") + frame(1, b"")


@pytest.mark.parametrize("size", [1, 3, 8, 9, 100])
def test_output_of_a_program_is_told_apart_from_its_errors(size: int) -> None:
    """However the frames are cut into chunks (ContainerAttach, "Stream format")."""
    chunks = [SENT[place : place + size] for place in range(0, len(SENT), size)]
    found = Frames(100).read(chunks)
    assert (found.output.content, found.errors.content) == (b"one two", b"oh")
    merged = Frames(100, merged=True).read(chunks)
    assert (merged.output.content, merged.output.is_cut) == (b"one ohtwo", False)


@pytest.mark.parametrize("cut", [1, 7, 8, 10])
def test_an_output_that_ends_in_the_middle_is_none(cut: int) -> None:
    """In the head of a frame, and in its content."""
    whole = frame(1, b"one")
    with pytest.raises(ValueError, match=f"in the middle of a frame, after {cut + len(whole)} bytes"):
        Frames(100).read([whole + whole[:cut]])


@pytest.mark.attack(
    "an engine announces a frame of four gigabytes", "a frame is never held whole: its last bytes are kept"
)
def test_only_the_last_bytes_are_kept() -> None:
    """Of a frame of any size; without any there is nothing."""
    huge = b"\x01\0\0\0\xff\xff\xff\xff"
    frames = Frames(4)
    with pytest.raises(ValueError, match="in the middle"):
        frames.read([huge, *[b"0123456789"] * 1000])
    assert (frames.output.content, frames.output.is_cut) == (b"6789", True)
    assert Frames(4).read([]).output.lines() == ()


def test_a_line_that_lost_its_beginning_is_left_out() -> None:
    """Unless there is no other."""
    tail = Tail(9)
    tail.add(b"a long beginning\nabc\r\nde\n")
    assert tail.lines() == ("abc", "de")
    tail.add(b"x" * 20)
    assert tail.lines() == ("x" * 9,)


def test_a_long_line_is_cut() -> None:
    """And the number of characters that are left out is shown."""
    assert shortened_line("abcdef", 4) == "abcd… (2 more characters)"
    assert shortened_line("abcd", 4) == shortened_line("abcd", None) == "abcd"
