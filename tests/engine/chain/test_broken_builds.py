"""A build that the engine breaks off is made again; one that the Dockerfile ends is not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.test_release import nothing_happened, released
from tests.engine.service import DOCKERFILE, Ran, Service, slow_dockerfile
from tests.engine.way import way

SLEEP: Final = "RUN sleep 3"


def log_of(service: Service) -> str:
    """What BuildKit has said, while it works."""
    return "".join(log.read_text() for log in (service.folder / ".release/runs").glob("*/build.log"))


def test_a_build_that_the_engine_broke_off_is_made_again(make: Make, engine: Engine, tmp_path: Path) -> None:
    """BuildKit's connection ends in the middle of an instruction: it is said, and one release is there."""
    with way(tmp_path, engine) as there:
        service = make(
            files={"Dockerfile": slow_dockerfile(SLEEP, before="USER 10001")},
            environ={"DOCKER_HOST": there.address},
        )
        with service.start(sys.executable, "-m", "nox", "-s", "release") as process:
            lab.eventually(lambda: SLEEP in log_of(service), what="the build", seconds=100)
            there.cut()
            out, err = process.communicate(timeout=200)
        ran = Ran(status=process.returncode, out=out, err=err)
        released(ran)
    assert "BuildKit failed outside of the Dockerfile" in log_of(service)
    assert len(service.records()) == 1


def test_a_build_that_its_dockerfile_ends_is_made_once(make: Make, engine: Engine) -> None:
    """A program that fails, fails again."""
    service = make(files={"Dockerfile": DOCKERFILE.replace("USER 10001", "RUN false\nUSER 10001")})
    ran = service.nox("build")
    assert ran.status == 1
    assert "the image could not be built" in ran.err
    assert log_of(service).count("$ docker buildx build") == 1
    nothing_happened(service, engine)
