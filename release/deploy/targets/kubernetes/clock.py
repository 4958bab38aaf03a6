"""Time, for deadlines and pauses."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock."""

    def now(self) -> float:
        """Return monotonic seconds: only differences have a meaning."""

    def pause(self, seconds: float) -> None:
        """Wait for this time."""


class SystemClock:
    """This machine's clock."""

    def now(self) -> float:
        """Return the monotonic clock's seconds."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


SYSTEM = SystemClock()
