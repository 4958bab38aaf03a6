"""The recorded request, made to the tasks of a service where they can be reached from here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from release.deploy.targets.swarm.objects import Node
from release.deploy.targets.swarm.tasks import View
from release.errors import DeploymentFailed
from release.events import Emit, Warned
from release.images.container_address import is_local
from release.network.probe import INTERVAL_SECONDS, ask
from release.network.tcp import open_connection
from release.runspec import Probe, RunSpec
from release.targetspec import SwarmSpec
from release.values import Struct

_CONNECT_SECONDS: Final = 3.0

Place = tuple[str, int]


class ServiceProbe(Struct, frozen=True, kw_only=True):
    """Probe of a service's tasks."""

    host: str
    """The manager's engine, as it is reached from here."""
    patience: int
    """Milliseconds for an address to give the right answer."""
    emit: Emit
    check: Callable[[], None]
    """Function that raises an error to stop the wait."""


def ask_tasks(asking: ServiceProbe, spec: RunSpec, seen: View) -> Iterator[str]:
    """Probe every address, and through the routing mesh once for every task; return the evidence.

    A task's own network cannot be reached from outside, and a published one only where the nodes can: what
    was not asked is told as a warning, and the Swarm's health check decides.

    Raises:
        DeploymentFailed: an address that can be reached gives a wrong answer, or none.
    """
    if spec.probe is None:
        return
    places = _places(asking, spec, seen)
    reached = [place for place in places if _is_reachable(*place, asking.check)]
    times = seen.wanted if _is_mesh(spec) else 1
    for host, port in reached:
        _await_answers(asking, spec.probe, host, port, times)
    if len(reached) < len(places) or not places:
        silent = [f"{host}:{port}" for host, port in places if (host, port) not in reached]
        where = ", ".join(silent) or f"port {spec.probe.port} of the tasks"
        found = f"{where} cannot be reached from this machine"
        text = f"{found}: only the Swarm decides, by the image's HEALTHCHECK or `healthcheck`"
        asking.emit(Warned(text=text))
    if reached:
        answered = f"{len(reached)} of {len(places)} addresses"
        row = f", {times} times in a row" if times > 1 else ""
        yield f"GET {spec.probe.path} gave {spec.probe.status} on {answered}{row}"


def _is_mesh(spec: RunSpec) -> bool:
    """Return whether every node forwards each connection to another task."""
    return (spec.swarm or SwarmSpec()).publish_mode == "ingress"


def _places(asking: ServiceProbe, spec: RunSpec, seen: View) -> list[Place]:
    """Return the addresses: with host ports each node with a task, with the routing mesh any one."""
    wanted = spec.probe.port if spec.probe is not None else 0
    port = next((port.host for port in spec.publish if port.container == wanted), None)
    if port is None:
        return []
    there = [(seen.nodes[task.node], task) for task in seen.good if task.node in seen.nodes]
    if _is_mesh(spec):
        there = there[:1]
    told = ((_address(asking.host, node), port or task.ports.get(wanted, 0)) for node, task in there)
    return sorted({place for place in told if place[1]})


def _address(host: str, node: Node) -> str:
    """Return the node's address; the engine's own for 0.0.0.0 or 127.0.0.1."""
    if node.address and not node.address.startswith(("0.", "127.")):
        return node.address
    return "127.0.0.1" if is_local(host) else str(urlsplit(host).hostname)


def _is_reachable(host: str, port: int, check: Callable[[], None]) -> bool:
    """Return whether the port can be reached from here. A refused connection counts as reached."""
    try:
        open_connection(host, port, seconds=_CONNECT_SECONDS, check=check).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def _await_answers(asking: ServiceProbe, probe: Probe, host: str, port: int, times: int) -> None:
    """Wait for right answers in a row, so that each task has answered."""
    deadline, good = time.monotonic() + asking.patience / 1000, 0
    while good < times:
        asking.check()
        answer = ask(probe, host, port, check=asking.check)
        good = good + 1 if answer.satisfies(probe) else 0
        if not good and time.monotonic() > deadline:
            found = f"after {asking.patience / 1000:g} s, GET {probe.path} gave {answer.text}"
            raise DeploymentFailed(
                f"probe the service on {host}:{port}",
                f"{host}:{port}: {found}",
                "`docker service logs` on a manager shows what its tasks wrote",
            )
        if not good:
            time.sleep(INTERVAL_SECONDS)
