"""A ledger that is gone, reconstructed from its images by the real program."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release.images.engine import Engine
from release.programs.environment import ENGINE
from release.programs.process import Command, output_of, run
from tests.engine import lab
from tests.engine.service import APP, Ran, Service, make_service

BRANCH = "release-ledger"
ALWAYS_UNKNOWN = {
    "bases",
    "gates",
    "build.buildkit",
    "build.buildx",
    "build.engine",
    "build.exporter",
    "build.timestamps",
}


def well(ran: Ran) -> Ran:
    assert ran.status == 0, ran.all
    return ran


def answer(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
        return str(response.read().decode())


@pytest.fixture
def port() -> int:
    return lab.free_port()


@pytest.fixture
def environments(port: int) -> dict[str, Any]:
    return {"production": {"publish": [f"127.0.0.1:{port}:8000"], "stop_grace": "3s", "watch": "0s"}}


@pytest.fixture
def cleaned(engine: Engine) -> Iterator[list[Service]]:
    """Services whose containers and images are removed in the end."""
    services: list[Service] = []
    yield services
    for service in services:
        for container in engine.containers({"release.service": service.name}):
            engine.remove(container.id)
        label = f"label=org.opencontainers.image.title={service.name}"
        images = ["docker", "images", "--filter", label, "--format", "{{.Repository}}:{{.Tag}}"]
        run(
            Command(inherits=ENGINE, argv=("docker", "rmi", "--force", *output_of(images).split())),
            check=False,
        )


def two_releases(service: Service) -> list[dict[str, Any]]:
    """0.1.0 and 0.2.0, as they were recorded."""
    well(service.nox("release"))
    service.commit("feat: say it in another way", {"app.py": APP.replace('"hello"', 'str("hello")')})
    well(service.nox("release"))
    return service.records()


def same(recovered: dict[str, Any], recorded: dict[str, Any]) -> None:
    """What is not said to be unknown is what was recorded."""
    unknown = set(recovered["recovered"]["unknown"])
    assert unknown == ALWAYS_UNKNOWN
    for key in ("version", "image", "source", "lock", "smoke"):
        assert recovered[key] == recorded[key], key
    parts = {f"build.{key}": value for key, value in recorded["build"].items()}
    for key in parts.keys() - unknown:
        assert recovered["build"][key.removeprefix("build.")] == parts[key], key


def test_releases_are_recovered_from_a_registry_and_can_be_deployed(
    tmp_path: Path,
    bare_remote: Path,
    running_registry: lab.RunningRegistry,
    environments: dict[str, Any],
    port: int,
    cleaned: list[Service],
) -> None:
    """The branch is gone here and on the server: a fresh clone brings both releases back and deploys one."""
    registry = f"{running_registry.host}/{lab.unique()}"
    service = make_service(tmp_path / "svc", remote=bare_remote, registry=registry, environments=environments)
    cleaned.append(service)
    recorded = two_releases(service)
    service.git("push", "--quiet", "origin", "main", f":refs/heads/{BRANCH}")

    still_known = service.invoke("ledger-rebuild", "--yes")
    assert still_known.status == 1
    assert f":refs/heads/{BRANCH}" in still_known.err

    clone = service.clone(tmp_path / "clone")
    refused = clone.invoke("ledger-rebuild")
    assert refused.status == 2, refused.all
    assert "add --yes" in refused.err
    assert clone.records() == []

    made = well(clone.invoke("ledger-rebuild", "--yes", "--json")).document()
    assert [record["version"] for record in made] == ["0.1.0", "0.2.0"]
    for one, other in zip(made, recorded, strict=True):
        same(one, other)
    assert clone.git("ls-remote", "origin", f"refs/heads/{BRANCH}")

    well(clone.invoke("deploy", "--to", "0.1.0", "--yes"))
    assert answer(port) == "hello from 0.1.0"
    well(clone.invoke("deploy", "--to", "0.2.0", "--yes"))
    assert answer(port) == "hello from 0.2.0"
    well(clone.invoke("rollback", "--yes"))
    assert answer(port) == "hello from 0.1.0"
    assert "recovered" in well(clone.invoke("show", "0.1.0")).out

    again = clone.invoke("ledger-rebuild", "--yes")
    assert again.status == 1
    assert "nothing is missing" in again.err


def test_releases_are_recovered_from_the_engine_where_no_registry_is(
    tmp_path: Path, cleaned: list[Service]
) -> None:
    """The engine's own store is the registry then; its images say the same."""
    service = make_service(tmp_path / "svc")
    cleaned.append(service)
    well(service.nox("release"))
    recorded = service.records()
    service.git("branch", "--quiet", "-D", BRANCH)
    known = service.invoke("ledger-rebuild", "--plan")
    assert known.status == 1, known.all
    assert f"git branch {BRANCH} " in known.err
    service.git("update-ref", "-d", f"refs/release-verified/local/{BRANCH}")
    plan = well(service.invoke("ledger-rebuild", "--plan", "--json")).document()
    assert [release["version"] for release in plan[service.name]["releases"]] == ["0.1.0"]
    assert service.records() == []
    (made,) = json.loads(well(service.invoke("ledger-rebuild", "--yes", "--json")).out)
    same(made, recorded[0])
    assert well(service.nox("release")).last_line.endswith(made["image"]["digest"])


def test_a_deleted_index_entry_is_named_and_read_from_the_verified_head(
    tmp_path: Path, cleaned: list[Service]
) -> None:
    """The commit that deleted it is not believed: the version is found as before, and nothing is rebuilt."""
    service = make_service(tmp_path / "svc")
    cleaned.append(service)
    well(service.nox("release"))
    lost = f"index/{service.name}/version/0/0.1.0"
    service.git("worktree", "add", "--quiet", str(tmp_path / "ledger"), BRANCH)
    tree = Service(folder=tmp_path / "ledger", name=service.name)
    (tree.folder / lost).unlink()
    tree.commit("tidy up")
    service.git("worktree", "remove", str(tmp_path / "ledger"))
    refused = service.invoke("ledger-rebuild", "--plan")
    assert refused.status == 1, refused.all
    assert f"{lost}: deleted" in refused.err
    assert "0.1.0" in well(service.invoke("show", "0.1.0")).out
