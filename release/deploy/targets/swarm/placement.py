"""Nodes that can run the tasks of a service, by what the managers know of each node.

A Swarm takes a spec that no node can run, and waits for ever. So the questions that its scheduler asks are
asked here first, of the same facts. Pure: nobody is asked anything here.
Source: Docker Engine API 1.45, ServiceCreate (TaskTemplate.Placement, Resources) and NodeInspect; Docker's
"docker service create", section "Specify service constraints" for the keys and how they are compared.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from release.deploy.targets.swarm.objects import Node, Task
from release.deploy.targets.swarm.tasks import node_name
from release.runspec import RunSpec
from release.targetspec import SwarmSpec
from release.values import Struct, field

_CONSTRAINT: Final = re.compile(r"(\S+?)\s*(==|!=)\s*(.*)")
_NODE_LABEL: Final = "node.labels."
_ENGINE_LABEL: Final = "engine.labels."


class NodeRequirements(Struct, frozen=True, kw_only=True):
    """Requirements of a service on nodes."""

    spec: RunSpec
    platform: str | None
    """Platform of the image, such as "linux/amd64"; None if it is not checked."""
    service: str = ""
    """Id of the existing service, whose tasks will free their resources."""

    @property
    def swarm(self) -> SwarmSpec:
        """Return the Swarm part of the settings."""
        return self.spec.swarm or SwarmSpec()

    @property
    def shares_ports(self) -> bool:
        """Return whether two tasks of the service can be on one node."""
        return not (self.spec.publish and self.swarm.publish_mode == "host")


class NodeCapacity(Struct, frozen=True, kw_only=True):
    """Number of tasks that one node takes, or why it takes none."""

    node: Node
    against: tuple[str, ...] = ()
    tasks: int | None = None
    """Maximum number of tasks; None without a limit."""
    limits: tuple[str, ...] = field(default=())
    """Settings that limit the number."""

    def __str__(self) -> str:
        """Return the capacity as text, the node's name first."""
        name = node_name(self.node, self.node.id)
        if self.against:
            return f"{name}: {', '.join(self.against)}"
        if self.tasks is None:
            return f"{name}: any number"
        return f"{name}: {self.tasks} ({', '.join(self.limits)})"


def problems(asked: NodeRequirements, nodes: Sequence[Node], tasks: Sequence[Task]) -> Iterator[str]:
    """Return why the service's tasks find no place, with the facts of every node.

    Args:
        asked: requirements of the service.
        nodes: all nodes of the Swarm.
        tasks: tasks of all services that should run.
    """
    rooms = [node_capacity(asked, node, tasks) for node in nodes]
    fitting = [one for one in rooms if not one.against and one.tasks != 0]
    told = "".join(f"\n    {one}" for one in rooms)
    if not fitting:
        yield f"none of the Swarm's {len(nodes)} nodes can run it:{told}"
        return
    if any(one.tasks is None for one in fitting):
        return
    place, wanted = sum(one.tasks or 0 for one in fitting), asked.spec.replicas
    if place < wanted:
        yield f"there is room for {place} of {wanted} tasks:{told}"
    elif place == wanted and asked.swarm.order == "start-first":
        yield (
            f"there is room for {wanted} tasks only, but with start-first a new task needs a "
            'place beside the old ones: set swarm.order = "stop-first", or fewer '
            f"replicas:{told}"
        )


def node_capacity(asked: NodeRequirements, node: Node, tasks: Sequence[Task]) -> NodeCapacity:
    """Return the number of tasks that a node takes, or why it takes none."""
    against = tuple(_against(asked, node))
    if against:
        return NodeCapacity(node=node, against=against)
    limits = dict(_limits(asked, node, [task for task in tasks if task.node == node.id]))
    least = min(limits.values(), default=None)
    return NodeCapacity(
        node=node, tasks=least, limits=tuple(name for name, count in limits.items() if count == least)
    )


def _against(asked: NodeRequirements, node: Node) -> Iterator[str]:
    """Return permanent reasons against a node.

    A new leader does not know the state of a node before its first report, which is no reason.
    """
    if not node.is_ready and node.state != "unknown":
        yield f"it is {node.state}"
    if node.availability != "active":
        yield {"drain": "it is drained", "pause": "it is paused"}.get(node.availability, node.availability)
    yield from (said for text in asked.swarm.constraints if (said := unmet(text, node)))
    if asked.platform is not None and asked.platform.split("/")[:2] != node.platform.split("/"):
        yield f"it is {node.platform}, but the image is for {asked.platform}"
    if asked.spec.cpus is not None and node.cpus and asked.spec.cpus > node.cpus:
        yield (f"it has {_cpus(node.cpus)}, so its engine refuses cpus = {asked.spec.cpus / 1000:g}")


def _limits(asked: NodeRequirements, node: Node, tasks: Sequence[Task]) -> Iterator[tuple[str, int]]:
    """Return the number of tasks that the node takes, by resource."""
    others = [task for task in tasks if task.service != asked.service or not task.service]
    swarm = asked.swarm
    if swarm.max_per_node is not None:
        yield f"max_per_node = {swarm.max_per_node}", swarm.max_per_node
    if not asked.shares_ports:
        yield "a port of a node belongs to one task", 1
    if swarm.reserve_memory:
        free = max(0, node.memory - sum(task.memory for task in others))
        yield f"{free / 1e9:.1f} GB of memory are not reserved", free // swarm.reserve_memory
    if swarm.reserve_cpus:
        left = max(0, node.cpus - sum(task.cpus for task in others))
        yield f"{_cpus(left)} are not reserved", left // swarm.reserve_cpus


def _cpus(thousandths: int) -> str:
    return f"{thousandths / 1000:g} processors"


def unmet(constraint: str, node: Node) -> str:
    """Return why a node does not satisfy a constraint; empty if it does."""
    match = _CONSTRAINT.fullmatch(constraint.strip())
    found = value_of(match[1], node) if match is not None else None
    if match is None or found is None:
        return f"{constraint}: a Swarm does not know such a constraint"
    same = _same(match[1], found, match[3].strip())
    return "" if same == (match[2] == "==") else f"{constraint}, but here it is {found or 'not set'}"


def value_of(key: str, node: Node) -> str | None:
    """Return the node's value for a constraint's key; None if there is no such key.

    A label that is not set counts as an empty one.
    """
    own = _facts(node).get(key.lower())
    if own is not None:
        return own
    for prefix, labels in ((_NODE_LABEL, node.labels), (_ENGINE_LABEL, node.engine_labels)):
        if key.lower().startswith(prefix) and len(key) > len(prefix):
            return labels.get(key[len(prefix) :], "")
    return None


def _facts(node: Node) -> Mapping[str, str]:
    return {
        "node.id": node.id,
        "node.hostname": node.name,
        "node.ip": node.address,
        "node.role": "manager" if node.is_manager else "worker",
        "node.platform.os": node.system,
        "node.platform.arch": node.machine,
    }


def _same(key: str, found: str, wanted: str) -> bool:
    """Return whether the values are equal, ignoring case, or the address is in the network."""
    if key.lower() == "node.ip" and "/" in wanted:
        try:
            return ipaddress.ip_address(found) in ipaddress.ip_network(wanted, strict=False)
        except ValueError:
            return False
    return found.casefold() == wanted.casefold()
