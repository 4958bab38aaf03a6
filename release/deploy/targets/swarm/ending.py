"""The end of a service's tasks: waiting for it, and what is left."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.objects import Service
from release.deploy.targets.swarm.tasks import ended_ids, node_name
from release.errors import EngineError, EngineUnreachable
from release.network.tcp import open_connection

_PAUSE_SECONDS: Final = 0.5
_PORT_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 1.0


def await_no_task(swarm: Swarm, service: Service, milliseconds: int) -> None:
    """Wait until no task runs on an answering node, for this time at most. Raises EngineError."""
    deadline = time.monotonic() + milliseconds / 1000
    while left := tasks_left(swarm, service):
        if time.monotonic() > deadline:
            raise EngineError(
                f"end the tasks of the service {service.name}",
                f"tasks are left: {', '.join(left)}",
                "they end when their engines can stop them; check with `docker ps` there",
            )
        time.sleep(_PAUSE_SECONDS)


def await_free_ports(addresses: Iterable[str], ports: Iterable[int]) -> None:
    """Wait until nothing listens at these ports of nodes that can be reached from here.

    An engine reports a container as ended a moment before it gives its port free. After some seconds the wait
    ends all the same: the next task shows whether the port is free.
    """
    deadline = time.monotonic() + _PORT_SECONDS
    left = [(address, port) for address in addresses for port in ports]
    while left := [each for each in left if _listens(*each)]:
        if time.monotonic() > deadline:
            return
        time.sleep(_PAUSE_SECONDS)


def _listens(address: str, port: int) -> bool:
    try:
        open_connection(address, port, seconds=_CONNECT_SECONDS, check=lambda: None).close()
    except OSError:
        return False
    return True


def tasks_left(swarm: Swarm, service: Service, *, silent: bool = False) -> list[str]:
    """Return the nodes with remaining tasks: those that answer, or with `silent` those that do not."""
    try:
        nodes = {node.id: node for node in swarm.nodes() if node.is_ready is not silent}
        tasks = swarm.tasks(service.id)
    except EngineUnreachable:
        return [] if silent else ["the manager does not answer"]
    except EngineError:
        return []  # the Swarm forgets the tasks with the service
    over = ended_ids(tasks)
    return [
        f"on {node_name(nodes[task.node], task.node)}"
        for task in tasks
        if task.id not in over and task.node in nodes
    ]
