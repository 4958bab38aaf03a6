"""The machines of a Swarm, and the engines of those that can be looked into from here.

A manager knows the state of every node and nothing of what is in its store. For that the node's own engine
must be asked; `swarm.nodes` says how it is reached. Which node's it is, the engine tells itself, by an id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Final, Protocol

from release.deploy.core.image_location import find_stored
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.objects import Node
from release.deploy.targets.swarm.tasks import node_name
from release.errors import EngineError, EngineUnreachable, ReleaseError
from release.events import Emit, Warned
from release.images.engine import Engine
from release.records import Image
from release.values import Struct

HINT: Final = "set its address in swarm.nodes"


class Route(Protocol):
    """Address of an engine. Without host and context, it is the default engine of `docker`."""

    @property
    def host(self) -> str | None:
        """Return its address."""

    @property
    def context(self) -> str | None:
        """Return its Docker context."""


Connect = Callable[[Route, ExitStack], Swarm]
"""The Swarm as another engine of it knows it, open as long as the stack is."""


class Machine(Struct, frozen=True, kw_only=True):
    """A node, with its engine if it can be reached."""

    node: Node
    engine: Engine | None = None
    unseen: str = ""
    """Reason why the node's engine cannot be reached."""
    named: bool = False
    """True: the settings have the address of its engine."""

    def __str__(self) -> str:
        """Return the node's name."""
        return node_name(self.node, self.node.id)


class Machines(Struct, frozen=True, kw_only=True):
    """All nodes of a Swarm."""

    every: tuple[Machine, ...]
    """All engines, that of the manager in use first."""
    strange: tuple[str, ...] = ()
    """Names in the settings that the Swarm does not have."""

    @property
    def seen(self) -> tuple[Machine, ...]:
        """Return the nodes whose engine answers."""
        return tuple(machine for machine in self.every if machine.engine is not None)

    @property
    def unseen(self) -> tuple[Machine, ...]:
        """Return the nodes whose engine cannot be reached."""
        return tuple(machine for machine in self.every if machine.engine is None)


def connect(way: Route, stack: ExitStack) -> Swarm:
    """Return the engine at this address. Raises EngineUnreachable, UsageError."""
    return Swarm(engine=stack.enter_context(Engine.connect(host=way.host, context=way.context)))


def manager(
    own: Route, ways: Mapping[str, Route], stack: ExitStack, emit: Emit, connect: Connect = connect
) -> Engine:
    """Return the engine of a manager that has a majority: the configured one, or another known one.

    Args:
        own: address of the configured manager.
        ways: addresses of other engines, to try if that manager does not answer or has no majority.
        stack: closes the connections.
        emit: gets a warning if another manager is used.
        connect: opens an engine; raises EngineUnreachable, UsageError.

    Raises:
        EngineUnreachable, UsageError: no manager with a majority answers.
    """
    seen, silent = None, None
    try:
        seen = connect(own, stack)
        found = _undecided(seen)
    except EngineUnreachable as error:
        silent, found = error, f"cannot {error.attempted}: {error.found}"
    other = next(_deciding(ways, stack, connect), None) if found else None
    if other is not None:
        emit(Warned(text=f"{found}; using the manager {other.host} instead"))
        return other
    if seen is None:
        assert silent is not None  # noqa: S101 - else it was seen
        raise silent
    return seen.engine


def _undecided(seen: Swarm) -> str:
    """Return why a manager has no majority. An engine that is no manager is a wrong setting."""
    here = seen.membership()
    is_alone = here.is_manager and here.trouble
    return f"the manager {seen.engine.host} has no majority: {here.trouble}" if is_alone else ""


def _deciding(ways: Mapping[str, Route], stack: ExitStack, connect: Connect) -> Iterator[Engine]:
    for way in ways.values():
        with suppress(ReleaseError):
            there = connect(way, stack)
            here = there.membership()
            if here.is_manager and not here.trouble:
                yield there.engine


def look_into(
    swarm: Swarm, ways: Mapping[str, Route], stack: ExitStack, connect: Connect = connect
) -> Machines:
    """Connect to every engine in the settings. They are open as long as the stack.

    Args:
        swarm: Swarm that has the nodes.
        ways: addresses of engines, by host name, address or id of their node.
        stack: closes the connections.
        connect: opens an engine; raises EngineUnreachable, UsageError.

    Raises:
        EngineError: the manager does not return its nodes. Errors of other engines are kept in the result.
    """
    nodes, own = swarm.nodes(), swarm.membership().node
    found, told, strange = {own: swarm.engine}, dict[str, str](), list[str]()
    for name, way in ways.items():
        meant = [node for node in nodes if name in (node.id, node.name, node.address)]
        if not meant:
            strange.append(f"swarm.nodes.{name}: the Swarm has no node of that name, address or id")
            continue
        if all(node.id in found for node in meant):
            continue
        found_id, engine, problem = _entered(name, way, meant, stack, connect)
        if engine is not None:
            found.setdefault(found_id, engine)
        told |= {node.id: problem for node in meant if problem}
    every = [_machine(node, found, told, ways) for node in nodes]
    return Machines(every=tuple(sorted(every, key=lambda one: one.node.id != own)), strange=tuple(strange))


def _entered(
    name: str, way: Route, meant: Sequence[Node], stack: ExitStack, connect: Connect
) -> tuple[str, Engine | None, str]:
    """Return the id and the engine of the answering node, or what was found instead."""
    if not any(node.is_ready for node in meant):
        return "", None, f"it is {meant[0].state}"
    try:
        seen = connect(way, stack)
        answers = seen.membership().node
    except ReleaseError as error:
        return "", None, f"cannot {error.attempted}: {error.found}"
    if answers in {node.id for node in meant}:
        return answers, seen.engine, ""
    other = f"the node {answers}" if answers else "not a node of a Swarm"
    return "", None, f"swarm.nodes.{name} leads to {seen.engine.host}, which is {other}"


def _machine(
    node: Node, found: Mapping[str, Engine], told: Mapping[str, str], ways: Mapping[str, Route]
) -> Machine:
    named = not {node.id, node.name, node.address}.isdisjoint(ways)
    engine = found.get(node.id)
    if engine is not None:
        return Machine(node=node, engine=engine, named=named)
    return Machine(node=node, unseen=told.get(node.id) or f"not asked: {HINT}", named=named)


class Spread(Struct, frozen=True, kw_only=True):
    """Nodes that can get tasks, by whether they have an image."""

    has: tuple[Machine, ...] = ()
    lacks: tuple[Machine, ...] = ()
    unknown: tuple[Machine, ...] = ()

    @property
    def is_everywhere(self) -> bool:
        """Return whether no node needs to ask a registry."""
        return bool(self.has) and not self.lacks and not self.unknown

    def __str__(self) -> str:
        """Return as text which nodes have the image, lack it, or are unknown."""
        parts = (
            ("", self.has, "has it", "have it"),
            ("", self.lacks, "lacks it", "lack it"),
            ("unknown: ", self.unknown, "", ""),
        )
        return "; ".join(
            f"{before}{', '.join(map(str, some))} {one if len(some) == 1 else many}".rstrip()
            for before, some, one, many in parts
            if some
        )


def spread(machines: Machines, image: Image) -> Spread:
    """Ask every open engine for the image. One that does not answer counts as unknown."""
    has, lacks, unknown = list[Machine](), list[Machine](), list[Machine]()
    for machine in machines.every:
        if not machine.node.takes_tasks:
            continue
        try:
            there = machine.engine is not None and find_stored(machine.engine, image) is not None
            (has if there else lacks if machine.engine is not None else unknown).append(machine)
        except EngineError:
            unknown.append(machine)
    return Spread(has=tuple(has), lacks=tuple(lacks), unknown=tuple(unknown))


def not_looked_into(machines: Machines) -> Iterator[str]:
    """Return each unreachable node with the reason; nodes without a setting in one line."""
    silent = [machine for machine in machines.unseen if machine.named]
    others = [machine for machine in machines.unseen if not machine.named]
    yield from machines.strange
    yield from (f"{machine}: {machine.unseen}" for machine in silent)
    if others:
        yield f"{', '.join(map(str, others))}: not asked: {HINT}"
