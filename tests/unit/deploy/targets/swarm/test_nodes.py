"""Which engines of a Swarm can be looked into, and why not the others."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from release.config import NodeEngine
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.nodes import (
    Machine,
    Machines,
    Route,
    look_into,
    manager,
    not_looked_into,
    spread,
)
from release.deploy.targets.swarm.objects import Node
from release.errors import EngineUnreachable
from release.events import Event
from release.reference import Digest
from tests.unit.deploy.fakes import FakeEngine, release, stored
from tests.unit.deploy.targets.swarm.fakes import FakeSwarm, node, real


def reached(nodes: list[Node], ways: dict[str, str], there: dict[str, str]) -> Machines:
    """With ways by name, and what answers at their ends: the id of a node; nothing answers elsewhere."""

    def connect(way: Route, _: ExitStack) -> Swarm:
        assert way.host is not None
        if way.host not in there:
            raise EngineUnreachable(f"reach the engine at {way.host}", "it does not answer")
        return real(FakeSwarm(own=there[way.host], engine=FakeEngine(host=way.host)))

    swarm = real(FakeSwarm(machines=nodes, own="id-a"))
    with ExitStack() as stack:
        return look_into(swarm, {name: NodeEngine(host=host) for name, host in ways.items()}, stack, connect)


def three(**changes: Any) -> list[Node]:
    return [node("c"), node("b", **changes), node("a")]


def hosts(found: Machines) -> dict[str, str]:
    return {machine.node.name: machine.engine.host for machine in found.seen if machine.engine is not None}


def test_the_manager_that_is_talked_to_needs_no_way() -> None:
    """It comes first; the others are told in one line, with the key that says how."""
    found = reached(three(), {}, {})
    assert list(hosts(found)) == ["a"]
    assert found.every[0].node.name == "a"
    (line,) = not_looked_into(found)
    assert line == "c, b: not asked: set its address in swarm.nodes"


def test_engines_are_found_by_name_address_or_id() -> None:
    """Whose each is, it says itself."""
    nodes = [node("a"), node("b", address="10.0.0.3"), node("c")]
    ways = {"10.0.0.3": "ssh://b", "id-c": "ssh://c"}
    found = reached(nodes, ways, {"ssh://b": "id-b", "ssh://c": "id-c"})
    assert hosts(found) == {"a": "unix:///var/run/docker.sock", "b": "ssh://b", "c": "ssh://c"}
    assert list(not_looked_into(found)) == []


def test_of_nodes_with_one_name_the_engine_tells_which_it_is() -> None:
    """Host names need not be unique in a Swarm."""
    nodes = [node("a"), *(node("same", id=name) for name in ("id-1", "id-2"))]
    found = reached(nodes, {"same": "ssh://x"}, {"ssh://x": "id-2"})
    assert [machine.node.id for machine in found.seen] == ["id-a", "id-2"]


def test_what_does_not_answer_is_told_by_node() -> None:
    """One that the managers know to be down is not even tried."""
    found = reached(three(is_ready=False, state="down"), {"b": "ssh://b", "c": "ssh://c"}, {})
    assert list(not_looked_into(found)) == [
        "c: cannot reach the engine at ssh://c: it does not answer",
        "b: it is down",
    ]


def test_a_way_to_the_wrong_engine_is_not_gone() -> None:
    """Another node's, one of no Swarm, or a node that there is not."""
    ways = {"b": "ssh://c", "c": "ssh://lone", "d": "ssh://d"}
    found = reached(three(), ways, {"ssh://c": "id-c", "ssh://lone": ""})
    assert list(hosts(found)) == ["a"]
    assert list(not_looked_into(found)) == [
        "swarm.nodes.d: the Swarm has no node of that name, address or id",
        "c: swarm.nodes.c leads to ssh://lone, which is not a node of a Swarm",
        "b: swarm.nodes.b leads to ssh://c, which is the node id-c",
    ]


def test_who_has_an_image_is_asked_of_every_node_that_takes_tasks() -> None:
    """One that is drained needs none; one that nobody can look into is not taken for having it."""
    image = release().body.image
    full = FakeEngine(images=(stored(Digest(image.digest)),))
    has, lacks = Machine(node=node("a"), engine=full), Machine(node=node("b"), engine=FakeEngine())
    drained = Machine(node=node("c", availability="drain"), engine=FakeEngine())
    unseen = Machine(node=node("d"), unseen="not asked")
    found = spread(Machines(every=(has, lacks, drained, unseen)), image)
    assert str(found) == "a has it; b lacks it; unknown: d"
    assert not found.is_everywhere
    assert spread(Machines(every=(has, drained)), image).is_everywhere
    assert not spread(Machines(every=(drained,)), image).is_everywhere


SILENT = EngineUnreachable("reach the engine", "it does not answer")


def talked_to(there: dict[str, FakeSwarm], said: list[Event]) -> str:
    """Which of these engines is; the first is the configured one, and one that is not there is silent."""

    def connect(way: Route, _: ExitStack) -> Swarm:
        if way.host not in there:
            raise SILENT
        there[way.host].engine = FakeEngine(host=way.host)
        return real(there[way.host])

    ways = {name: NodeEngine(host=f"ssh://{name}") for name in "abc"}
    with ExitStack() as stack:
        return manager(ways["a"], ways, stack, said.append, connect).host


def test_the_configured_manager_is_talked_to_as_long_as_it_can_decide() -> None:
    """One that is no manager, too: that is a wrong setting, which is told by whoever asks it."""
    said: list[Event] = []
    assert talked_to({"ssh://a": FakeSwarm(), "ssh://b": FakeSwarm()}, said) == "ssh://a"
    assert talked_to({"ssh://a": FakeSwarm(manages=False), "ssh://b": FakeSwarm()}, said) == "ssh://a"
    assert said == []


@pytest.mark.parametrize("first", [{}, {"ssh://a": FakeSwarm(trouble="there is no leader")}])
def test_another_manager_that_can_decide_takes_its_place(first: dict[str, FakeSwarm]) -> None:
    """And that is told; a worker cannot."""
    said: list[Event] = []
    there = {**first, "ssh://b": FakeSwarm(manages=False), "ssh://c": FakeSwarm()}
    assert talked_to(there, said) == "ssh://c"
    (warned,) = said
    assert "using the manager ssh://c instead" in str(warned)


def test_without_another_the_configured_one_says_what_is_wrong() -> None:
    """It does not answer; or it answers, and has no majority."""
    with pytest.raises(EngineUnreachable) as caught:
        talked_to({"ssh://b": FakeSwarm(trouble="there is no leader")}, [])
    assert caught.value is SILENT
    assert talked_to({"ssh://a": FakeSwarm(trouble="there is no leader")}, []) == "ssh://a"
