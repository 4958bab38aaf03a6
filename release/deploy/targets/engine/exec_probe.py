"""Asking a container from inside it: where its engine is far away and its ports cannot be reached from here.

A request is made by the Python that is in the image, as a program of its own in the running container. An
image without one cannot be asked so.
"""

from __future__ import annotations

import json
from typing import Final

from release.errors import EngineError
from release.images.engine import ContainerState, Engine, Executed
from release.network.probe import REQUEST_SECONDS, Answer, one_line_text, request_headers
from release.programs.cancellation import Cancellation
from release.runspec import Probe
from release.values import Struct, field

_PYTHONS: Final = ("python3", "python")
_NO_PROGRAM: Final = (126, 127)
"""Exit statuses for a missing program (POSIX, "Exit Status for Commands")."""
_ALARMED: Final = 128 + 14
"""Exit status of a program that its own alarm stopped (signal(7), SIGALRM)."""
_TOO_LONG: Final = b"it takes too long"
_MILLISECONDS: Final = 10_000
_STATUS_DIGITS: Final = 3

_LIMIT: Final = 4096
"""Bytes of what such a program says."""

_ALARM: Final = f"import signal; signal.alarm({round(REQUEST_SECONDS) + 1})\n"
"""Ends the program itself: the engine leaves it alone when the wait for it is over."""

_HTTP: Final = (
    _ALARM
    + """\
import http.client, json, sys
line = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=5)
headers = json.loads(sys.argv[4])
line.putrequest("GET", sys.argv[3], skip_host="host" in map(str.lower, headers), skip_accept_encoding=True)
for name, value in headers.items():
    line.putheader(name, value)
line.endheaders()
answer = line.getresponse()
print(answer.status, answer.reason[:120])
"""
)
_TCP: Final = (
    _ALARM
    + """\
import socket, sys
line = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
line.settimeout(0.25)
try:
    stays = bool(line.recv(1))
except TimeoutError:
    stays = True
print("accepts connections" if stays else "closes connections at once")
"""
)


class Inside(Struct, kw_only=True):
    """Probes of a container's ports that run inside the container."""

    engine: Engine
    cancellation: Cancellation = field(default_factory=Cancellation)
    """Ends the wait for an answer."""
    _pythons: list[str] = field(default_factory=lambda: list(_PYTHONS))
    """Those that may be there, the likely one first."""

    def can_ask(self, state: ContainerState) -> bool:
        """Return whether the container has a program for the probe. Raises EngineError if it does not run."""
        return self._ran(state, "pass") is not None

    def http(self, probe: Probe, state: ContainerState) -> Answer | None:
        """Return the result of the recorded request; None if no program in the container can send it."""
        ended = self._probe_result(
            state, _HTTP, str(probe.port), probe.path, json.dumps(request_headers(probe))
        )
        if ended is None:
            return None
        if ended.status != 0:
            return Answer(status=None, text=f"no answer: {_last(ended.errors)}")
        text = one_line_text(ended.output.decode(errors="replace"))
        number = text.partition(" ")[0]
        if not (number.isascii() and number.isdecimal() and len(number) == _STATUS_DIGITS):
            return Answer(status=None, text=f"no answer: {text}")
        return Answer(status=int(number), text=text)

    def tcp(self, port: int, state: ContainerState) -> str | None:
        """Return `ACCEPTS`, or why not; None if no program in the container can connect."""
        ended = self._probe_result(state, _TCP, str(port))
        if ended is None:
            return None
        if ended.status != 0:
            return f"accepts no connection: {_last(ended.errors)}"
        return one_line_text(ended.output.decode(errors="replace"))

    def _probe_result(self, state: ContainerState, code: str, *words: str) -> Executed | None:
        """Return the result of the program. A container that has just ended gives a failure."""
        try:
            return self._ran(state, code, *words)
        except EngineError as error:
            return Executed(status=1, output=b"", errors=error.found.encode())

    def _ran(self, state: ContainerState, code: str, *words: str) -> Executed | None:
        """Run code with the container's address as argument.

        Programs that are missing are not tried again.
        """
        address = state.address or "127.0.0.1"
        while self._pythons:
            argv = [self._pythons[0], "-I", "-c", code, address, *words]
            try:
                ended = self.engine.execute(
                    state.id,
                    argv,
                    env={},
                    timeout=_MILLISECONDS,
                    cancellation=self.cancellation,
                    limit=_LIMIT,
                )
            except TimeoutError:
                return Executed(status=1, output=b"", errors=_TOO_LONG)
            if ended.status == _ALARMED:
                return Executed(status=1, output=b"", errors=_TOO_LONG)
            if ended.status not in _NO_PROGRAM:
                return ended
            del self._pythons[0]
        return None


def _last(errors: bytes) -> str:
    """Return the last line of a traceback, which is the error."""
    lines = errors.decode(errors="replace").strip().splitlines()
    return one_line_text(lines[-1]) if lines else "the program gave no reason"
