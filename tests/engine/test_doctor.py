"""Broken set-ups that need a real engine or a real registry, each mended by the hint of the doctor."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.service import Service, make_service

PRODUCTION = {"publish": ["127.0.0.1:8080:8000"]}


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = make_service(tmp_path / "service", environments={"production": PRODUCTION})
    made.commit("build: ignore nothing")
    return made


def findings(service: Service, **environ: str) -> dict[str, dict[str, Any]]:
    """Return the findings of the doctor by their names."""
    return {each["name"]: each for each in service.invoke("doctor", "--json", **environ).document()}


def test_a_network_and_a_volume_that_are_missing(service: Service) -> None:
    """The hint makes them."""
    name = lab.unique("doctor")
    settings = {**PRODUCTION, "networks": [name], "volumes": [f"{name}:/data"]}
    service.configure(environments={"production": settings})
    ill = findings(service)["production: settings"]
    assert ill["state"] == "not ok"
    try:
        subprocess.run(["sh", "-ec", ill["hint"]], check=True, capture_output=True)
        assert findings(service)["production: settings"]["state"] == "ok"
    finally:
        subprocess.run(["docker", "network", "rm", name], check=False, capture_output=True)
        subprocess.run(["docker", "volume", "rm", name], check=False, capture_output=True)


def test_an_engine_at_another_address(service: Service) -> None:
    """Nothing answers there; the right address mends it."""
    service.configure(environments={"production": {**PRODUCTION, "host": "tcp://127.0.0.1:9"}})
    assert findings(service)["production: engine"]["state"] == "not ok"
    service.configure(environments={"production": PRODUCTION})
    assert findings(service)["production: engine"]["state"] == "ok"


def test_a_base_image_that_is_nowhere(service: Service, engine: Engine) -> None:
    """Neither in its registry nor in the engine."""
    name = f"127.0.0.1:9/{lab.unique('base')}:1"
    dockerfile = (service.folder / "Dockerfile").read_text()
    service.commit("build: base", {"Dockerfile": dockerfile.replace(lab.SMALL_IMAGE, name)})
    ill = findings(service)[f"base {name}"]
    assert (ill["state"], f"docker pull {name}" in ill["hint"]) == ("not ok", True)
    subprocess.run(["docker", "tag", lab.SMALL_IMAGE, name], check=True)
    try:
        assert findings(service)[f"base {name}"]["state"] == "ok"
    finally:
        subprocess.run(["docker", "rmi", name], check=True, capture_output=True)


def test_a_machine_without_the_docker_command(service: Service, tmp_path: Path) -> None:
    """It is said before anything is built; the program on the path mends it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "sh"):
        (programs / name).symlink_to(shutil.which(name) or "")
    ill = findings(service, PATH=str(programs))["builder"]
    assert (ill["state"], "docker-buildx" in ill["hint"]) == ("not ok", True)
    well = findings(service)
    assert well["builder"]["state"] == well["builder: build"]["state"] == "ok"


def test_the_rights_in_a_real_registry_are_proved_and_nothing_stays(service: Service, registry: str) -> None:
    """The scratch tag is pushed, pulled and removed."""
    service.configure(registry=f"{registry}/acme", environments={"production": PRODUCTION})
    found = findings(service)["registry: rights"]
    assert found["state"] == "ok", found
    assert "stays" not in found["found"]
    from release.images.registry import Registry
    from release.reference import Repository

    assert "release-doctor" not in Registry(Repository(f"{registry}/acme/{service.name}")).tags()
