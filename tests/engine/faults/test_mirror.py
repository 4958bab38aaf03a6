"""Base images from a mirror, in real releases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from release.chain.building.mirror import resolve_in_mirrors
from release.images.engine import Engine
from release.images.registry import Registry
from release.programs.process import output_of
from release.reference import Reference, Repository
from tests.engine import lab
from tests.engine.chain.conftest import Make, make  # noqa: F401 - a fixture
from tests.engine.chain.test_release import released
from tests.engine.faults.proxy import Answer, Fault, fault_proxy
from tests.engine.faults.test_pulls import put_image
from tests.engine.service import DOCKERFILE

ON_THE_BASE = {"Dockerfile": DOCKERFILE.replace(lab.SMALL_IMAGE, lab.BASE_IMAGE)}
"""A service on a base that has a registry."""


@contextmanager
def a_base_in(engine: Engine, place: str, folder: Path) -> Iterator[str]:
    """Another base under the same name, in a mirror alone: its digest there."""
    name = f"{place}/library/{lab.BASE_IMAGE}"
    dockerfile = f"FROM {lab.BASE_IMAGE}\nENV FROM_MIRROR={lab.unique()}\n"
    lab.build(engine, name, dockerfile=dockerfile, folder=folder)
    try:
        output_of(["docker", "push", "--quiet", name])
    finally:
        engine.untag(Reference.parse(name))
    reference = Reference.parse(name)
    digest = Registry(reference.repository).digest(reference)
    yield str(digest)


def test_the_mirrors_base_is_used_and_recorded(
    make: Make,  # noqa: F811
    engine: Engine,
    running_registry: lab.RunningRegistry,
    tmp_path: Path,
) -> None:
    """What is recorded is the Dockerfile's name with the mirror's digest, and the image is built on it."""
    place = f"{running_registry.host}/{lab.unique('hub')}"
    with a_base_in(engine, place, tmp_path / "base") as digest:
        service = make(files=ON_THE_BASE, build={"target": "runtime", "mirrors": {"docker.io": place}})
        ran = service.nox("release")
    line = released(ran)
    (record,) = service.records()
    assert record["bases"] == [{"reference": f"docker.io/library/{lab.BASE_IMAGE}", "digest": digest}]
    inspected = json.loads(output_of(["docker", "image", "inspect", f"{line['repository']}:0.1.0"]))
    assert any(value.startswith("FROM_MIRROR=") for value in inspected[0]["Config"]["Env"])
    assert f"base image from the mirror: {place}/library/python@{digest}" in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("host", "words"), [("", "the mirror does not have"), ("127.0.0.1:1", "the mirror does not answer")]
)
def test_a_mirror_without_the_base_is_passed_over(
    make: Make,  # noqa: F811
    running_registry: lab.RunningRegistry,
    host: str,
    words: str,
) -> None:
    """It is told, and the base comes from where the Dockerfile says."""
    place = f"{host or running_registry.host}/{lab.unique('hub')}"
    ran = make(files=ON_THE_BASE, build={"target": "runtime", "mirrors": {"docker.io": place}}).nox("build")
    assert ran.status == 0, ran.all
    assert words in " ".join(ran.err.split())


def test_a_mirror_that_fails_once_is_asked_again(running_registry: lab.RunningRegistry) -> None:
    """As any registry: it is told, and the base is found by its digest."""
    with fault_proxy(running_registry.host) as proxy:
        place, tag = f"{proxy.host}/{lab.unique('hub')}", lab.BASE_IMAGE.partition(":")[2]
        copy = put_image(Repository(f"{place}/library/python"), tag)
        proxy.arm(Fault(method="GET", path="/manifests/", action=Answer(status=503)))
        told: list[str] = []
        named = Reference.parse(f"docker.io/library/{lab.BASE_IMAGE}")
        found = resolve_in_mirrors((named,), {"docker.io": place}, {}, told.append)
    assert found == {str(named): f"{place}/library/python:{tag}@{copy.digest}"}
    assert "the registry answers 503; trying again" in told[0]


def test_a_base_whose_registry_is_in_trouble_is_looked_up_again(
    make: Make,  # noqa: F811
    running_registry: lab.RunningRegistry,
) -> None:
    """BuildKit gives up, and shows the place of the FROM; the second build finds it."""
    with fault_proxy(running_registry.host) as proxy:
        base = put_image(Repository(f"{proxy.host}/{lab.unique()}"))
        service = make(files={"Dockerfile": f"FROM {base} AS runtime\n"})
        proxy.arm(Fault(method="HEAD|GET", path="/manifests/", action=Answer(status=503), times=2))
        ran = service.nox("build")
    assert ran.status == 0, ran.all
    (log,) = (service.folder / ".release/runs").glob("*/build.log")
    assert "the lookup of an image failed" in log.read_text(), (log.read_text(), proxy.hits)
