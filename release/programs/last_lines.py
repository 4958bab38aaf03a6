"""Reader thread for the standard error of a program, which keeps the last lines."""

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
    """Thread that reads a program's stream to its end, so that the program never blocks."""

    def __init__(self, stream: IO[Any]) -> None:
        """Take the stream over, and begin to read."""
        super().__init__(daemon=True)
        self._number = os.dup(stream.fileno())  # its own: the stream can be closed without waiting for a read
        stream.close()
        self._text = b""
        self.start()

    def run(self) -> None:
        """Read the stream and keep its last lines."""
        try:
            while piece := os.read(self._number, _MOST):
                self._text = (self._text + piece)[-_MOST:]
        finally:
            os.close(self._number)

    def end(self) -> list[str]:
        """Wait for the end of the stream and return the last lines."""
        self.join(_LAST_SECONDS)
        lines = self._text.decode("utf-8", "replace").splitlines()
        return [line for line in lines if line.strip()][-_LINES:]
