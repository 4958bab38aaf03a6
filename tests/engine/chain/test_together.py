"""What runs at the same time, and what the first failure does to the rest."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.test_release import nothing_happened, released
from tests.engine.service import Ran, Service


def moments(service: Service) -> dict[tuple[str, str], int]:
    """The order in which stages of the last run began and ended: (stage, event) → position."""
    (*_, newest) = sorted((service.folder / ".release/runs").iterdir())
    notes = [json.loads(line) for line in (newest / "stages.jsonl").read_text().splitlines()]
    return {(note["stage"], note["event"]): place for place, note in enumerate(notes)}


def test_stages_that_need_not_wait_do_not(make: Make) -> None:
    """lock, lint and build begin together; so do test, smoke and push; then comes the commit point."""
    slow = {"lint": {"commands": ["sleep 2"]}}
    service = make(files={"test.py": "import time; time.sleep(2); print('1 passed')"}, **slow)
    released(service.nox("release"))
    at = moments(service)
    first, second = ("lock", "lint", "build"), ("test", "smoke", "push")
    assert max(at[name, "started"] for name in first) < at["lint", "passed"]
    assert max(at[name, "started"] for name in second) < at["test", "passed"]
    assert min(at[name, "started"] for name in second) > at["build", "passed"]
    gates = max(at[name, "passed"] for name in (*first, *second))
    assert gates < at["record", "started"] < at["record", "passed"] < at["promote", "started"]


class Swallowing:
    """A way to a registry on which uploads begin and never end; `upload` and `cut` say what it has seen."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.upload, self.cut = threading.Event(), threading.Event()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.server.getsockname()[1]}"

    def serve(self) -> None:
        with suppress(OSError):  # the listening socket was closed: the end
            while True:
                client, _ = self.server.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        name, _, port = self._target.partition(":")
        with client, socket.create_connection((name, int(port))) as registry:
            back = threading.Thread(target=self._back, args=(registry, client), daemon=True)
            back.start()
            with suppress(OSError):
                while data := client.recv(65536):
                    if data.startswith((b"PATCH ", b"PUT ")):
                        self.upload.set()
                    if not self.upload.is_set():
                        registry.sendall(data)
            if self.upload.is_set():
                self.cut.set()
            with suppress(OSError):
                registry.shutdown(socket.SHUT_RDWR)
            back.join()

    def _back(self, registry: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := registry.recv(65536):
                client.sendall(data)


@contextmanager
def swallowing(target: str) -> Iterator[Swallowing]:
    """Such a way to a registry, while the block runs."""
    way = Swallowing(target)
    thread = threading.Thread(target=way.serve)
    thread.start()
    try:
        yield way
    finally:
        way.server.shutdown(socket.SHUT_RDWR)
        way.server.close()
        thread.join()


def test_the_first_failed_gate_stops_containers_and_uploads(
    make: Make, engine: Engine, running_registry: lab.RunningRegistry, tmp_path: Path
) -> None:
    """Lint fails while the tests run and a layer is being sent: all of it ends, and nothing is recorded."""
    flag = tmp_path / "fail"
    waiting = f"sh -c 'until test -e {flag}; do sleep 0.1; done; exit 7'"
    with swallowing(running_registry.host) as way:
        service = make(
            registry=f"{way.host}/{lab.unique()}",
            lint={"commands": [waiting]},
            files={"test.py": "import time; time.sleep(300)"},
        )
        ran: list[Ran] = []
        run = threading.Thread(target=lambda: ran.append(service.nox("release")))
        run.start()
        assert way.upload.wait(60)
        mine = {"release.service": service.name, "release.role": "test"}
        lab.eventually(lambda: engine.containers(mine), what="the tests", seconds=60)
        assert not way.cut.is_set()
        flag.touch()
        run.join(60)
        assert not run.is_alive()
        assert way.cut.wait(20)
    at = moments(service)
    assert ("lint", "failed") in at
    assert {("test", "stopped"), ("push", "stopped")} <= at.keys()
    assert ("record", "started") not in at
    nothing_happened(service, engine)
    assert "status 7" in ran[0].err
