"""HTTP check of a service, for smoke runs and deployments."""

from __future__ import annotations

import http.client
import io
import re
import time
from collections.abc import Callable
from typing import Final

from release.network.tcp import Reader, open_connection
from release.runspec import Probe
from release.values import Struct

INTERVAL_SECONDS: Final = 0.05
REQUEST_SECONDS: Final = 5.0
"""Limit in seconds from the begin of a request to the end of the answer's headers."""
_MOST_BYTES: Final = 256 * 1024
"""Of an answer. A head has at most 100 lines of 64 KiB for http.client: that is more than anybody needs."""
_BODY_BYTES: Final = 512
"""Of the body of a wrong answer."""
_BODY_SECONDS: Final = 0.5
"""Limit in seconds for the first bytes of the body."""
_BODY_TEXT: Final = 120
"""Characters of the body that are shown."""


class Answer(Struct, frozen=True, kw_only=True):
    """HTTP answer to one request, or the error that came instead."""

    status: int | None
    text: str
    """As "200 OK", or "no answer: connection refused"."""
    location: str = ""
    """The address that a redirect names."""
    body: str = ""
    """The first characters of a wrong answer's body, in one line."""
    spoke: bool = False
    """True: bytes came that are not HTTP."""

    def satisfies(self, probe: Probe) -> bool:
        """Return whether the answer is the one that the probe expects."""
        return self.status == probe.status

    @property
    def whole(self) -> str:
        """Return status, redirect and begin of the body, as `302 Found to /login: <html>…`."""
        leads = f" to {self.location}" if self.location else ""
        return f"{self.text}{leads}" + (f": {self.body}" if self.body else "")


def ask(probe: Probe, host: str, port: int, *, check: Callable[[], None] = lambda: None) -> Answer:
    """Send the request once and return the answer; a failed connection counts as an answer.

    The whole request ends within `REQUEST_SECONDS`, even if the server sends slowly or without end.

    Args:
        probe: the request.
        host: where the service listens.
        port: port on that host.
        check: called several times a second during the wait; its exception ends the request.
    """
    end = time.monotonic() + REQUEST_SECONDS
    try:
        with open_connection(host, port, seconds=REQUEST_SECONDS, check=check) as line:
            return _asked(probe, host, port, Reader(line, end=end, most=_MOST_BYTES, check=check))
    except (OSError, http.client.HTTPException) as error:
        spoke = isinstance(error, http.client.BadStatusLine) and not isinstance(error, ConnectionError)
        return Answer(status=None, text=f"no answer: {_said(error)}", spoke=spoke)


def request_headers(probe: Probe) -> dict[str, str]:
    """Return the request's headers; `Host` only if the probe names one."""
    own = {"User-Agent": "release-probe", "Accept-Encoding": "identity", "Connection": "close"}
    given = {"Host": probe.host} if probe.host is not None else {}
    given |= probe.headers or {}
    known = {name.lower() for name in given}
    return {name: value for name, value in own.items() if name.lower() not in known} | given


def _asked(probe: Probe, host: str, port: int, reader: Reader) -> Answer:
    connection = http.client.HTTPConnection(host, port)
    connection.sock = _Wire(reader)
    try:
        connection.putrequest("GET", probe.path, skip_host=_has_host(probe), skip_accept_encoding=True)
        for name, value in request_headers(probe).items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        text = f"{response.status} {response.reason[:_BODY_TEXT]}".rstrip()
        if response.status == probe.status:
            return Answer(status=response.status, text=text)
        location = one_line_text(response.headers.get("Location") or "")
        reader.hurry(_BODY_SECONDS)
        return Answer(status=response.status, text=text, location=location, body=_body(response))
    finally:
        connection.close()


def _has_host(probe: Probe) -> bool:
    return any(name.lower() == "host" for name in request_headers(probe))


def _body(response: http.client.HTTPResponse) -> str:
    """Return the first characters of the body; empty if they do not come in time."""
    try:
        return one_line_text(response.read1(_BODY_BYTES).decode(errors="replace"))
    except (OSError, http.client.HTTPException):
        return ""


def one_line_text(text: str) -> str:
    """Return text of a service on one short line without control sequences."""
    words = " ".join(re.sub(r"[^ -~\u00a1-\u1fff]+", " ", text).split())
    return words if len(words) <= _BODY_TEXT else f"{words[:_BODY_TEXT]}…"


class _Wire:
    """The socket as http.client uses it. `ask` closes it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def sendall(self, content: bytes) -> None:
        """Send the request."""
        self._reader.line.sendall(content)

    def makefile(self, _: str) -> io.BufferedReader:
        """Return a buffered reader of the socket."""
        return io.BufferedReader(self._reader)

    def close(self) -> None:
        """Do nothing: the answer is still read from the socket."""


def _said(error: Exception) -> str:
    """Return the text of an error without its system number."""
    told = error.strerror if isinstance(error, OSError) else None
    return one_line_text(told or str(error) or type(error).__name__)


def await_answer(
    probe: Probe,
    host: str,
    port: int,
    *,
    alive: Callable[[], None],
    is_over: Callable[[Answer], bool],
    interval: Callable[[], float] = lambda: INTERVAL_SECONDS,
) -> Answer:
    """Ask until the expected answer comes or the time is over; return the last answer.

    Args:
        probe: the request.
        host: where the service listens.
        port: port on that host.
        alive: called before and during each request; its exception ends the wait.
        is_over: returns whether the time is over, given the last answer.
        interval: seconds from an answer to the next request.
    """
    while True:
        alive()
        answer = ask(probe, host, port, check=alive)
        if answer.satisfies(probe) or is_over(answer):
            return answer
        time.sleep(interval())
