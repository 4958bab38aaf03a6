"""`swarm` of an environment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from release.scalars import (
    Cpus,
    Duration,
    Items,
    Matching,
    Memory,
    Name,
    Pause,
    Value,
)
from release.targetspec import SwarmSpec

EngineAddress = Annotated[
    str, Matching(r"(unix|tcp|ssh|npipe)://.+", "an engine's address: unix, tcp, ssh or npipe://")
]
"""Address of an engine, as "ssh://deploy@host"."""


class NodeEngine(Value):
    """`[tool.release.environments.<name>.swarm.nodes.<node>]`: how the engine of a node is reached."""

    context: Name | None = None
    """A Docker context."""
    host: EngineAddress | None = None
    """The engine's address, as "ssh://deploy@host"."""

    @model_validator(mode="after")
    def _one_way(self) -> NodeEngine:
        if (self.context is None) == (self.host is None):
            raise ValueError("give either context or host")
        return self


class Swarm(Value):
    """`[tool.release.environments.<name>.swarm]`: how a Swarm runs and replaces the tasks of the service."""

    constraints: Items[
        Annotated[str, Matching(r"\S+\s*(==|!=)\s*\S.*", 'a constraint, as "node.labels.zone==a"')]
    ] = ()
    """Constraints on the nodes that may run tasks, as ["node.role==worker"]."""
    endpoint_mode: Literal["vip", "dnsrr"] = "vip"
    """Meaning of the service's name on its networks: one virtual address, or the addresses of all tasks."""
    publish_mode: Literal["ingress", "host"] = "ingress"
    """Place of published ports: every node, through the routing mesh, or the nodes with a task."""
    order: Literal["start-first", "stop-first"] | None = None
    """"start-first": a new task starts before its old one stops; absent: so, unless ports are published on
    the node itself, which two tasks cannot share."""
    parallelism: Annotated[int, Field(ge=0)] = 1
    """Number of tasks that are replaced at a time; 0: all at once."""
    delay: Pause = 0
    """Time between the replacements of two tasks."""
    monitor: Duration = 5_000
    """Time for which each new task is watched: one that ends in this time is a failure."""
    failure_action: Literal["pause", "rollback"] = "pause"
    """Reaction of the Swarm to an update that fails. In both cases, what ran before is restored."""
    max_per_node: Annotated[int, Field(ge=1)] | None = None
    """Most tasks of the service on one node; absent: no limit."""
    reserve_memory: Memory | None = None
    """Memory of its node that is reserved for each task; absent: none, and the Swarm may overbook."""
    reserve_cpus: Cpus | None = None
    """Processors of its node that are reserved for each task."""
    nodes: dict[str, NodeEngine] = Field(default_factory=dict)
    """The engine of each node, by host name, address or id of the node. Pre-pulls, checks of volumes,
    `prune`, `verify` and `doctor` reach only these engines. If the manager fails, another one is used."""

    def spec(self, *, publishes: bool) -> SwarmSpec:
        """Return the settings as deployments record them. `publishes`: the service publishes ports."""
        order = "stop-first" if publishes and self.publish_mode == "host" else "start-first"
        known = {name: getattr(self, name) for name in SwarmSpec.model_fields}
        return SwarmSpec(**{**known, "order": self.order or order})
