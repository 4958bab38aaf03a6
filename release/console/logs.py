"""Last lines of stages' logs, for output."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

from release.console.layout import relative_path_text

_LINES: Final = 5_000
"""Number of a log's last lines that a CI system's log shows."""


def last_log_lines(log: Path | None) -> tuple[str, ...]:
    """Return the last lines of a log and its path; none if there is no log."""
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
