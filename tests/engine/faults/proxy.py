"""A proxy in front of a real registry that does one thing wrong, declared as data.

    Fault(method="PUT", path="/manifests/", action=Answer(status=403))

Real sockets on 127.0.0.1; whatever no fault is meant for is passed on unchanged, in both directions.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_CHUNK: Final = 64 * 1024
_HOP: Final = frozenset({"connection", "transfer-encoding", "keep-alive", "te", "trailer", "upgrade"})
_SECONDS: Final = 60


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The registry is not asked: this is the answer, an error as OCI Distribution writes it."""

    status: int
    code: str = "UNKNOWN"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Expired:
    """401, as for a token that has ended; the proxy gives a new one itself."""


@dataclass(frozen=True, kw_only=True)
class Reset:
    """The connection is reset (RST) before anything is answered."""


@dataclass(frozen=True, kw_only=True)
class CutUpload:
    """The connection is reset after so many bytes of the request's body."""

    after: int


@dataclass(frozen=True, kw_only=True)
class CutDownload:
    """The connection ends after so many bytes of the response's body, short of what was announced."""

    after: int


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One byte of the response's body is another one."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """One header of the response has another value."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Slow:
    """The answer comes this many seconds late."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Forget:
    """The registry is not asked; the answer is the one that it would have given: 201, taken."""


Action = Answer | Reset | CutUpload | CutDownload | Damage | Header | Slow | Forget | Expired


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong: with the `first`-th request that fits and the `times - 1` after it."""

    method: str
    """One or several, as "GET|HEAD"."""
    path: str
    """A regular expression, found anywhere in the path."""
    action: Action
    first: int = 1
    times: int = 1
    repository: str = ""
    """Given by a case: the fault is for this repository alone."""

    def fits(self, method: str, path: str) -> bool:
        """Whether a request is of this kind."""
        return bool(re.fullmatch(self.method, method) and re.search(self.path, path))


_TOKEN: Final = "/token"
"""Where the proxy gives tokens: registries have nothing there."""

ALWAYS: Final = 10**6
"""`times`: for as long as the proxy runs."""


@dataclass
class FaultProxy:
    """A running proxy: `host` is "127.0.0.1:PORT"; `hits` are the requests that a fault met."""

    host: str
    upstream: str
    faults: tuple[Fault, ...] = ()
    hits: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _seen: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, *faults: Fault) -> None:
        """From now on these faults, counted from now; without any, all is well."""
        with self._lock:
            self.faults, self._seen = faults, {}
            self.hits.clear()

    def meet(self, method: str, path: str) -> Action | None:
        """What is to happen to a request; None: nothing."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            for number, fault in enumerate(self.faults):
                if fault.fits(method, path):
                    self._seen[number] = self._seen.get(number, 0) + 1
                    if fault.first <= self._seen[number] < fault.first + fault.times:
                        self.hits.append(f"{method} {path}")
                        return fault.action
        return None


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """A proxy on a free port of 127.0.0.1 in front of `upstream`, a "host:port" that speaks plain HTTP."""
    proxy = FaultProxy(host="", upstream=upstream)

    class Handler(_Handler):
        """Bound to this proxy."""

        shared = proxy

    class Server(ThreadingHTTPServer):
        """Says nothing of connections that a fault has broken."""

        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """The other side sees what happened."""

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy.host = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


class _Broken(Exception):
    """The connection was ended on purpose."""


class _Handler(BaseHTTPRequestHandler):
    shared: FaultProxy
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"
    """What is no HTTP, as the engine's first try with TLS, is refused in HTTP: it then tries without."""

    def log_message(self, *_: object) -> None:
        """Nothing: the test reads `requests`."""

    def _handle(self) -> None:
        if self.path.startswith(_TOKEN):
            self._reply(200, {"Content-Type": "application/json"}, b'{"token": "new"}')
            return
        action = self.shared.meet(self.command, self.path)
        with contextlib.suppress(_Broken):
            self._act(action)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the library's names

    def _act(self, action: Action | None) -> None:
        if isinstance(action, Reset):
            self._reset()
        if isinstance(action, Slow):
            time.sleep(action.seconds)
        if isinstance(action, Answer):
            self._read_all()
            self._answer(action)
        elif isinstance(action, Expired):
            self._read_all()
            self._reply(401, {"WWW-Authenticate": f'Bearer realm="http://{self.shared.host}{_TOKEN}"'}, b"{}")
        elif isinstance(action, Forget):
            self._read_all()
            self._reply(201, {"Location": self.path}, b"")
        else:
            self._pass_on(action)

    def _answer(self, action: Answer) -> None:
        body = json.dumps({"errors": [{"code": action.code, "message": "said by the proxy"}]}).encode()
        self._reply(action.status, {"Content-Type": "application/json", **action.headers}, body)

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # passing on

    def _pass_on(self, action: Action | None) -> None:
        connection = http.client.HTTPConnection(self.shared.upstream, timeout=_SECONDS)
        with contextlib.closing(connection):
            self._send(connection, action)
            response = connection.getresponse()
            self._copy_head(response, action)
            self._copy_body(response, action)

    def _send(self, connection: http.client.HTTPConnection, action: Action | None) -> None:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP:
                connection.putheader(name, value)
        is_chunked = self._is_chunked
        if is_chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        left = action.after if isinstance(action, CutUpload) else None
        for chunk in self._body():
            if left is not None and (left := left - len(chunk)) < 0:
                connection.send(chunk[:left])
                self._reset()
            connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk) if is_chunked else chunk)
        if is_chunked:
            connection.send(b"0\r\n\r\n")

    def _copy_head(self, response: http.client.HTTPResponse, action: Action | None) -> None:
        changed = {action.name.lower(): action.value} if isinstance(action, Header) else {}
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, changed.get(name.lower(), value))
        if response.headers.get("Content-Length") is None and response.status != http.client.NO_CONTENT:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()

    def _copy_body(self, response: http.client.HTTPResponse, action: Action | None) -> None:
        left = action.after if isinstance(action, CutDownload) else None
        while chunk := response.read(_CHUNK):
            if isinstance(action, Damage):
                chunk, action = bytes([chunk[0] ^ 1]) + chunk[1:], None
            if left is not None and (left := left - len(chunk)) < 0:
                self.wfile.write(chunk[:left])
                self._reset()
            self.wfile.write(chunk)

    # the client's side

    @property
    def _is_chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def _body(self) -> Iterator[bytes]:
        if self._is_chunked:
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left and (chunk := self.rfile.read(min(left, _CHUNK))):
            left -= len(chunk)
            yield chunk

    def _read_all(self) -> None:
        for _ in self._body():
            pass

    def _reset(self) -> None:
        """End the connection the hard way (socket(7), SO_LINGER with no time: RST)."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()
        raise _Broken
