"""The recorded request, made to the tasks of a service where they can be reached from here."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from release.deploy.swarm.tasks import View
from release.errors import DeploymentFailed
from release.events import Emit, Warned
from release.images.reach import is_local
from release.images.swarm import Node
from release.probe import INTERVAL_SECONDS, ask
from release.runspec import Probe, RunSpec, SwarmSpec

_CONNECT_SECONDS: Final = 3.0

Place = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a service is asked."""

    host: str
    """The manager's engine, as it is reached from here."""
    patience: int
    """Milliseconds for an address to give the right answer."""
    emit: Emit
    check: Callable[[], None]
    """Raises when it is to be given up."""


def ask_tasks(asking: Asking, spec: RunSpec, seen: View) -> Iterator[str]:
    """Ask at every address; what there is to say of it.

    A task's own network cannot be reached from outside, and a published one only where the nodes can: what
    was not asked is told as a warning, and the Swarm's health check decides.

    Raises:
        DeploymentFailed: an address that can be reached gives a wrong answer, or none.
    """
    if spec.probe is None:
        return
    places = _places(asking, spec, seen)
    reached = [place for place in places if _is_reachable(*place)]
    for host, port in reached:
        _await_answer(asking, spec.probe, host, port)
    if len(reached) < len(places) or not places:
        silent = [f"{host}:{port}" for host, port in places if (host, port) not in reached]
        where = ", ".join(silent) or f"port {spec.probe.port} of the tasks"
        text = f"{where} cannot be reached from this machine: the Swarm's health check alone decides"
        asking.emit(Warned(text=text))
    if reached:
        answered = f"{len(reached)} of {len(places)} addresses"
        yield f"GET {spec.probe.path} gave {spec.probe.status} on {answered}"


def _places(asking: Asking, spec: RunSpec, seen: View) -> list[Place]:
    """With host ports every node that has a task; with the routing mesh any one node."""
    wanted = spec.probe.port if spec.probe is not None else 0
    port = next((port.host for port in spec.publish if port.container == wanted), None)
    if port is None:
        return []
    there = [(seen.nodes[task.node], task) for task in seen.good if task.node in seen.nodes]
    if (spec.swarm or SwarmSpec()).publish_mode == "ingress":
        there = there[:1]
    told = ((_address(asking.host, node), port or task.ports.get(wanted, 0)) for node, task in there)
    return sorted({place for place in told if place[1]})


def _address(host: str, node: Node) -> str:
    """A Swarm of one machine may know no better than 0.0.0.0 or 127.0.0.1: that is the engine's own."""
    if node.address and not node.address.startswith(("0.", "127.")):
        return node.address
    return "127.0.0.1" if is_local(host) else str(urlsplit(host).hostname)


def _is_reachable(host: str, port: int) -> bool:
    """Whether there is a way to it from here. A refusal is an answer: the way is there."""
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def _await_answer(asking: Asking, probe: Probe, host: str, port: int) -> None:
    deadline = time.monotonic() + asking.patience / 1000
    while True:
        asking.check()
        answer = ask(probe, host, port)
        if answer.satisfies(probe):
            return
        if time.monotonic() > deadline:
            found = f"after {asking.patience / 1000:g} s GET {probe.path} gave {answer.text}"
            raise DeploymentFailed(f"see the service answer on {host}:{port}", f"{host}:{port}: {found}")
        time.sleep(INTERVAL_SECONDS)
