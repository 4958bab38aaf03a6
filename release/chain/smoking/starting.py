"""Time limit for the start of a smoke run's service while tests use the processors.

`smoke.timeout` is wall time as long as the container gets the processor that it wants. A container that has
had less processor time than that, and still computes, gets more wall time: up to `MOST` times the timeout.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from release.network.probe import INTERVAL_SECONDS

MOST: Final = 5
"""Longest wall time, as a multiple of the timeout."""

_WINDOW_SECONDS: Final = 2.0
"""Seconds between two measurements of the container's processor time."""

_BUSY: Final = 0.03
"""Share of one processor above which a container counts as computing."""

_SELDOM_SECONDS: Final = 0.5

_WINDOWS: Final = 2
"""Number of idle measurements in a row that end the start."""

Usage = Callable[[], float | None]
"""Return the container's processor time since its start, in seconds; None if not known."""


class ServiceProcessorTime:
    """Processor time of a container without the programs that the gate ran in the container."""

    def __init__(self, read: Usage) -> None:
        """Keep `read`, which returns the processor time of the whole container."""
        self._read, self._others = read, 0.0

    def __call__(self) -> float | None:
        """Return the seconds; None if the engine does not report them."""
        used = self._read()
        return None if used is None else used - self._others

    @contextmanager
    def exclude(self) -> Iterator[None]:
        """Exclude the processor time that is used while the block runs."""
        before = self._read()
        try:
            yield
        finally:
            after = self._read()
            if before is not None and after is not None:
                self._others += after - before


class StartClock:
    """Clock that decides when a container's time to start is over."""

    def __init__(
        self,
        timeout: float,
        usage: Usage,
        *,
        clock: Callable[[], float] = time.monotonic,
        busy: float = _BUSY,
    ) -> None:
        """Begin now.

        Args:
            timeout: seconds.
            usage: returns the container's processor time.
            clock: returns the time in seconds.
            busy: the share of one processor above which a container counts as computing.
        """
        self._timeout, self._usage, self._clock, self._busy = timeout, usage, clock, busy
        self._began = clock()
        self._seen: tuple[float, float | None] | None = None
        self._computed: deque[bool] = deque(maxlen=_WINDOWS)
        self.had: float | None = None
        """Seconds of processor time at the last look."""

    @property
    def interval(self) -> float:
        """Return the seconds to the next request: longer after the timeout, to save processor time."""
        return INTERVAL_SECONDS if self.elapsed < self._timeout else _SELDOM_SECONDS

    @property
    def elapsed(self) -> float:
        """Return the seconds of wall time since the begin."""
        return self._clock() - self._began

    def is_over(self, *, starting: bool = True) -> bool:
        """Return whether the start time is over.

        With `starting`, a container that still computes but got less processor time than the timeout
        has more wall time, up to `MOST` timeouts.
        """
        passed = self.elapsed
        if passed < max(0.0, self._timeout - _WINDOW_SECONDS):
            return False
        self._sample_usage(passed)
        if passed < self._timeout:
            return False
        computes = not self._computed or any(self._computed)
        starving = self.had is not None and self.had < self._timeout and computes
        return not (starving and starting) or passed >= MOST * self._timeout

    def _sample_usage(self, passed: float) -> None:
        if self._seen is None:
            self.had = self._usage()
            self._seen = passed, self.had
            return
        then, before = self._seen
        if passed - then < _WINDOW_SECONDS:
            return
        self.had = self._usage()
        if self.had is not None and before is not None:
            self._computed.append((self.had - before) / (passed - then) >= self._busy)
        self._seen = passed, self.had

    def __str__(self) -> str:
        """Return the time as `30 s`, or `75 s, of which it had the processor for 12 s`."""
        wall = f"{self.elapsed:.0f} s"
        if self.had is None or self.elapsed < self._timeout * 1.1:
            return f"{self._timeout:g} s"
        return f"{wall}, of which it had the processor for {self.had:.0f} s"
