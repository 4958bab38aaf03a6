"""A way to an engine that tests can break."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from release.images.engine import Engine


class Way:
    """Another address of an engine, on which what is under way can be cut, and which can be shut."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.path, self._engine = folder / "way.sock", engine
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(self.path))
        self.server.listen()
        self._ends: list[socket.socket] = []
        self._builds: list[socket.socket] = []
        self._is_shut = False

    @property
    def address(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.path}"

    def serve(self) -> None:
        """Take connections until the listening socket is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.server.accept()
                if self._is_shut:
                    client.close()
                    continue
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._engine)
            self._ends += [client, engine]
            back = threading.Thread(target=_copy, args=(engine, client), daemon=True)
            back.start()
            _copy(client, engine, lambda first: self._note(first, client, engine))
            back.join()

    def _note(self, first: bytes, *ends: socket.socket) -> None:
        """BuildKit is spoken to through a connection that is turned into one of gRPC."""
        if first.startswith((b"POST /grpc", b"POST /session")):
            self._builds.extend(ends)

    def cut(self) -> None:
        """End every talk with BuildKit, as an engine in trouble does."""
        for end in self._builds:
            _hang_up(end)

    def shut(self, seconds: float) -> None:
        """Nobody comes through for so long, and whoever is inside is thrown out: an engine that restarts."""
        self._is_shut = True
        for end in self._ends:
            _hang_up(end)
        time.sleep(seconds)
        self._is_shut = False


def _copy(source: socket.socket, sink: socket.socket, first: Callable[[bytes], None] | None = None) -> None:
    """To its end; `first` is shown what comes first."""
    with suppress(OSError):
        while data := source.recv(65536):
            if first is not None:
                first(data)
                first = None
            sink.sendall(data)
    _hang_up(sink)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def way(folder: Path, engine: Engine) -> Iterator[Way]:
    """Such a way, while the block runs."""
    made = Way(folder, engine.host.removeprefix("unix://"))
    thread = threading.Thread(target=made.serve)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown(socket.SHUT_RDWR)
        made.server.close()
        thread.join()
