"""Connections to an engine that are cut from outside: by a cancellation, or when their time is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import requests

from release.images.engine.client import Client


class ConnectionCut(OSError):
    """A connection that was cut while an answer was waited for."""


class ConnectionCutter:
    """Cuts the connection of a client from another thread: the reader then sees its end at once."""

    def __init__(self, client: Client) -> None:
        """Cut nothing yet."""
        self._responses: list[requests.Response] = []  # one call of docker-py may ask twice
        self._is_cut = False
        client.hooks["response"] = [self._keep]

    def _keep(self, response: requests.Response, **_: object) -> None:
        self._responses.append(response)
        if self._is_cut:
            self.cut()

    def cut(self) -> None:
        """End what is being read now, or will be."""
        self._is_cut = True
        for response in list(self._responses):
            _shut(response)

    def check(self) -> None:
        """Raise Cut when the connection was cut before an answer began, which is not known here then."""
        if self._is_cut:
            raise ConnectionCut("the connection was cut")

    def close(self) -> None:
        """Close what was opened."""
        for response in self._responses:
            response.close()

    @property
    def is_cut(self) -> bool:
        """Return whether the end was ours."""
        return self._is_cut


def _shut(response: requests.Response) -> None:
    """Stop a blocked read."""
    with suppress(OSError, ValueError, RuntimeError):  # it has ended by itself
        response.raw.shutdown()


class DeadlinePassed(Exception):
    """A deadline cut a connection."""

    def __str__(self) -> str:
        """Return what it means for a transfer."""
        return "no data came for too long, so the connection was closed"


class Deadline:
    """When a connection is cut, on the monotonic clock; it may be put off."""

    def __init__(self, at: float) -> None:
        """In seconds, as time.monotonic() tells them."""
        self.at = at

    @classmethod
    def after(cls, milliseconds: int) -> Deadline:
        """From now on."""
        return cls(time.monotonic() + milliseconds / 1000)

    def put_off(self, milliseconds: int) -> None:
        """It begins anew."""
        self.at = time.monotonic() + milliseconds / 1000


@contextmanager
def cut_at_deadline(deadline: Deadline | None, scissors: ConnectionCutter) -> Iterator[None]:
    """In the block, cut the connection when the deadline has come."""
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
