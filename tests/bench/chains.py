"""The chain beside its own critical path, the same six steps in a shell script, and the plain chain.

Each competitor has a clone of examples/api, a registry with nothing in it and a bare git remote of its own. A
nonce in each Dockerfile keeps the competitors from finding each other's layers in the build cache.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from release.programs.process import output_of
from tests.bench.measure import Figure, table
from tests.engine import lab
from tests.engine.service import Service, make_service

RUNS: Final = 3
SUITES: Final = (1, 10)
"""Seconds that the tests in the image take."""
EXAMPLE: Final = Path("examples/api")
EXTRA: Final = ("tzdata==2025.1", "tzdata==2025.2")
"""The dependency that is changed: from, to."""
LINT: Final = {"tools": ["ruff==0.14.5"], "commands": ["ruff check .", "ruff format --check ."]}
ALWAYS_TESTED: Final = ("test", "smoke", "push")

SLOW: Final = """\
import time


def test_the_rest_of_the_suite() -> None:
    time.sleep({seconds})
"""

_COMPILE: Final = (
    *("uv", "pip", "compile", "--quiet", "--no-header", "--universal", "--python-version", "3.13"),
    *("--generate-hashes", "requirements.in", "--output-file", "requirements.txt"),
)

SHELL: Final = """\
set -eu
export UV_PYTHON={python} UV_PYTHON_DOWNLOADS=never  # none is fetched to resolve for it
cp requirements.txt "$SCRATCH/requirements.txt"
cp requirements.in "$SCRATCH/requirements.in"
(cd "$SCRATCH" && {compile})
cmp requirements.txt "$SCRATCH/requirements.txt"
uvx --quiet ruff==0.14.5 check --quiet .
uvx --quiet ruff==0.14.5 format --quiet --check .
docker buildx build --quiet --provenance=false --sbom=false --target runtime --build-arg "VERSION=$1" \\
    --build-arg "COMMIT=$(git rev-parse HEAD)" --tag "$IMAGE:$1" .
docker buildx build --quiet --provenance=false --sbom=false --target test --build-arg "VERSION=$1" \\
    --build-arg "COMMIT=$(git rev-parse HEAD)" --tag "$IMAGE-test:$1" .
docker run --rm "$IMAGE-test:$1" python -m pytest -q
container=$(docker run --detach --read-only --tmpfs /tmp --memory 256m --publish 127.0.0.1::8000 "$IMAGE:$1")
address=$(docker port "$container" 8000)
until curl --silent --fail --output /dev/null "http://$address/healthz"; do sleep 0.05; done
docker stop "$container"
docker rm "$container"
docker push --quiet "$IMAGE:$1"
git tag "v$1"
git push --quiet origin main "v$1"
"""

PLAIN: Final = """\
set -eu
docker build --quiet --target test --tag "$IMAGE:$1" .
docker run --rm "$IMAGE:$1" python -m pytest -q
docker push --quiet "$IMAGE:$1"
"""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the example is made of in one run: what its build cache cannot know, and its dependency."""

    nonce: str
    suite: int
    requirements: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Competitor:
    """A way to release, in a clone of its own; `release` takes the number of the version."""

    name: str
    service: Service
    release: Callable[[Service, int], None]

    def timed(self, number: int) -> float:
        """Seconds from command to end."""
        began = time.perf_counter()
        self.release(self.service, number)
        return time.perf_counter() - began


# --- the example


def example() -> dict[str, str]:
    """The example's files, below the root of the repository that they are put into."""
    tracked = output_of(["git", "ls-files", str(EXAMPLE)]).split()
    found = {str(Path(path).relative_to(EXAMPLE)): Path(path).read_text() for path in tracked}
    return {"app.py": "", "test.py": "", **found}


def files(shape: Shape) -> dict[str, str]:
    """The example's files in this shape."""
    found = example()
    found["Dockerfile"] = _with_nonce(found["Dockerfile"], shape.nonce)
    found["tests/test_rest.py"] = SLOW.format(seconds=shape.suite)
    return {**found, **shape.requirements, "README.md": "bench\n"}


def _with_nonce(dockerfile: str, nonce: str) -> str:
    """No layer and no package cache of an earlier run fits this one."""
    lines = [
        f"{line}\nENV NONCE={nonce}" if line.startswith("FROM python:") else line
        for line in dockerfile.splitlines()
    ]
    return "\n".join(lines).replace("type=cache,", f"type=cache,id=bench-{nonce},") + "\n"


def compiled(room: Path, extra: str) -> dict[str, str]:
    """requirements.in with one more line, and the requirements.txt that it makes."""
    room.mkdir()
    source = (EXAMPLE / "requirements.in").read_text() + f"{extra}\n"
    (room / "requirements.in").write_text(source)
    shutil.copy(EXAMPLE / "requirements.txt", room)
    subprocess.run(_COMPILE, cwd=room, check=True)
    return {"requirements.in": source, "requirements.txt": (room / "requirements.txt").read_text()}


def settings() -> dict[str, Any]:
    """`[tool.release]` of the example."""
    return {
        "lock": {"python": "3.13"},
        "lint": LINT,
        "build": {"target": "runtime"},
        "test": {"target": "test", "command": ["python", "-m", "pytest", "-q"]},
        "smoke": {"port": 8000, "path": "/healthz", "memory": "256m"},
    }


# --- the competitors


def library(service: Service, _number: int) -> None:
    """`nox -s release`, the version from the commits."""
    ran = service.nox("release")
    assert ran.status == 0, ran.all


def script(text: str, image: str, scratch: Path, service: Service, number: int) -> None:
    """A shell script that is given a version."""
    ran = service.run("sh", "-c", text, "bench", f"1.0.{number}", IMAGE=image, SCRATCH=str(scratch))
    assert ran.status == 0, ran.all


@contextmanager
def competitors(room: Path, shape: Shape) -> Iterator[dict[str, Competitor]]:
    """The three of them, each with a registry, a remote and a clone with one commit."""
    shell = SHELL.format(compile=" ".join(_COMPILE), python=sys.executable)
    with ExitStack() as stack:
        made: dict[str, Competitor] = {}
        for name in ("chain", "script", "plain"):
            own, nonce = room / name, f"{shape.nonce}-{name}"
            registry = stack.enter_context(lab.running_registry(own / "registry")).host
            service = _service(
                own, Shape(nonce=nonce, suite=shape.suite, requirements=shape.requirements), registry
            )
            stack.callback(_remove_images, f"{registry}/{service.name}")
            (own / "scratch").mkdir()
            image = f"{registry}/{service.name}"
            releases: dict[str, Callable[[Service, int], None]] = {
                "chain": library,
                "script": partial(script, shell, image, own / "scratch"),
                "plain": partial(script, PLAIN, image, own / "scratch"),
            }
            made[name] = Competitor(name=name, service=service, release=releases[name])
        yield made


def _service(own: Path, shape: Shape, registry: str) -> Service:
    remote = lab.make_bare_remote(own / "remote.git")
    return make_service(own / "clone", remote=remote, files=files(shape), registry=registry, **settings())


def _remove_images(image: str) -> None:
    listed = output_of(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"]).split()
    tests = f"localhost/release-test/{image.rpartition('/')[2]}:"
    ours = [name for name in listed if name.startswith((f"{image}:", f"{image}-test:", tests))]
    if ours:
        output_of(["docker", "rmi", "--force", *ours])


# --- the rows


def _change(service: Service, files: Mapping[str, str]) -> None:
    service.commit("fix: change something", files)


CHANGES: Final[Mapping[str, Callable[[int, Mapping[str, str]], Mapping[str, str]]]] = {
    "cold": lambda _, __: {},
    "dependency change": lambda _, requirements: requirements,
    "source change": lambda number, _: {"app/extra.py": f'"""Extra."""\n\nNUMBER = {number}\n'},
    "nothing changed": lambda _, __: {},
}
"""What each row commits before it releases; nothing changed is an empty commit, which is a new version."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one row took: seconds of each competitor, and where those of the chain went."""

    took: Mapping[str, list[float]]
    over: list[float]
    """Seconds of the whole chain beyond its own critical path."""
    stages: list[Mapping[str, float]]


def measured(room: Path, suite: int) -> dict[str, Row]:
    """All rows for one length of the suite."""
    requirements = [compiled(room / f"requirements-{place}", extra) for place, extra in enumerate(EXTRA)]
    rows = {name: Row(took={"chain": [], "script": [], "plain": []}, over=[], stages=[]) for name in CHANGES}
    for run in range(RUNS):
        shape = Shape(nonce=lab.unique("nonce"), suite=suite, requirements=requirements[0])
        with competitors(room / f"run-{run}", shape) as who:
            for number, (name, change) in enumerate(CHANGES.items()):
                _turn(rows[name], who, number, lambda: change(number, requirements[1]))  # noqa: B023
        shutil.rmtree(room / f"run-{run}")
    return rows


def _turn(
    row: Row, who: Mapping[str, Competitor], number: int, change: Callable[[], Mapping[str, str]]
) -> None:
    """One release by each of them, one after the other."""
    for name, competitor in who.items():
        if number > 0:
            _change(competitor.service, change())
        seconds = competitor.timed(number)
        row.took[name].append(seconds)
        if name == "chain":
            stages = _stages(competitor.service)
            row.stages.append(stages)
            row.over.append(seconds - critical(stages))


def _stages(service: Service) -> dict[str, float]:
    """Seconds of every stage of the last release, from its record."""
    releases = [record for record in service.records() if record["kind"] == "release"]
    return {gate["name"]: gate["duration_ms"] / 1000 for gate in releases[-1]["gates"]}


def critical(stages: Mapping[str, float]) -> float:
    """Seconds of the critical path: the build, and the slowest of those that wait for it alone."""
    return stages["build"] + max(stages[name] for name in ALWAYS_TESTED)


# --- the page

STAGES: Final = ("lock", "lint", "build", "test", "smoke", "push")


def rows(_store: Path, room: Path) -> str:
    """Both suites, each with its ratios, and where the chain's seconds went."""
    parts = []
    for suite in SUITES:
        (folder := room / f"suite-{suite}").mkdir()
        found = measured(folder, suite)
        parts += [
            f"### A suite of {suite} s\n",
            _ratios(found),
            "Where the chain's seconds go:\n",
            _seconds(found),
        ]
    return "\n".join(parts)


def _ratios(found: Mapping[str, Row]) -> str:
    head = ("", "chain", "beyond its path", "script", "chain : script", "plain", "chain : plain")
    return table(head, [[name, *_cells(row)] for name, row in found.items()])


def _cells(row: Row) -> list[str]:
    figures = {name: Figure(runs=tuple(values)) for name, values in row.took.items()}
    over = Figure(runs=tuple(row.over))
    return [
        str(figures["chain"]),
        str(over),
        str(figures["script"]),
        paired(row.took["chain"], row.took["script"]),
        str(figures["plain"]),
        paired(row.took["chain"], row.took["plain"]),
    ]


def paired(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The median of the ratios of each turn, and the range of all of them."""
    ratios = sorted(own / other for own, other in zip(ours, theirs, strict=True))
    return f"{Figure(runs=tuple(ratios)).median:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"


def _seconds(found: Mapping[str, Row]) -> str:
    return table(
        ("", *STAGES, "everything else on the path"),
        [
            [name, *(str(_of(row, stage)) for stage in STAGES), str(Figure(runs=tuple(row.over)))]
            for name, row in found.items()
        ],
    )


def _of(row: Row, stage: str) -> Figure:
    return Figure(runs=tuple(stages[stage] for stages in row.stages))
