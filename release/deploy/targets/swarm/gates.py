"""Health gates in the tasks of a service, at the engines of the tasks' nodes.

A manager lets nobody into a task. The engine of its node does, so every node that may get a task must have
an engine that can be reached: see `swarm.nodes`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Final

from release.deploy.targets.engine.exec_probe import Inside
from release.deploy.targets.engine.gates import Gates, ask_gates
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.nodes import Machines, Route, look_into
from release.deploy.targets.swarm.objects import Node, Task
from release.deploy.targets.swarm.tasks import View, node_name
from release.errors import DeploymentFailed, EngineError
from release.images.engine import ContainerState, Engine
from release.network.tcp import probe_connection
from release.programs.cancellation import Cancellation
from release.runspec import RunSpec
from release.values import Struct

_PAUSE_SECONDS: Final = 0.5

Result = tuple[bool, str]
"""True if the gate passes; the evidence in a few words."""


def problems(spec: RunSpec, machines: Machines) -> Iterator[str]:
    """Return the nodes whose tasks could not be asked. `machines`: those that may get a task."""
    if not spec.set_gates or not machines.unseen:
        return
    gates = " and ".join(sorted(spec.set_gates))
    where = "; ".join(f"{machine}: {machine.unseen}" for machine in machines.unseen)
    yield (
        f"{gates} cannot be asked in tasks of these nodes: {where}. Set their addresses in swarm.nodes, or "
        "use healthcheck, which each node asks itself"
    )


class TaskGates(Struct, frozen=True, kw_only=True):
    """Questions to the tasks of one service."""

    swarm: Swarm
    ways: Mapping[str, Route]
    """Addresses of the engines of nodes."""
    patience: int
    """Milliseconds for all gates of a task to pass."""
    cancellation: Cancellation

    def ask(self, spec: RunSpec, seen: View) -> Iterator[str]:
        """Wait until the gates of every running task pass; yield the evidence. Raises DeploymentFailed."""
        if not spec.set_gates:
            return
        with ExitStack() as stack:
            machines = look_into(self.swarm, self.ways, stack)
            said = [self._await(spec, seen, task, machines) for task in seen.good]
        for text in dict.fromkeys(said):
            yield f"{text} in {said.count(text)} of {len(said)} tasks"

    def _await(self, spec: RunSpec, seen: View, task: Task, machines: Machines) -> str:
        deadline = time.monotonic() + self.patience / 1000
        while True:
            passes, text = self._ask(spec, task, machines)
            if passes:
                return text
            if time.monotonic() > deadline:
                name = f"{seen.service.name}.{task.slot} on {node_name(seen.nodes.get(task.node), task.node)}"
                raise DeploymentFailed(
                    f"ask the health gates of {name}",
                    f"{name}: after {self.patience / 1000:g} s, {text}",
                    "`docker service logs` on a manager shows what its tasks wrote",
                )
            self.cancellation.pause(_PAUSE_SECONDS)

    def _ask(self, spec: RunSpec, task: Task, machines: Machines) -> Result:
        machine = next((each for each in machines.every if each.node.id == task.node), None)
        if machine is None or machine.engine is None:
            return False, f"its node's engine is not reached: {machine.unseen if machine else task.node}"
        try:
            state = machine.engine.state(task.container)
        except EngineError as error:
            return False, f"its node's engine does not answer: {error.found}"
        if state is None:
            return False, "its container is not there"
        return self._gates(spec, task, machine.node, machine.engine, state)

    def _gates(self, spec: RunSpec, task: Task, node: Node, engine: Engine, state: ContainerState) -> Result:
        inside = Inside(engine=engine, cancellation=self.cancellation)
        return ask_gates(
            Gates.of(spec),
            engine,
            state,
            port=lambda port: inside.tcp(port, state) or self._outside(task.ports.get(port), node),
            timeout=self.patience,
            cancellation=self.cancellation,
        )

    def _outside(self, port: int | None, node: Node) -> str:
        """Connect to the node's port, for an image without Python."""
        if port is None or not node.address:
            return "cannot be asked: the image has no Python, and the node does not publish the port"
        return probe_connection(node.address, port, check=self.cancellation.check)
