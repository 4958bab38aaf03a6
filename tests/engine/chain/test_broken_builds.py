"""A build that the engine breaks off is made again; one that the Dockerfile ends is not."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.test_release import nothing_happened, released
from tests.engine.service import DOCKERFILE, Ran, Service, slow_dockerfile
from tests.engine.way import way

SLEEP: Final = "RUN sleep 3"


def log_of(service: Service) -> str:
    """What BuildKit has said, while it works."""
    return "".join(log.read_text() for log in sorted((service.folder / ".release/runs").glob("*/build.log")))


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
    assert "BuildKit failed outside the Dockerfile" in log_of(service)
    assert len(service.records()) == 1


STEPS: Final = "".join(f"RUN true {number}\n" for number in range(9))
"""With these BuildKit writes numbers of two digits, and pads the others."""

END: Final = "USER 10001"


class Wrong(NamedTuple):
    """A commit that cannot be built, and what its reader does by the hint."""

    files: Mapping[str, str]
    found: str
    hint: str
    mended: Mapping[str, str]
    settings: Mapping[str, Any] = {}
    mended_settings: Mapping[str, Any] = {}


def dockerfile(instruction: str) -> str:
    """The service's own, with an instruction in its released stage."""
    return DOCKERFILE.replace(END, f"{instruction}\n{END}")


WRONG: Final = {
    "a program": Wrong(
        files={"Dockerfile": dockerfile(f"{STEPS}RUN echo so long && exit 3")},
        found="`RUN echo so long && exit 3` failed",
        hint="correct line 18 of Dockerfile",
        mended={"Dockerfile": dockerfile(f"{STEPS}RUN echo so long")},
    ),
    "a source that is not committed": Wrong(
        files={"Dockerfile": dockerfile("COPY data/table.csv /srv/")},
        found="the context does not contain data/table.csv",
        hint="commit data/table.csv; or correct line 9 of Dockerfile",
        mended={"data/table.csv": "1\n"},
    ),
    "a source that is ignored": Wrong(
        files={
            "Dockerfile": dockerfile("COPY table.csv /srv/"),
            "table.csv": "1\n",
            ".dockerignore": "*.csv\n",
        },
        found="the context does not contain table.csv",
        hint="remove table.csv from .dockerignore, because the file is committed",
        mended={".dockerignore": ""},
    ),
    "a stage that does not exist": Wrong(
        files={},
        settings={"build": {"target": "runtmie"}},
        found="Dockerfile has no stage 'runtmie'",
        hint="set `build.target` to one of its stages: source, runtime, test",
        mended={},
        mended_settings={"build": {"target": "runtime"}},
    ),
    "a frontend that cannot be fetched": Wrong(
        files={"Dockerfile": f"# syntax=127.0.0.1:9/docker/dockerfile:1\n{DOCKERFILE}"},
        found="the lookup of the image of its `# syntax=` line, 127.0.0.1:9/docker/dockerfile:1, failed",
        hint="remove the `# syntax=` line of Dockerfile",
        mended={"Dockerfile": DOCKERFILE},
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_the_hint_of_a_failed_build_mends_it(make: Make, kind: str) -> None:
    """It is built once (what is looked up: three times), it names the reason, and who follows it builds."""
    wrong = WRONG[kind]
    service = make(files=wrong.files)
    service.configure(**wrong.settings)
    service.commit("feat: something wrong")
    ran = service.nox("build")
    assert ran.status == 1, ran.all
    assert wrong.found in ran.err
    assert f"→ {wrong.hint}" in ran.err
    assert "--no-cache" not in ran.err
    looked_up = kind == "a frontend that cannot be fetched"
    assert log_of(service).count("$ docker buildx build") == (3 if looked_up else 1)
    service.configure(**wrong.mended_settings)
    service.commit("fix: by the hint", wrong.mended)
    mended = service.nox("build")
    assert mended.status == 0, mended.all


def test_a_build_that_its_dockerfile_ends_is_made_once(make: Make, engine: Engine) -> None:
    """A program that fails, fails again. Its log has BuildKit's usual lines, not the structured ones."""
    service = make(files={"Dockerfile": dockerfile(f"{STEPS}RUN echo it is $((6 * 7)) && exit 3")})
    ran = service.nox("build")
    assert ran.status == 1
    assert "the image could not be built" in ran.err
    log = log_of(service)
    assert log.count("$ docker buildx build") == 1
    assert '"vertexes"' not in log + ran.err
    assert re.search(r"^#\d+ \[runtime 13/13\] RUN echo", log, re.MULTILINE)
    assert re.search(r"^#\d+ \d+\.\d+ it is 42$", log, re.MULTILINE)
    assert "it is 42" in ran.err
    nothing_happened(service, engine)


WAITING: Final = """\
import glob, sys, time
while not any("%s" in open(log).read() for log in glob.glob("%s/.release/runs/*/build.log")):
    time.sleep(0.1)
sys.exit("the style is wrong")
"""
"""A linter that fails in the middle of the build's step."""


def test_what_was_being_built_stays_when_another_gate_fails(make: Make) -> None:
    """The failure is told, the step that runs is finished, and the next build takes it from the cache."""
    files = {"Dockerfile": slow_dockerfile(SLEEP, before="USER 10001")}
    service = make(files=files)
    service.configure(lint={"commands": ["python3 wait.py"]})
    service.commit("feat: style", {"wait.py": WAITING % (SLEEP, service.folder)})
    ran = service.nox("check")
    assert ran.status == 1
    assert "the style is wrong" in ran.err
    steps = re.findall(rf"^#(\d+) \[.*\] {SLEEP}", log_of(service), re.MULTILINE)
    assert any(re.search(rf"^#{step} DONE ", log_of(service), re.MULTILINE) for step in steps)
    before = len(log_of(service))
    again = service.nox("build")
    assert again.status == 0, again.all
    steps = re.findall(rf"^#(\d+) \[.*\] {SLEEP}", log_of(service)[before:], re.MULTILINE)
    assert any(re.search(rf"^#{step} CACHED$", log_of(service)[before:], re.MULTILINE) for step in steps)
