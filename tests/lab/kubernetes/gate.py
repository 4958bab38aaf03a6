"""The way to the API server, which a test can close for a while."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_PART = 1 << 16


@dataclass
class Gate:
    """A TCP port of 127.0.0.1 that forwards to an address while it is open."""

    host: str
    port: int
    listens: int = 0
    is_open: bool = True
    _there: set[socket.socket] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Its address for a kubeconfig."""
        return f"https://127.0.0.1:{self.listens}"

    def close(self) -> None:
        """Cut every connection, and accept no other one."""
        self.is_open = False
        for one in list(self._there):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """Forward again."""
        self.is_open = True

    def forward(self, here: socket.socket) -> None:
        """Forward one connection until one of its sides ends."""
        if not self.is_open:
            return
        with socket.create_connection((self.host, self.port), timeout=10) as there:
            there.settimeout(None)
            self._there |= {here, there}
            back = threading.Thread(target=_copy, args=(there, here), daemon=True)
            back.start()
            _copy(here, there)
            back.join()
            self._there -= {here, there}


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(_PART):
            sink.sendall(part)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def gate(host: str, port: int) -> Iterator[Gate]:
    """Forward connections to this address while the block runs."""
    made = Gate(host=host, port=port)

    class Handler(socketserver.BaseRequestHandler):
        request: Any

        def handle(self) -> None:
            made.forward(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made.listens = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield made
        finally:
            made.close()
            server.shutdown()
