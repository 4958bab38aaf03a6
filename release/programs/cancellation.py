"""Cancellation request that many threads share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from release.errors import Cancelled, ReleaseError


class Cancellation:
    """Cancellation request that many threads share; `request` calls each registered function once."""

    def __init__(self) -> None:
        """Nothing is cancelled at first."""
        self._lock = threading.RLock()  # a signal's handler may come while its own thread holds it
        self._reason: str | None = None
        self._stoppers: dict[int, Callable[[], None]] = {}
        self.at_once = threading.Event()
        """Set when nothing may be finished first, as after a signal."""

    @property
    def reason(self) -> str | None:
        """Return the reason of the cancellation; None without one."""
        return self._reason

    def request(self, reason: str, *, gently: bool = False) -> None:
        """Cancel with this reason, and return when all registered functions have run.

        `gently` lets programs finish their current step. A later request can be less gentle.
        """
        if not gently:
            self.at_once.set()
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            threads = [threading.Thread(target=_quietly, args=(stop,)) for stop in self._stoppers.values()]
        for thread in threads:  # side by side: one that takes its time does not keep the others running
            thread.start()
        for thread in threads:
            thread.join()

    def check(self) -> None:
        """Raise Cancelled if the work was cancelled."""
        if self._reason is not None:
            raise Cancelled("continue", self._reason)

    def pause(self, seconds: float) -> None:
        """Wait so many seconds. Raise Cancelled as soon as the work is cancelled."""
        is_over = threading.Event()
        with self.stopping(is_over.set):
            is_over.wait(seconds)
        self.check()

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """In the block, a cancellation calls `stop` from another thread.

        Raise Cancelled if the cancellation came before.
        """
        with self._lock:
            self._stoppers[id(stop)] = stop
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._stoppers.pop(id(stop), None)


def _quietly(stop: Callable[[], None]) -> None:
    """Ignore errors of a stopper: each stopped program reports its own end."""
    with suppress(ReleaseError):
        stop()
