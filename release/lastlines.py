"""The last lines that a program writes to standard error, read beside its work and kept within bounds."""

from __future__ import annotations

import os
import threading
from typing import IO, Any, Final

_LINES: Final = 20
_MOST: Final = 16_384
"""Bytes that are kept."""
_LAST_SECONDS: Final = 1.0
"""Longest wait for the end of the stream: a child that stays in the background keeps it open."""


class LastLines(threading.Thread):
    """Reads a program's stream to its end, so that the program never blocks."""

    def __init__(self, stream: IO[Any]) -> None:
        """Take the stream over, and begin to read."""
        super().__init__(daemon=True)
        self._number = os.dup(stream.fileno())  # its own: the stream can be closed without waiting for a read
        stream.close()
        self._text = b""
        self.start()

    def run(self) -> None:
        """Keep the end of what comes."""
        try:
            while piece := os.read(self._number, _MOST):
                self._text = (self._text + piece)[-_MOST:]
        finally:
            os.close(self._number)

    def end(self) -> list[str]:
        """Return the lines, after the program's end."""
        self.join(_LAST_SECONDS)
        lines = self._text.decode("utf-8", "replace").splitlines()
        return [line for line in lines if line.strip()][-_LINES:]
