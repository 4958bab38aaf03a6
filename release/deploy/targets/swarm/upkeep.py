"""Upkeep of a Swarm: its managers and nodes, their stores of images, and its secrets and configs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from release.deploy.core import engine_machine
from release.deploy.core.finding import Finding, finding
from release.deploy.core.instance import Instance
from release.deploy.core.upkeep import ImageStore, Needs, Unneeded
from release.deploy.targets.swarm import gc
from release.deploy.targets.swarm.nodes import Machine, Machines, look_into, not_looked_into
from release.deploy.targets.swarm.objects import Node
from release.deploy.targets.swarm.service import PlacedService, no_manager
from release.errors import EngineError
from release.events import Emit, Warned


class SwarmUpkeep(PlacedService, frozen=True, kw_only=True):
    """See `release.deploy.core.target.Upkeep`."""

    def machine_findings(self, name: str) -> Iterator[Finding]:
        """Return findings on the manager."""
        yield from engine_machine.findings(name, self.engine)

    def cluster_findings(self, name: str) -> Iterator[Finding]:
        """Return findings on the Swarm, its nodes and their reachable engines."""
        yield finding(f"{name}: swarm", self._managed)
        with ExitStack() as stack:
            try:
                machines = look_into(self.swarm, self.ways, stack)
            except EngineError:
                return  # the finding before says so
            yield from machine_findings(name, machines)

    def _managed(self) -> str:
        """Return the Swarm of an engine. Raises EngineError if it manages none."""
        membership = self.swarm.membership()
        if not membership.is_manager:
            host = self.engine.host
            raise EngineError(f"use the Swarm of {host}", no_manager(host, membership))
        nodes = self.swarm.nodes()
        taking = sum(node.takes_tasks for node in nodes)
        return f"this is a manager; {taking} of {len(nodes)} nodes take tasks; {quorum(nodes)}"

    def stores(self, stack: ExitStack, emit: Emit) -> Sequence[ImageStore]:
        """Return the image stores of the manager and of other reachable nodes."""
        machines = look_into(self.swarm, self.ways, stack)
        for text in not_looked_into(machines):
            emit(Warned(text=f"not removed: {text}"))
        others = [
            engine_machine.EngineStore(engine=each.engine, node=str(each))
            for each in machines.seen[1:]
            if each.engine is not None
        ]
        return (engine_machine.EngineStore(engine=self.engine), *others)

    def remove(self, instance: Instance) -> None:
        """Remove a paused service: a stopped instance in a Swarm is one."""
        self.swarm.remove(instance.id)

    def unneeded(self, needs: Needs) -> tuple[Unneeded, ...]:
        """Return secrets and configs that no settings of a possible rollback need."""
        return gc.unneeded(self.swarm, self.place, needs)

    def drop(self, unneeded: Unneeded) -> None:
        """Remove the object. A Swarm refuses if a service refers to it."""
        if unneeded.kind == "services":
            self.swarm.remove(unneeded.id)
        else:
            self.swarm.drop(unneeded.kind, unneeded.id)


def quorum(nodes: Sequence[Node]) -> str:
    """Return the number of managers that answer, and of those that may fail: more than half must remain."""
    managers = [node for node in nodes if node.is_manager]
    there = sum(node.reachability in ("leader", "reachable") for node in managers)
    spare = max(0, there - (len(managers) // 2 + 1))
    safe = f"{spare or 'none'} of them can fail without loss of the majority"
    return f"{there} of {len(managers)} managers answer; {safe}"


def machine_findings(name: str, machines: Machines) -> Iterator[Finding]:
    """Return findings on each node, with clock and disk of reachable ones.

    Args:
        name: the environment's.
        machines: the first is that of the manager, whose clock and disk were told before.
    """
    for position, each in enumerate(machines.every):
        about = f"{name}: node {each}"
        yield _machine(about, each)
        if each.engine is not None and position:
            yield from engine_machine.clock_and_disk(about, each.engine)
    for text in machines.strange:
        yield Finding(name=f"{name}: nodes", well=False, found=text, hint="run on a manager: docker node ls")


def _machine(about: str, seen: Machine) -> Finding:
    node = seen.node
    role = f"manager ({node.reachability or 'unknown'})" if node.is_manager else "worker"
    facts = f"{node.cpus / 1000:g} processors, {node.memory / 1e9:.1f} GB"
    known = f"{role}, {node.state}, {node.availability}, engine {node.version}, {node.platform}, {facts}"
    unseen = f"; not checked: {seen.unseen}" if seen.unseen else ""
    is_heard = not node.is_manager or node.reachability in ("leader", "reachable")
    return Finding(
        name=about,
        well=node.is_ready and is_heard and not (seen.named and seen.unseen),
        found=known + unseen,
        hint="run on a manager: docker node ls; if a machine is lost for ever: docker node rm",
    )
