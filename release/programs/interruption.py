"""Handling of signals: the first one cancels the work, a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from release.programs.cancellation import Cancellation
from release.programs.process import kill_all

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a CI system's cancellation, and a terminal or an ssh connection that was closed."""

SAME_SECONDS: Final = 0.3
"""A terminal and CI systems signal a whole process group, and wrappers pass on what they get: so soon after
the first, a signal is the same one, arriving twice."""


class Interrupted(BaseException):
    """Signal outside of a `held` block, as an exception that no handler catches, like KeyboardInterrupt."""


class Interruption:
    """Handler of signals. In a `held` block the first one cancels; else it ends the process at once."""

    def __init__(self, *, at_once: Callable[[], None] = lambda: None) -> None:
        """Create the handler; no signal has arrived.

        Args:
            at_once: called before the process ends at once: short, and safe at any moment.
        """
        self.cancellation = Cancellation()
        self.arrived: signal.Signals | None = None
        self.too_late = False
        """True: the signal arrived after the work was done; sessions and tasks report it."""
        self._at_once = at_once
        self._arrived_at = 0.0
        self._held = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle signals in the block. Raise Interrupted in the block, unless it is `held`.

        One that is ignored, as under nohup(1), stays ignored.
        """
        before = {number: signal.getsignal(number) for number in SIGNALS}
        heard = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
        for number in heard:
            signal.signal(number, self._arrive)
        try:
            yield
        finally:
            for number, handler in heard.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """In the block, the first signal requests a cancellation, so that started work is put back."""
        outer, self._held = self._held, True
        try:
            yield
        finally:
            self._held = outer

    def _arrive(self, number: int, _frame: FrameType | None) -> None:
        if self.arrived is not None:
            if time.monotonic() - self._arrived_at > SAME_SECONDS:
                self._leave(number)
            return
        self.arrived, self._arrived_at = signal.Signals(number), time.monotonic()
        if not self._held:
            raise Interrupted
        # from a thread: the one that was interrupted may be inside of the cancellation
        threading.Thread(target=self.cancellation.request, args=(f"{self.arrived.name} arrived",)).start()

    def _leave(self, number: int) -> None:
        """Kill all programs and end the process at once.

        Remaining objects have labels, so a later run finds them.
        """
        kill_all()
        self._at_once()
        os._exit(128 + number)
