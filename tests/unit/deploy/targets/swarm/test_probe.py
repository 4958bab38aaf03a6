"""The recorded request, made where it can be."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import pytest

from release.deploy.targets.swarm.probe import ServiceProbe, ask_tasks
from release.deploy.targets.swarm.spec import Parts, service_spec
from release.deploy.targets.swarm.tasks import View, view
from release.errors import DeploymentFailed
from release.events import Event, Warned
from release.runspec import Probe, Publish, RunSpec
from release.targetspec import SwarmSpec
from tests.unit.deploy.targets.swarm.fakes import all_run, node, order, service


class Answers(http.server.BaseHTTPRequestHandler):
    """200 for /well, 500 for anything else; every third request comes to a task that is not well."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        is_well = self.path == "/well" or (self.path == "/one-of-three" and len(self.asked) % 3)
        self.send_response(200 if is_well else 500)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    Answers.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def spec(
    port: int | None, path: str = "/well", mode: Literal["host", "ingress"] = "host", replicas: int = 1
) -> RunSpec:
    publish = () if port is None else (Publish(host=port, container=8000),)
    return RunSpec(
        publish=publish,
        probe=Probe(port=8000, path=path),
        swarm=SwarmSpec(publish_mode=mode),
        replicas=replicas,
    )


def seen(replicas: int) -> View:
    """Tasks on a node that knows no address but this machine's."""
    there = service(service_spec(order(replicas=replicas), Parts()))
    return view(there, all_run(there), [node(address="127.0.0.1")], deployment="2" * 12)


def ask(wanted: RunSpec, said: list[Event] | None = None) -> list[str]:
    emit = (said if said is not None else []).append
    asking = ServiceProbe(host="unix:///var/run/docker.sock", patience=200, emit=emit, check=lambda: None)
    return list(ask_tasks(asking, wanted, seen(wanted.replicas)))


def test_a_task_is_asked_at_the_port_of_its_node(port: int) -> None:
    """What it answered is evidence."""
    assert ask(spec(port)) == ["GET /well gave 200 on 1 of 1 addresses"]


def test_a_wrong_answer_is_a_failure(port: int) -> None:
    """After the time that it had."""
    with pytest.raises(DeploymentFailed, match="500"):
        ask(spec(port, path="/sick"))


def test_a_refused_connection_is_a_failure() -> None:
    """The node can be reached, and nothing listens there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    with pytest.raises(DeploymentFailed, match="no answer"):
        ask(spec(closed))


def test_what_cannot_be_reached_from_here_is_said() -> None:
    """No published port: the health check alone decides."""
    said: list[Event] = []
    assert ask(spec(None), said) == []
    assert [type(event) for event in said] == [Warned]


def test_through_the_routing_mesh_there_are_as_many_requests_as_tasks(port: int) -> None:
    """Each connection comes to another task; which one, nobody tells."""
    (told,) = ask(spec(port, mode="ingress", replicas=3))
    assert told == "GET /well gave 200 on 1 of 1 addresses, 3 times in a row"
    assert Answers.asked == ["/well"] * 3


def test_one_task_behind_the_mesh_that_is_not_well_is_a_failure(port: int) -> None:
    """Right answers of the others do not make up for it."""
    with pytest.raises(DeploymentFailed, match="500"):
        ask(spec(port, path="/one-of-three", mode="ingress", replicas=3))
