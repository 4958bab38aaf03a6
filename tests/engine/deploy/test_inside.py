"""A real container that cannot be reached from here is asked from inside."""

from __future__ import annotations

import pytest

from release.deploy.gates import Gates
from release.deploy.health import Watch, await_healthy, warn_unreachable
from release.errors import DeploymentFailed
from release.events import Event, Warned
from release.images.engine import ContainerSpec, Engine
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
