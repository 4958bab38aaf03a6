"""Steady requests to one address, and what became of them. Bounded in workers and in time."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

WORKERS: Final = 4
"""Every other one keeps its connection, the rest make a new one for each request.

As many as the goal for the longest gap was measured with. On two cores more of them measure each other: six
leave no time for the service, the proxy and the engine beside them.
"""

OFTEN_SECONDS: Final = 0.004
"""Between two requests of a worker: together they ask some seven hundred times a second."""

_FIRST: Final = -10
"""The niceness of clients that stand for other machines: who waits for a processor here measures that."""

SELDOM_SECONDS: Final = 0.016
"""Some two hundred times a second: where no gap is measured, the tests beside it have the processors."""

_LONGEST_SECONDS: Final = 180


@dataclass
class Load:
    """What the workers saw. Times are of the monotonic clock."""

    port: int
    host: str = "127.0.0.1"
    pause: float = OFTEN_SECONDS
    """Seconds between two requests of a worker."""
    comes_first: bool = False
    """Whether the workers have the processors before all else, as if on machines of their own. For root."""
    answered: list[float] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    reopened: int = 0
    """Kept connections that were found closed, and the request made again on a new one (RFC 9112, 9.3.1)."""
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def gap(self) -> float:
        """The longest time between two answers, in milliseconds."""
        moments = sorted(self.answered)
        pairs = itertools.pairwise(moments)
        return max((after - before for before, after in pairs), default=0.0) * 1000

    def __str__(self) -> str:
        """The figures, for people."""
        again = f", {self.reopened} on closed connections made again" if self.reopened else ""
        return f"{len(self.answered)} answered, {len(self.failed)} failed{again}, gap {self.gap:.1f} ms"

    def work(self, *, keeps: bool) -> None:
        """One worker, until it is told to stop."""
        if self.comes_first:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _FIRST)
        connection, deadline = None, time.monotonic() + _LONGEST_SECONDS
        while not self._stop.is_set() and time.monotonic() < deadline:
            fresh = connection is None
            connection = connection or http.client.HTTPConnection(self.host, self.port, timeout=10)
            connection = self._ask(connection, fresh=fresh, keeps=keeps)
            time.sleep(self.pause)
        if connection is not None:
            connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, *, fresh: bool, keeps: bool
    ) -> http.client.HTTPConnection | None:
        """One request; the connection, if it can be used again."""
        try:
            connection.request("GET", "/", headers={} if keeps else {"Connection": "close"})
            response = connection.getresponse()
            content = response.read()
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            connection.close()
            if fresh:
                self.failed.append(repr(error))
            else:
                self.reopened += 1
            return None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.failed.append(repr(error))
            return None
        self._note(response.status, content)
        if keeps and not response.will_close:
            return connection
        connection.close()
        return None

    def _note(self, status: int, content: bytes) -> None:
        if status == http.client.OK:
            self.answered.append(time.monotonic())
            self.versions.add(json.loads(content)["VERSION"])
        else:
            self.failed.append(f"{status} {content[:60]!r}")

    def answers(self) -> bool:
        """Whether the service answers through the proxy now."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Requests all the time, while the block runs and a little before and after."""
        threads = [threading.Thread(target=self.work, kwargs={"keeps": n % 2 == 0}) for n in range(WORKERS)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.3)
            yield
            time.sleep(0.3)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()


@dataclass
class Slow:
    """One request that takes some seconds, made in the background."""

    port: int
    seconds: float
    host: str = "127.0.0.1"
    answer: str = "none"

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Begun before the block; its answer is there after it."""
        thread = threading.Thread(target=self._ask)
        thread.start()
        time.sleep(0.3)
        try:
            yield
        finally:
            thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request("GET", f"/slow?{self.seconds}", headers={"Connection": "close"})
            response = connection.getresponse()
            self.answer = f"{response.status} {json.loads(response.read())['VERSION']}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.answer = repr(error)
        finally:
            connection.close()
