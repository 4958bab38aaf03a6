"""`swarm` of an environment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from release.runspec import SwarmSpec
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

EngineAddress = Annotated[
    str, Matching(r"(unix|tcp|ssh|npipe)://.+", "an engine's address: unix, tcp, ssh or npipe://")
]
"""Where an engine is reached, as "ssh://deploy@host"."""


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
    """Which nodes may run them, as ["node.role==worker"]."""
    endpoint_mode: Literal["vip", "dnsrr"] = "vip"
    """What the service's name means on its networks: one virtual address, or those of all tasks."""
    publish_mode: Literal["ingress", "host"] = "ingress"
    """Where published ports answer: on every node, through the routing mesh, or on the nodes with a task."""
    order: Literal["start-first", "stop-first"] | None = None
    """Whether a new task starts before its old one stops; absent: yes, but not where ports are published on
    the node itself, which two tasks cannot share."""
    parallelism: Annotated[int, Field(ge=0)] = 1
    """How many tasks are replaced at a time; 0: all at once."""
    delay: Pause = 0
    """Between two of them."""
    monitor: Duration = 5_000
    """How long each new task is watched: one that ends in this time is a failure."""
    failure_action: Literal["pause", "rollback"] = "pause"
    """What the Swarm does with an update that fails. Either way what ran before is put back and proven."""
    max_per_node: Annotated[int, Field(ge=1)] | None = None
    """How many tasks of the service one node takes at most; absent: as many as come."""
    reserve_memory: Memory | None = None
    """How much memory of its node is kept free for each task; absent: none, and the Swarm may overbook."""
    reserve_cpus: Cpus | None = None
    """How many processors of its node are kept free for each task."""
    nodes: dict[str, NodeEngine] = Field(default_factory=dict)
    """The engines of the nodes, by host name, address or id of the node: for pulling ahead, volumes, `prune`,
    `verify` and `doctor`, which can look only at engines that they are told of, and for another manager to
    talk to."""

    def spec(self, *, publishes: bool) -> SwarmSpec:
        """As deployments record it; `publishes` tells whether the service publishes ports."""
        order = "stop-first" if publishes and self.publish_mode == "host" else "start-first"
        known = {name: getattr(self, name) for name in SwarmSpec.model_fields}
        return SwarmSpec(**{**known, "order": self.order or order})
