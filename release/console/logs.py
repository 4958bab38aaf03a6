"""Logs of stages, read back to be shown."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

from release.console.layout import relative_path_text

_LINES: Final = 5_000
"""Number of last lines of one log in a CI system's own log."""


def log_lines(log: Path | None) -> tuple[str, ...]:
    """The last lines of a log, and where the others are; none where there is none."""
    if log is None:
        return ()
    try:
        with log.open(encoding="utf-8", errors="replace", newline="\n") as file:
            last = deque(enumerate(file, start=1), maxlen=_LINES)
    except OSError:
        return ()
    lines = [line.rstrip("\r\n") for _, line in last]
    cut = last[0][0] - 1 if last else 0
    return (
        (f"({cut} lines before this one are in {relative_path_text(log)})", *lines) if cut else tuple(lines)
    )
