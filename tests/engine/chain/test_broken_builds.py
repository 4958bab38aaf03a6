"""A build that the engine breaks off is made again; one that the Dockerfile ends is not."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.test_release import nothing_happened, released
from tests.engine.service import DOCKERFILE, Ran, Service, slow_dockerfile

SLEEP: Final = "RUN sleep 3"


class Way:
    """A way to the engine on which the talks with BuildKit can be cut."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.path, self._engine = folder / "way.sock", engine
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(self.path))
        self.server.listen()
        self._builds: list[socket.socket] = []

    def serve(self) -> None:
        """Take connections until the listening socket is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.server.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._engine)
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


def log_of(service: Service) -> str:
    """What BuildKit has said, while it works."""
    return "".join(log.read_text() for log in (service.folder / ".release/runs").glob("*/build.log"))


def test_a_build_that_the_engine_broke_off_is_made_again(make: Make, engine: Engine, tmp_path: Path) -> None:
    """BuildKit's connection ends in the middle of an instruction: it is said, and one release is there."""
    with way(tmp_path, engine) as there:
        service = make(
            files={"Dockerfile": slow_dockerfile(SLEEP, before="USER 10001")},
            environ={"DOCKER_HOST": f"unix://{there.path}"},
        )
        with service.start(sys.executable, "-m", "nox", "-s", "release") as process:
            lab.eventually(lambda: SLEEP in log_of(service), what="the build", seconds=100)
            there.cut()
            out, err = process.communicate(timeout=200)
        ran = Ran(status=process.returncode, out=out, err=err)
        released(ran)
    assert "BuildKit failed outside of the Dockerfile" in log_of(service)
    assert len(service.records()) == 1


def test_a_build_that_its_dockerfile_ends_is_made_once(make: Make, engine: Engine) -> None:
    """A program that fails, fails again."""
    service = make(files={"Dockerfile": DOCKERFILE.replace("USER 10001", "RUN false\nUSER 10001")})
    ran = service.nox("build")
    assert ran.status == 1
    assert "the image could not be built" in ran.err
    assert log_of(service).count("$ docker buildx build") == 1
    nothing_happened(service, engine)
