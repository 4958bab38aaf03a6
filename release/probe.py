"""Asking a service over HTTP whether it is well. Smoke runs and deployments ask in the same way."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import Final

from release.frozen import Struct
from release.runspec import Probe

INTERVAL_SECONDS: Final = 0.05
_REQUEST_SECONDS: Final = 5.0


class Answer(Struct, frozen=True, kw_only=True):
    """One answer, or what came instead of one."""

    status: int | None
    text: str
    """As "200 OK", or "no answer: connection refused"."""

    def satisfies(self, probe: Probe) -> bool:
        """Whether this is the answer the probe waits for."""
        return self.status == probe.status


def ask(probe: Probe, host: str, port: int) -> Answer:
    """Make the request once; a connection that fails is an answer too."""
    connection = http.client.HTTPConnection(host, port, timeout=_REQUEST_SECONDS)
    try:
        connection.request("GET", probe.path, headers={"User-Agent": "release-probe", "Connection": "close"})
        response = connection.getresponse()
        return Answer(status=response.status, text=f"{response.status} {response.reason}")
    except (OSError, http.client.HTTPException) as error:
        return Answer(status=None, text=f"no answer: {_said(error)}")
    finally:
        connection.close()


def _said(error: Exception) -> str:
    """What an error says, without a number of the system's."""
    told = error.strerror if isinstance(error, OSError) else None
    return told or str(error) or type(error).__name__


def await_answer(probe: Probe, host: str, port: int, *, alive: Callable[[], None]) -> Answer:
    """Ask until the right answer comes or the probe's time is over; the last answer.

    Args:
        probe: the request and the time in milliseconds.
        host: where the service listens.
        port: as seen from here.
        alive: called before each request; raises when waiting has no sense any more.
    """
    deadline = time.monotonic() + probe.timeout / 1000
    while True:
        alive()
        answer = ask(probe, host, port)
        if answer.satisfies(probe) or time.monotonic() >= deadline:
            return answer
        time.sleep(INTERVAL_SECONDS)
