"""Signals: before anything is touched they end the work at once, after that it is put back first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from release.process import Cancellation

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a CI system's cancellation, and a lost ssh connection."""


class Interrupted(BaseException):
    """A signal arrived where nothing needs to be put back. Like KeyboardInterrupt, no handler swallows it."""


class Interruption:
    """Listens for signals. While `held`, they only ask for a cancellation; else they end the work at once."""

    def __init__(self) -> None:
        """No signal has arrived."""
        self.cancellation = Cancellation()
        self.signal: signal.Signals | None = None
        self._held = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals while the block runs. Raises Interrupted in the block, unless held."""
        before = {number: signal.signal(number, self._arrived) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """While the block runs, a signal cancels and does not interrupt: what was begun is put back first."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        """The request comes from a thread: the one that was interrupted may be inside of the cancellation."""
        first, self.signal = self.signal is None, self.signal or signal.Signals(number)
        if not self._held:
            raise Interrupted
        if first:
            reason = f"{self.signal.name} arrived"
            threading.Thread(target=self.cancellation.request, args=(reason,)).start()
