"""A real container that cannot be reached from here is asked from inside."""

from __future__ import annotations

import re

import pytest

from release.deploy.targets.engine import exec_probe
from release.deploy.targets.engine.gates import Gates
from release.deploy.targets.engine.health import Watch, await_healthy, warn_unreachable
from release.errors import DeploymentFailed
from release.events import Event, Warned
from release.images.engine import ContainerSpec, Engine
from release.network.tcp import ACCEPTS
from release.reference import Reference
from release.runspec import Probe
from tests.engine import lab


@pytest.fixture
def far(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine, as if it were on another machine."""
    lab.small_image()
    monkeypatch.setattr(engine, "host", "ssh://far.example")
    return engine


def test_a_request_and_a_connection_are_made_by_the_python_of_the_image(far: Engine) -> None:
    """A service that answers is healthy, and one that does not listen is not, though it runs."""
    image = far.inspect(Reference.parse(lab.SMALL_IMAGE))
    assert image is not None
    serve = ("python", "-m", "http.server", "8000")
    container = far.create(ContainerSpec(image=image.id, command=serve, name=lab.unique("inside")))
    said: list[Event] = []

    def watch(port: int, timeout: int) -> Watch:
        probe = Probe(port=port, path="/")
        gates = Gates(tcp=(8000,))
        return Watch(
            engine=far, container=container, probe=probe, timeout=timeout, emit=said.append, gates=gates
        )

    try:
        far.start(container)
        warn_unreachable(watch(8000, 1))
        assert not [event for event in said if isinstance(event, Warned)]
        found = await_healthy(watch(8000, 20_000))
        assert found.evidence == "GET / gave 200 OK, port 8000 accepts connections"
        with pytest.raises(DeploymentFailed, match="no answer: ConnectionRefusedError"):
            await_healthy(watch(8001, 1))
    finally:
        far.remove(container)


DRIPPING = """
import http.server, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            while True:
                self.wfile.write(b"H")
                time.sleep(0.05)
        self.send_response(200 if self.headers["Host"] == "api.example" else 400)
        self.end_headers()
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""


@pytest.mark.attack(
    "a release that can be asked from inside alone answers its probe a byte at a time",
    "the program that asks ends itself by an alarm, and none is left in the container",
)
def test_a_request_from_inside_has_an_end_and_names_its_host(
    far: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow answer is none; `host` reaches the service from inside too."""
    monkeypatch.setattr(exec_probe, "_HTTP", re.sub(r"alarm\(\d+\)", "alarm(2)", exec_probe._HTTP))
    image = far.inspect(Reference.parse(lab.SMALL_IMAGE))
    assert image is not None
    serve = ("python", "-c", DRIPPING)
    container = far.create(ContainerSpec(image=image.id, command=serve, name=lab.unique("inside")))
    try:
        far.start(container)
        state = far.state(container)
        assert state is not None
        asking = exec_probe.Inside(engine=far)
        lab.eventually(lambda: asking.tcp(8000, state) == ACCEPTS, what="the service")
        named = Probe(port=8000, path="/", host="api.example")
        texts = [asking.http(probe, state) for probe in (named, Probe(port=8000, path="/"))]
        assert [found.text for found in texts if found is not None] == ["200 OK", "400 Bad Request"]
        slow = asking.http(Probe(port=8000, path="/slow"), state)
        assert slow is not None
        assert slow.text == "no answer: it takes too long"
        left = far.execute(container, ["sh", "-c", "ls /proc | grep -c '^[0-9]'"], env={}, timeout=10_000)
        assert int(left.output) <= 4  # the service, and the programs that count
    finally:
        far.remove(container)
