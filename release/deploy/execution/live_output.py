"""Output of a command on the data, shown line by line while the command runs.

A thread follows the output. What it did not show, as without an answer of the node, is shown at the end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from release.deploy.core.rollout import RolloutContext
from release.errors import ReleaseError
from release.events import Progress
from release.programs.cancellation import Cancellation
from release.values import Struct, field

MOST_LINES: Final = 10_000
"""Lines that are shown live; of further output, the last lines are shown at the end."""
_DRAIN_SECONDS: Final = 3.0
"""Time for the last lines to arrive after the end of the command."""
_PAUSE_SECONDS: Final = 0.05

Follow = Callable[[Cancellation], Iterator[str]]


class LiveOutput(Struct, kw_only=True):
    """Output of one command."""

    kind: str
    context: RolloutContext
    follow: Follow
    count: int = 0
    """Number of lines that were read."""
    shown: int = 0
    """Number of lines that were shown."""
    stop: Cancellation = field(default_factory=Cancellation)
    """Ends the reading."""
    ended: threading.Event = field(default_factory=threading.Event)
    """Set when nothing more is read."""

    @contextmanager
    def following(self) -> Iterator[None]:
        """Show the lines while the block runs. `finish` shows the rest."""
        threading.Thread(target=self._read, daemon=True).start()
        try:
            yield
        finally:
            self.stop.request("the command has ended")

    def finish(self, last: Sequence[str]) -> None:
        """Wait for the rest of the output, and show the last lines that nobody has seen.

        Args:
            last: the last lines of the command, all of them if they are few.
        """
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self.shown < len(last) and not self.ended.is_set() and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
        self.stop.request("the command has ended")
        self.ended.wait(_DRAIN_SECONDS)
        if self.shown < len(last):
            self._show(last[self.shown :])
        elif self.count > MOST_LINES:
            self._show(["... of the further output, these are the last lines:", *last[-20:]])

    def _read(self) -> None:
        stream, rest = self.context.mask.stream(), ""
        try:
            for line in self.follow(self.stop):
                self.count += 1
                *whole, rest = (rest + stream.feed(f"{line}\n")).split("\n")
                if self.count <= MOST_LINES:
                    self._show(whole)
        except ReleaseError:
            pass  # `finish` shows the lines that are missing
        finally:
            self.ended.set()

    def _show(self, lines: Sequence[str]) -> None:
        for text in lines:
            self.context.emit(Progress(name=self.kind, text=text, lasting=True))
        self.shown += len(lines)
