"""Where tasks could run, told from what the managers know of each node."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.targets.swarm.objects import Node, Task
from release.deploy.targets.swarm.placement import NodeRequirements, problems, unmet
from release.deploy.targets.swarm.spec import Parts, service_spec
from release.runspec import Publish, RunSpec
from release.targetspec import SwarmSpec
from release.values import replace
from tests.unit.deploy.targets.swarm import fakes
from tests.unit.deploy.targets.swarm.fakes import node

GIB = 1 << 30
PORT = (Publish(host=8080, container=8000),)


def three(**changes: Any) -> list[Node]:
    """Alike but for their names."""
    known: dict[str, Any] = {"cpus": 2000, "memory": 4 * GIB, **changes}
    return [node(name, address=f"10.0.0.{number}", **known) for number, name in enumerate("abc", start=2)]


def told(nodes: list[Node], tasks: tuple[Task, ...] = (), **settings: Any) -> str:
    """What is said of the settings; those of the Swarm's table are in `swarm`."""
    swarm = SwarmSpec(**{"order": "stop-first", **settings.pop("swarm", {})})
    platform = settings.pop("platform", "linux/amd64")
    asked = NodeRequirements(spec=RunSpec(**{"replicas": 3, **settings}, swarm=swarm), platform=platform)
    return "\n".join(problems(asked, nodes, tasks))


def taken(on: str, **changes: Any) -> Task:
    """A task of another service."""
    there = fakes.service(service_spec(fakes.order(), Parts()))
    return replace(fakes.task(there), node=on, service="id-other", **changes)


def test_a_service_that_asks_for_nothing_finds_a_place_anywhere() -> None:
    """However many tasks it has."""
    assert told([node()], replicas=50) == ""


def test_every_node_that_cannot_is_named_with_the_reason() -> None:
    """Down, drained, another constraint: all of it at once."""
    down, drained, other = three()
    nodes = [
        replace(down, is_ready=False, state="down"),
        replace(drained, availability="drain"),
        replace(other, labels={"zone": "west"}),
    ]
    found = told(nodes, swarm={"constraints": ("node.labels.zone==east",)})
    assert found.splitlines() == [
        "none of the Swarm's 3 nodes can run it:",
        "    a (10.0.0.2): it is down, node.labels.zone==east, but here it is not set",
        "    b (10.0.0.3): it is drained, node.labels.zone==east, but here it is not set",
        "    c (10.0.0.4): node.labels.zone==east, but here it is west",
    ]


def test_nodes_that_a_new_leader_has_not_heard_of_yet_are_no_objection() -> None:
    """They report within seconds; the Swarm waits for them, and so does a deployment."""
    assert told(three(is_ready=False, state="unknown")) == ""
    assert "it is disconnected" in told(three(is_ready=False, state="disconnected"))


def test_an_image_for_another_processor_finds_no_place() -> None:
    """A node says x86_64 where an image says amd64; a variant is the engine's to judge."""
    assert told(three(), platform="linux/amd64/v2") == ""
    assert "it is linux/amd64, but the image is for linux/arm64/v8" in told(
        three(), platform="linux/arm64/v8"
    )
    assert told(three(machine="aarch64"), platform="linux/arm64/v8") == ""
    assert told(three(machine="armv7l"), platform="linux/arm/v7") == ""


def test_a_limit_of_more_processors_than_a_node_has_is_refused_by_its_engine() -> None:
    """The Swarm itself would place it there."""
    assert "it has 2 processors" in told(three(), cpus=2500)
    assert told(three(), cpus=2000) == ""


def test_reservations_need_room_beside_those_of_others() -> None:
    """Those of the service itself come free."""
    asked: dict[str, Any] = {"reserve_memory": 3 * GIB, "reserve_cpus": 500}
    assert told(three(), swarm=asked) == ""
    found = told(three(), (taken("id-a", memory=2 * GIB),), swarm=asked)
    assert found.startswith("there is room for 2 of 3 tasks:")
    assert "a (10.0.0.2): 0 (2.1 GB of memory are not reserved)" in found
    assert "none of the Swarm's 3 nodes" in told(three(), swarm={"reserve_memory": 5 * GIB})
    mine = taken("id-a", memory=4 * GIB)
    spec = RunSpec(replicas=3, swarm=SwarmSpec(**asked, order="stop-first"))
    own = NodeRequirements(spec=spec, platform=None, service="id-other")
    assert list(problems(own, three(), (mine,))) == []


def test_more_tasks_than_places_are_told() -> None:
    """By a limit for each node, and by ports that a node has once."""
    assert told(three(), replicas=6, swarm={"max_per_node": 2}) == ""
    assert told(three(), replicas=7, swarm={"max_per_node": 2}).startswith("there is room for 6 of 7 tasks:")
    found = told(three(), replicas=4, publish=PORT, swarm={"publish_mode": "host"})
    assert found.startswith("there is room for 3 of 4 tasks:")
    assert "a port of a node belongs to one task" in found
    assert told(three(), replicas=4, publish=PORT) == ""


def test_start_first_needs_one_place_more() -> None:
    """Else the first update would wait for ever."""
    tight = {"max_per_node": 1, "order": "start-first"}
    assert 'swarm.order = "stop-first"' in told(three(), swarm=tight)
    assert told(three(), replicas=2, swarm=tight) == ""


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        ("node.id == id-a", True),
        ("node.hostname==A", True),
        ("node.hostname!=a", False),
        ("node.ip==10.0.0.0/24", True),
        ("node.ip==10.0.0.9", False),
        ("node.role==manager", True),
        ("node.role!=manager", False),
        ("node.platform.os==linux", True),
        ("node.platform.arch==x86_64", True),
        ("node.labels.zone==east", True),
        ("node.labels.Zone==east", False),
        ("node.labels.none!=x", True),
        ("engine.labels.disk==ssd", True),
        ("node.zone==east", False),
        ("node.labels.==east", False),
    ],
)
def test_constraints_are_read_as_a_swarm_reads_them(constraint: str, holds: bool) -> None:
    """Keys and values without regard to case, names of labels with it; one that is not known never holds."""
    known = node(address="10.0.0.2", labels={"zone": "east"}, engine_labels={"disk": "ssd"})
    assert (unmet(constraint, known) == "") is holds
