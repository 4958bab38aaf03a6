"""Time, for deadlines and pauses."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A clock that only runs forward."""

    def now(self) -> float:
        """Return seconds since some moment."""

    def pause(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """This machine's."""

    def now(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


SYSTEM = SystemClock()
