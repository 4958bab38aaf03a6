"""Plain lines, one for each event: for pipes, files and CI systems that are not known here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from release.console.layout import error_lines, error_log_tail, event_lines
from release.console.output import Line, Output
from release.errors import ReleaseError
from release.events import Event, Failed, Progress, Started
from release.redact import Redacted
from release.values import Struct

_QUIET_SECONDS: Final = 10.0
"""A stage that has much to tell tells it this often."""

_AT_ONCE: Final = 20
"""Number of lines of one stage that are written as they come, before it has much output."""

Clock = Callable[[], float]
"""Seconds of a clock that only goes forward."""


class _Pace(Struct, kw_only=True):
    """When a stage last said something, and how often it did."""

    last: float
    said: int = 0


class Plain:
    """Renders events as lines. The other views are this one with something on top."""

    def __init__(self, output: Output, clock: Clock = time.monotonic) -> None:
        """Write to this output."""
        self.output, self.clock = output, clock
        self._paces: dict[str, _Pace] = {}
        self._failed: Path | None = None

    def show(self, event: Event) -> None:
        """Render an event."""
        self.remember(event)
        if not isinstance(event, Progress) or self._is_due(event):
            self.write(*event_lines(event))

    def remember(self, event: Event) -> None:
        """Keep what later lines need."""
        if isinstance(event, Started):
            self._paces[event.name] = _Pace(last=self.clock())
        if isinstance(event, Failed) and not event.stopped:
            self._failed = event.log

    def write(self, *lines: Line) -> None:
        """Write lines."""
        for line in lines:
            self.output.line(line)

    def error(self, error: ReleaseError) -> None:
        """Render the error that ended the work, with the log of the stage that failed."""
        tail = self.output.clean("\n".join(error_log_tail(error))).splitlines()
        self.write(*error_lines(error, tail, self._log()))

    def _log(self) -> Path | None:
        """The failed stage's, where there is something in it."""
        log = self._failed
        return log if log is not None and log.exists() and log.stat().st_size else None

    def hidden(self, values: Sequence[Redacted]) -> None:
        """These values became secret."""

    def close(self) -> None:
        """Nothing more comes."""

    def _is_due(self, event: Progress) -> bool:
        now = self.clock()
        pace = self._paces.setdefault(event.name, _Pace(last=now))
        at_once = not event.passing and pace.said < _AT_ONCE
        if not at_once and now - pace.last < _QUIET_SECONDS:
            return False
        pace.last, pace.said = now, pace.said + 1
        return True
