"""The whole path with the model service: release, deploy, change, release, deploy, roll back."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release.images.engine import Engine
from release.programs.process import output_of
from tests.engine import lab
from tests.engine.chain.test_release import pulled_manifest
from tests.engine.service import FILES, Ran, Service

ROOT = Path(__file__).parents[2]


def settings(registry: str, port: int, greeting: str) -> dict[str, Any]:
    """[tool.release] of the second repository."""
    return {
        "context": ".",
        "registry": registry,
        "ledger": {"remote": "origin"},
        "lint": {"tools": ["ruff==0.14.5"], "commands": ["ruff check .", "ruff format --check ."]},
        "lock": {"python": "3.13"},
        "build": {"target": "runtime"},
        "test": {"target": "test"},
        "smoke": {"port": 8000, "path": "/healthz", "memory": "256m"},
        "environments": {
            "production": {
                "publish": [f"127.0.0.1:{port}:8000"],
                "env": {"GREETING": greeting},
                "memory": "256m",
                "watch": "0s",
                "read_only": True,
                "tmpfs": ["/tmp"],
            }
        },
    }


@pytest.fixture
def service(tmp_path: Path, bare_remote: Path, engine: Engine) -> Iterator[Service]:
    """A copy of examples/api in a repository of its own, with the two small files."""
    folder = tmp_path / "second"
    ignore = shutil.ignore_patterns(".*_cache", "__pycache__")
    shutil.copytree(ROOT / "examples/api", folder, ignore=ignore)
    for name in ("noxfile.py", "tasks.py", ".gitignore"):
        (folder / name).write_text(FILES[name])
    made = Service(folder=folder, name=lab.unique("second"))
    made.git("init", "--quiet", "--initial-branch", "main")
    made.git("remote", "add", "origin", str(bare_remote))
    yield made
    lab.remove_service(engine, made.name)


def asked(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def well(ran: Ran) -> Ran:
    assert ran.status == 0, ran.all
    return ran


def test_a_rollback_brings_back_image_and_settings(
    service: Service, running_registry: lab.RunningRegistry
) -> None:
    """0.1.0 serves again with 0.1.0's settings; status, ledger, engine and registry name one digest."""
    registry, port = f"{running_registry.host}/{lab.unique()}", lab.free_port()
    service.configure(**settings(registry, port, "Hello"))
    service.commit("feat: greet")
    first = well(service.nox("release")).last_line
    assert first.startswith(f"{service.name} 0.1.0 {registry}/{service.name}@sha256:")
    well(service.invoke("deploy", "--to", "0.1.0", "--yes"))
    assert asked(port) == {"service": "api", "version": "0.1.0", "greeting": "Hello"}

    service.configure(**settings(registry, port, "Good evening"))
    main = (service.folder / "app/main.py").read_text()
    service.commit("feat: longer names", {"app/main.py": main.replace("Greet a guest", "Greet any guest")})
    well(service.nox("release"))
    well(service.invoke("deploy", "--to", "0.2.0", "--yes"))
    assert asked(port) == {"service": "api", "version": "0.2.0", "greeting": "Good evening"}

    well(service.invoke("rollback", "--to", "0.1.0", "--yes"))
    assert asked(port) == {"service": "api", "version": "0.1.0", "greeting": "Hello"}
    status = well(service.invoke("status", "--json")).document()
    digest = first.partition("@")[2]
    assert (status["running"]["digest"], status["drift"]) == (digest, [])

    name = f"{service.name}-production"
    container = json.loads(output_of(["docker", "inspect", name]))[0]
    assert container["Image"] == digest
    assert pulled_manifest(f"{registry}/{service.name}:0.1.0")[0] == digest

    old, new = (record["image"]["layers"] for record in service.records() if record["kind"] == "release")
    assert sum(left != right for left, right in zip(old, new, strict=True)) == 1
