"""What nodes get, and must have, before a task comes to them."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.targets.swarm.nodes import Machine, Machines
from release.deploy.targets.swarm.placement import NodeRequirements
from release.deploy.targets.swarm.prepull import fitting, missing_volumes, pull_missing, unseen_volumes
from release.errors import EngineUnreachable, RegistryError
from release.events import Event, Finished, Notice, Warned
from release.images.engine import Engine
from release.records import Image
from release.reference import Digest
from release.runspec import Mount, RunSpec
from release.targetspec import SwarmSpec
from tests.unit.deploy import fakes
from tests.unit.deploy.targets.swarm.fakes import RELEASE, node

IMAGE = RELEASE.body.image
DATA = RunSpec(volumes=(Mount.model_validate("data:/data"), Mount.model_validate("/srv:/srv")))


class Silent(fakes.FakeEngine):
    """Of a node that went away since it was asked who it is."""

    def has_volume(self, name: str) -> bool:
        raise EngineUnreachable(f"look for the volume {name}", "gone")


def machine(name: str, engine: Engine | None) -> Machine:
    return Machine(node=node(name), engine=engine, unseen="" if engine else "not asked")


def engine(name: str, *, has: bool = False, volumes: tuple[str, ...] = ()) -> fakes.FakeEngine:
    images = (fakes.stored(Digest(IMAGE.digest)),) if has else ()
    return fakes.FakeEngine(host=f"ssh://{name}", images=images, volumes=volumes)


def machines(*every: Machine) -> Machines:
    return Machines(every=every)


def test_every_node_that_lacks_the_image_pulls_it() -> None:
    """One that has it already is left alone."""
    there = machines(*(machine(name, engine(name, has=name == "a")) for name in "abc"))
    pulled, said = list[str](), list[Event]()
    pull_missing(there, IMAGE, said.append, lambda one, _: pulled.append(one.host))
    assert sorted(pulled) == ["ssh://b", "ssh://c"]
    (done,) = [event for event in said if isinstance(event, Finished)]
    assert done.summary == "pulled in advance on 2 of 2 nodes that lacked the image"


def test_nodes_that_go_without_are_named() -> None:
    """A pull that fails, and an engine that nobody can look into; the deployment goes on."""

    def pull(one: Engine, image: Image) -> None:
        if one.host == "ssh://b":
            raise RegistryError(f"pull {image.repository}", "no route to it")

    said = list[Event]()
    there = machines(machine("a", engine("a")), machine("b", engine("b")), machine("c", None))
    pull_missing(there, IMAGE, said.append, pull)
    (warned,) = [event.text for event in said if isinstance(event, Warned)]
    (noticed,) = [event.text for event in said if isinstance(event, Notice)]
    assert warned.startswith(
        f"could not pull the image in advance: b: cannot pull {IMAGE.repository}: no route to it"
    )
    assert noticed.startswith("could not pull the image in advance: c: not asked")
    (done,) = [event for event in said if isinstance(event, Finished)]
    assert done.summary == "pulled in advance on 1 of 2 nodes that lacked the image"


def test_where_all_have_it_nothing_is_said() -> None:
    """Nor pulled."""
    said = list[Event]()

    def pull(*_: object) -> None:
        raise AssertionError("nothing is to be pulled")

    pull_missing(machines(machine("a", engine("a", has=True))), IMAGE, said.append, pull)
    assert said == []


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"availability": "drain"}, False),
        ({"is_ready": False, "state": "down"}, False),
        ({"labels": {"disk": "hdd"}}, False),
        ({"machine": "aarch64"}, False),
    ],
)
def test_only_nodes_that_may_run_it_count(changes: dict[str, Any], fits: bool) -> None:
    """Ready, active, of its platform, and as the constraints ask."""
    there = machines(Machine(node=node("a", **{"labels": {"disk": "ssd"}, **changes}), engine=engine("a")))
    spec = RunSpec(swarm=SwarmSpec(constraints=("node.labels.disk==ssd",)))
    assert bool(fitting(there, NodeRequirements(spec=spec, platform="linux/amd64")).every) == fits


def test_a_volume_that_a_node_lacks_is_told_with_the_node() -> None:
    """A folder of the machine is no volume."""
    there = machines(machine("a", engine("a", volumes=("data",))), machine("b", engine("b")))
    (told,) = missing_volumes(there, DATA)
    assert told.startswith("b has no volume data, so a task there would begin with an empty one")
    assert list(unseen_volumes(there, DATA)) == []


def test_volumes_that_nobody_can_look_at_are_said_to_be_unknown() -> None:
    """An engine that is not known, or stopped answering; without volumes there is nothing to say."""
    there = machines(machine("a", engine("a", volumes=("data",))), machine("b", None), machine("c", Silent()))
    assert list(missing_volumes(there, DATA)) == []
    (told,) = unseen_volumes(there, DATA)
    assert told == "cannot check the volume data on b, c: a task there may begin with an empty volume"
    assert list(unseen_volumes(there, RunSpec())) == []
