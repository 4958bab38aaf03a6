"""Short forms of long text, for screens, messages and records; logs keep the whole text."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

LINE: Final = 2_000
"""Characters of one line on a screen or in the end of a log that an error carries."""

SUMMARY: Final = 200
"""Characters of a stage's summary."""


def shortened(text: str, longest: int = LINE) -> str:
    """Return the text, or its first characters with the number of the others."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text) - longest:,} more characters)"


def tail(lines: Iterable[str], count: int) -> tuple[str, ...]:
    """Return the last lines, each shortened."""
    return tuple(shortened(line) for line in list(lines)[-count:])


def once_each(lines: Iterable[str]) -> list[str]:
    """Return the lines; equal lines after each other are one line with their number."""
    runs = [(line, len(list(equal))) for line, equal in groupby(lines)]
    return [line if number == 1 else f"{line} ({number} times)" for line, number in runs]


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 test", "2 tests"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
