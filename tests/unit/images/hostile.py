"""A server that answers a request with any bytes, as many and as slowly as a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

Script = Callable[[str], Iterable[bytes]]
"""The pieces of the answer to a request, whose first line and headers are given as text."""


@dataclass
class Hostile:
    """What happened at the server."""

    script: Script
    host: str = ""
    sent: int = 0
    """Bytes that the client's system took."""
    requests: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> bytes:
        """A byte, a moment after the last one; the end of the test ends it."""
        self.is_over.wait(0.05)
        return b"x"

    def answer(self, connection: socket.socket) -> None:
        """One connection, from its request to the client's end."""
        with closing(connection), suppress(OSError):
            head = b""
            while not self.is_over.is_set() and (piece := connection.recv(65536)):
                head += piece
                if head.startswith(b"\x16"):  # TLS, which is not spoken here
                    connection.sendall(b"no\r\n\r\n")
                    return
                if b"\r\n\r\n" not in head:
                    continue
                request, head = head.decode("latin-1"), b""
                self.requests.append(request)
                for out in self.script(request):
                    if self.is_over.is_set():
                        return
                    connection.sendall(out)
                    self.sent += len(out)


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A complete answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@contextmanager
def attacking(script: Script) -> Iterator[Hostile]:
    """The server on a free port of 127.0.0.1 while the block runs."""
    server = Hostile(script)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.host = f"127.0.0.1:{listener.getsockname()[1]}"
        listener.settimeout(0.05)

        def serve() -> None:
            while not server.is_over.is_set():
                with suppress(TimeoutError):
                    connection, _ = listener.accept()
                    connection.settimeout(10)
                    threading.Thread(target=server.answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.is_over.set()
            thread.join()
