"""Everything that one engine lacks is found before anything is touched."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.deploy.core.image_location import FreeSpace, ImageLocation
from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import Place, look
from release.deploy.targets.engine import preflight
from release.deploy.targets.engine.instances import instances_of
from release.deploy.targets.engine.preflight import (
    image_problems,
    occupation_problems,
    room,
    settings_problems,
)
from release.images.engine import ContainerState, StoredImage
from release.records import Descriptor, Image
from release.runspec import Mount, Publish, RunSpec
from release.values import replace
from tests.unit.deploy.fakes import INFO, FakeEngine, digest, release, state, stored

PLACE = Place(service="api", environment="production")


ENGINE = ImageLocation(where="engine")


@pytest.fixture
def busy() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


NONE = InstanceSet(running=(), stopped=())


def problems(engine: FakeEngine, ours: InstanceSet = NONE, **settings: object) -> list[str]:
    spec = RunSpec.model_validate(settings)
    found = [*settings_problems(engine, PLACE, spec), *occupation_problems(engine, PLACE, spec, ours)]
    return [str(problem) for problem in found]


def published(name: str, port: int, **labels: str) -> ContainerState:
    return state(name, ports={8000: ("127.0.0.1", port)}, labels=labels)


def publish(port: int) -> tuple[Publish, ...]:
    return (Publish(address="127.0.0.1", host=port, container=8000),)


def test_networks_volumes_and_folders_must_exist(tmp_path: Path) -> None:
    """Each missing one is told with what to do; those that exist are not."""
    volumes = tuple(
        Mount.model_validate(text) for text in ("data:/data", "kept:/kept", "/no/such:/x", f"{tmp_path}:/y")
    )
    found = problems(
        FakeEngine(networks=("known",), volumes=("kept",)), networks=("known", "absent"), volumes=volumes
    )
    assert found == [
        "environments.production.networks: the engine has no network absent: docker network create absent",
        "environments.production.volumes: the engine has no volume data: docker volume create data",
        "environments.production.volumes: the folder /no/such does not exist",
    ]


def test_a_port_of_another_container_names_that_container(busy: int) -> None:
    """The one to stop."""
    engine = FakeEngine()
    engine.add(published("stranger", busy))
    (problem,) = problems(engine, publish=publish(busy))
    assert "published by the container stranger" in problem


def test_tcp_and_udp_have_ports_of_their_own(busy: int) -> None:
    """A container that publishes the same number for the other protocol is in nobody's way."""
    (tcp,) = publish(busy)
    udp = tcp.model_copy(update={"protocol": "udp"})
    engine = FakeEngine(host="ssh://far.example")
    engine.add(published("stranger", busy))
    assert problems(engine, publish=(udp,)) == []
    assert len(problems(engine, publish=(tcp,))) == 1
    assert problems(FakeEngine(), publish=(udp,)) == []


def test_a_port_of_another_program_is_found_by_trying_it(busy: int) -> None:
    """The engine does not know it."""
    (problem,) = problems(FakeEngine(), publish=publish(busy))
    assert f"port {busy} of 127.0.0.1 is in use here" in problem


def test_a_port_of_our_own_running_container_is_free_for_its_successor(busy: int) -> None:
    """It is stopped before the new one starts."""
    engine = FakeEngine()
    engine.add(published("api-production", busy, **PLACE.labels("serving")))
    assert problems(engine, instances_of(look(engine, PLACE)), publish=publish(busy)) == []


def test_a_port_and_a_name_of_what_only_has_our_labels_are_not_free(busy: int) -> None:
    """Its labels are a claim: nothing is stopped for it, and the message says what to do."""
    engine = FakeEngine(host="ssh://far.example")
    engine.add(published("api-production", busy, **PLACE.labels("serving")))
    engine.add(state("api-production.2", labels=PLACE.labels("serving")))
    port, first, second = problems(engine, publish=publish(busy), replicas=2)
    assert "is published by the container api-production: stop it" in port
    assert "docker rename api-production api-production-before" in first
    assert "docker rename api-production.2 api-production.2-before" in second


def test_a_port_of_a_far_engine_is_not_tried_on_this_machine(busy: int) -> None:
    """What listens here says nothing about there."""
    assert problems(FakeEngine(host="ssh://far.example"), publish=publish(busy)) == []


def test_a_stopped_container_holds_no_port(busy: int) -> None:
    """Its ports are bound when it starts."""
    engine = FakeEngine(host="ssh://far.example")
    engine.add(state("stopped", status="exited", ports={8000: ("127.0.0.1", busy)}))
    assert problems(engine, publish=publish(busy)) == []


def test_a_stranger_under_our_name_is_told() -> None:
    """The new container could not get the name."""
    engine = FakeEngine()
    engine.add(state("api-production"))
    (problem,) = problems(engine)
    assert "docker rename api-production" in problem


def test_another_place_whose_containers_have_our_name_is_named() -> None:
    """Nobody is told to rename what serves somebody else."""
    mine = Place(service="api", environment="eu-production")
    other = Place(service="api-eu", environment="production")
    engine = FakeEngine()
    engine.add(state(other.container, labels=other.labels("serving")))
    (problem,) = occupation_problems(engine, mine, RunSpec(), NONE)
    assert "api-eu in production has a container api-eu-production" in problem.message
    assert "docker rename" not in problem.message
    assert occupation_problems(engine, other, RunSpec(), instances_of(look(engine, other))) == []


def test_an_image_for_another_platform_is_told() -> None:
    """System and processor; a variant of the same processor is the engine's to judge."""
    image = release().body.image
    arm = FakeEngine(info=replace(INFO, platform="linux/arm64"))
    (problem,) = image_problems(arm, image)
    assert problem.message == "it is for linux/amd64, but the engine runs linux/arm64"
    variant = image.model_copy(update={"platform": "linux/arm64/v8"})
    assert image_problems(arm, variant) == []


BASE, OWN = digest("base"), digest("own")


HUGE = tuple(Descriptor(digest=str(digest(f"packed {name}")), size=1 << 60) for name in ("base", "own"))


def sized(*layers: Descriptor) -> Image:
    return release().body.image.model_copy(update={"layers": layers})


def here(root: Path, *images: StoredImage) -> FakeEngine:
    return FakeEngine(info=replace(INFO, data_root=str(root), image_store="graph"), images=images)


TO_PULL = ImageLocation(where="registry", diff_ids=(BASE, OWN))


def test_too_little_room_is_told_where_it_can_be_seen(tmp_path: Path) -> None:
    """On this machine, for bytes that are to be pulled: packed and unpacked."""
    found = room(here(tmp_path), sized(*HUGE), TO_PULL)
    assert f"in {tmp_path}" in found.short
    assert f"{(2 << 60) * 3:,} bytes" in found.short
    assert room(here(tmp_path), sized(*HUGE), ENGINE) == FreeSpace()
    assert room(here(tmp_path), sized(), TO_PULL) == FreeSpace()


def test_layers_that_are_there_need_no_room(tmp_path: Path) -> None:
    """As far as they lie on the same ones: a layer on another base is another one."""
    small = Descriptor(digest=str(digest("small")), size=1)
    base = replace(stored(digest("before")), diff_ids=(BASE, digest("other")))
    assert room(here(tmp_path, base), sized(HUGE[0], small), TO_PULL) == FreeSpace()
    moved = replace(base, diff_ids=(OWN, BASE))
    assert room(here(tmp_path, moved), sized(HUGE[0], small), TO_PULL).short


def test_room_that_nobody_here_can_see_is_told_too(tmp_path: Path) -> None:
    """On another machine, or in a folder that is not there: nothing speaks against it, or for it."""
    far = here(tmp_path)
    far.host = "tcp://192.0.2.1:2376"
    assert "cannot see the free space" in room(far, sized(*HUGE), TO_PULL).unknown
    assert "cannot see the free space" in room(here(tmp_path / "absent"), sized(*HUGE), TO_PULL).unknown


def test_a_containerd_store_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room in either folder is room."""
    monkeypatch.setattr(preflight, "_CONTAINERD", tmp_path)
    engine = FakeEngine(info=replace(INFO, data_root="/proc", image_store="containerd"))
    assert f"in /proc or {tmp_path}" in room(engine, sized(*HUGE), TO_PULL).short
    assert room(engine, sized(HUGE[0].model_copy(update={"size": 1})), TO_PULL) == FreeSpace()
