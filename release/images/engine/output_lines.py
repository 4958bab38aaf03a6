"""Lines of a container's output with a limited length; a log gets the whole text."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from typing import Final

LONGEST_LINE: Final = 16_384
"""Characters of a line that are kept; the others are only counted."""


class _Line:
    """Line that is being read: its first characters and its length."""

    def __init__(self) -> None:
        self._kept = ""
        self._length = 0

    def add(self, text: str) -> None:
        """Append text to the line."""
        self._kept += text[: LONGEST_LINE - len(self._kept)]
        self._length += len(text)

    def end(self) -> str:
        """Return the line and begin the next line."""
        kept, more = self._kept.rstrip("\r"), self._length - len(self._kept)
        self._kept, self._length = "", 0
        return f"{kept}… ({more:,} more characters)" if more else kept

    @property
    def is_open(self) -> bool:
        """Return whether the line has at least one character."""
        return self._length > 0


def split_lines(chunks: Iterable[bytes], whole: Callable[[str], None] | None = None) -> Iterator[str]:
    """Yield the lines of an output without line ends. The cost grows with the output alone.

    Args:
        chunks: the output; a chunk may end in the middle of a line or of a character.
        whole: called with all text as it comes, line ends as "\\n", the last one complete.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    line = _Line()
    for chunk in chunks:
        text = decoder.decode(chunk)
        if whole is not None and text:
            whole(text.replace("\r\n", "\n"))
        yield from _ended(line, text)
    rest = decoder.decode(b"", final=True)
    line.add(rest)
    if line.is_open:
        if whole is not None:
            whole(f"{rest}\n")
        yield line.end()


def _ended(line: _Line, text: str) -> Iterator[str]:
    """Yield the lines that end in this text; keep the rest as the begin of the next line."""
    *ends, rest = text.split("\n")
    for end in ends:
        line.add(end)
        yield line.end()
    line.add(rest)
