"""Cancellable connections to an engine: closed by a cancellation or at a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import requests

from release.images.engine.client import Client


class ConnectionCut(OSError):
    """Error for a connection that was closed while an answer was awaited."""


class ConnectionCutter:
    """Closes the connection of a client from another thread; the reader then sees the end of the stream."""

    def __init__(self, client: Client) -> None:
        """Register for the client's responses; close no connection yet."""
        self._responses: list[requests.Response] = []  # one call of docker-py may ask twice
        self._is_cut = False
        client.hooks["response"] = [self._keep]

    def _keep(self, response: requests.Response, **_: object) -> None:
        self._responses.append(response)
        if self._is_cut:
            self.cut()

    def cut(self) -> None:
        """Close the connection of the current response, and of each later one."""
        self._is_cut = True
        for response in list(self._responses):
            _shut(response)

    def check(self) -> None:
        """Raise ConnectionCut if the connection was closed before an answer began."""
        if self._is_cut:
            raise ConnectionCut("the connection was cut")

    def close(self) -> None:
        """Close all responses."""
        for response in self._responses:
            response.close()

    @property
    def is_cut(self) -> bool:
        """Return whether `cut` closed the connection."""
        return self._is_cut


def _shut(response: requests.Response) -> None:
    """Shut the socket of a response down, to stop a blocked read."""
    with suppress(OSError, ValueError, RuntimeError):  # it has ended by itself
        response.raw.shutdown()


class DeadlinePassed(Exception):
    """Error for a connection that was closed at its deadline."""

    def __str__(self) -> str:
        """Return the cause as text for a message about a transfer."""
        return "no data came for too long, so the connection was closed"


class Deadline:
    """Time at which a connection is closed, on the monotonic clock; `put_off` moves the time."""

    def __init__(self, at: float) -> None:
        """Set the deadline, in seconds of time.monotonic()."""
        self.at = at

    @classmethod
    def after(cls, milliseconds: int) -> Deadline:
        """Return a deadline so many milliseconds from now."""
        return cls(time.monotonic() + milliseconds / 1000)

    def put_off(self, milliseconds: int) -> None:
        """Move the deadline to so many milliseconds from now."""
        self.at = time.monotonic() + milliseconds / 1000


@contextmanager
def cut_at_deadline(deadline: Deadline | None, scissors: ConnectionCutter) -> Iterator[None]:
    """In the block, close the connection if the deadline passes."""
    if deadline is None:
        yield
        return
    is_over = threading.Event()

    def watch() -> None:
        while (left := deadline.at - time.monotonic()) > 0:
            if is_over.wait(left):
                return
        scissors.cut()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join()
