"""From a repository without any of our files to a release, with no file edited by hand."""

from __future__ import annotations

import sys
from pathlib import Path

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.service import Service
from tests.unit.init.repositories import FASTAPI

EXAMPLE = Path(__file__).parents[2] / "examples/api"


def test_three_commands_make_a_release(tmp_path: Path, engine: Engine) -> None:
    """`init --yes`, `git commit`, `nox -s release`: a FastAPI service with a compiled requirements.txt."""
    service = Service(folder=tmp_path / "service", name=lab.unique("init"))
    service.folder.mkdir()
    service.git("init", "--quiet", "--initial-branch", "main")
    locked = {name: (EXAMPLE / name).read_text() for name in ("requirements.in", "requirements.txt")}
    named = {"pyproject.toml": f'[project]\nname = "{service.name}"\nversion = "0"\n'}
    service.commit("feat: greet", {**FASTAPI, **locked, **named})
    try:
        ready = service.run(sys.executable, "-m", "release", "init", "--yes")
        assert ready.status == 0, ready.all
        service.commit("build: release with nox")
        ran = service.nox("release")
        assert ran.status == 0, ran.all
        assert ran.last_line.startswith(f"{service.name} 0.1.0 localhost/{service.name}@sha256:"), ran.all
        assert "/healthz answered 200 OK" in ran.err
        assert "1 passed" in ran.err
        assert service.run(sys.executable, "-m", "invoke", "init", "--check").status == 0
    finally:
        lab.remove_service(engine, service.name)
