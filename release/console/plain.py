"""Plain lines, one for each event: for pipes, files and unknown CI systems."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from release.console.layout import error_lines, error_log_tail, event_lines
from release.console.output import Line, OutputWriter
from release.errors import ReleaseError
from release.events import Event, Failed, Progress, Started
from release.secrets.redact import Redacted
from release.values import Struct

_QUIET_SECONDS: Final = 10.0
"""Seconds between two progress lines of a stage with much output."""

_AT_ONCE: Final = 20
"""Number of a stage's first progress lines that are all written."""

Clock = Callable[[], float]
"""Function that returns the seconds of a monotonic clock."""


class _ProgressPace(Struct, kw_only=True):
    """Time of a stage's last progress line, and the number of its lines."""

    last: float
    said: int = 0


class PlainView:
    """View that renders each event as a line; the base of the other views."""

    def __init__(self, output: OutputWriter, clock: Clock = time.monotonic) -> None:
        """Set the output."""
        self.output, self.clock = output, clock
        self._paces: dict[str, _ProgressPace] = {}
        self._failed: Path | None = None

    def show(self, event: Event) -> None:
        """Render an event."""
        self.remember(event)
        if not isinstance(event, Progress) or self._is_progress_due(event):
            self.write(*event_lines(event))

    def remember(self, event: Event) -> None:
        """Store the facts of an event that later lines need."""
        if isinstance(event, Started):
            self._paces[event.name] = _ProgressPace(last=self.clock())
        if isinstance(event, Failed) and not event.stopped:
            self._failed = event.log

    def write(self, *lines: Line) -> None:
        """Write lines."""
        for line in lines:
            self.output.write_line(line)

    def error(self, error: ReleaseError) -> None:
        """Render the error that ended the work, with the log of the stage that failed."""
        tail = self.output.clean("\n".join(error_log_tail(error))).splitlines()
        self.write(*error_lines(error, tail, self._failed_stage_log()))

    def _failed_stage_log(self) -> Path | None:
        """Return the path of the failed stage's log, if the log is not empty."""
        log = self._failed
        return log if log is not None and log.exists() and log.stat().st_size else None

    def hidden(self, values: Sequence[Redacted]) -> None:
        """Do nothing; a view for a CI system masks these values in later steps."""

    def close(self) -> None:
        """Do nothing; other views end their output."""

    def _is_progress_due(self, event: Progress) -> bool:
        if event.lasting:
            return True
        now = self.clock()
        pace = self._paces.setdefault(event.name, _ProgressPace(last=now))
        at_once = not event.passing and pace.said < _AT_ONCE
        if not at_once and now - pace.last < _QUIET_SECONDS:
            return False
        pace.last, pace.said = now, pace.said + 1
        return True
