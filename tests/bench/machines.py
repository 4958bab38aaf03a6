"""A machine of CI: an engine without a build cache, with and without the cache of the job before.

Each turn empties the builder and removes the images of the service; the base image stays. Then only a source
file changes. The engine is one of its own, because emptying it would disturb the machine's.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from release.images.engine import Engine
from release.programs.environment import ENGINE
from release.programs.process import Command, run
from tests.bench import chains
from tests.bench.measure import Figure, table
from tests.engine import lab
from tests.engine.service import Service, make_service

RUNS: Final = 5
SHAPES: Final = {
    "the example, a suite of 1 s": (0, 1),
    "dependencies of 30 s, a suite of 10 s": (30, 10),
}
"""Seconds of the dependencies and of the suite."""

COLD: Final = """\
set -eu
docker build --quiet --provenance=false --target test --tag "$IMAGE:$1" .
docker run --rm "$IMAGE:$1" python -m pytest -q
docker push --quiet "$IMAGE:$1"
"""
CACHED: Final = COLD.replace("--target", '--cache-from "type=registry,ref=$IMAGE:cache" --target')
EXPORT: Final = """\
docker build --quiet --target test --output type=cacheonly \\
    --cache-to "type=registry,ref=$IMAGE:cache,mode=max,image-manifest=true" .
"""


def rows(_store: Path, room: Path) -> str:
    """Both services, and the release of a checked tree."""
    with lab.cold_engine(room / "engine") as engine:
        lab.copy_image(lab.BASE_IMAGE, source=Engine.connect(), target=engine)
        parts = [table(_HEAD, [_row(room, engine, name, *SHAPES[name]) for name in SHAPES])]
        checked = _checked_tree(room / "checked", engine)
    parts.append(table(("", "ms"), [["release of a checked tree", str(checked)]]))
    lab.remove_folder(room / "engine")
    return "\n".join(parts)


_HEAD: Final = (
    "",
    "chain: result",
    "chain: end",
    "script, no cache",
    "script, `--cache-from`",
    "result : no cache",
    "end : no cache",
    "result : `--cache-from`",
    "end : `--cache-from`",
)


def _row(room: Path, engine: Engine, name: str, dependencies: int, suite: int) -> list[str]:
    took: dict[str, list[float]] = {"result": [], "end": [], "cold": [], "cached": []}
    own = room / str(dependencies)
    with _services(own, engine, dependencies, suite) as (services, images):
        ways: dict[str, Callable[[int], float]] = {
            "end": lambda number: _chain(services["end"], took["result"], number),
            "cold": lambda number: _script(services["cold"], COLD, images["cold"], number),
            "cached": lambda number: _script(services["cached"], CACHED, images["cached"], number),
        }
        ways["end"](0)
        _script(services["cached"], EXPORT, images["cached"], 0)
        took["result"].clear()
        for number in range(1, RUNS + 1):
            for way, action in ways.items():
                _changed(services[way], number)
                _empty(engine)
                took[way].append(action(number))
            sys.stderr.write(f"{name}, turn {number}: {took}\n")
    shutil.rmtree(own)
    figures = [str(Figure(runs=tuple(took[way]))) for way in ("result", "end", "cold", "cached")]
    pairs = [(ours, theirs) for theirs in ("cold", "cached") for ours in ("result", "end")]
    return [name, *figures, *(chains.paired(took[ours], took[theirs]) for ours, theirs in pairs)]


@contextmanager
def _services(
    own: Path, engine: Engine, dependencies: int, suite: int
) -> Iterator[tuple[Mapping[str, Service], Mapping[str, str]]]:
    """A clone, a registry and a remote for each way."""
    with ExitStack() as stack:
        services, images = {}, {}
        for way in ("end", "cold", "cached"):
            registry = stack.enter_context(lab.running_registry(own / way / "registry")).host
            services[way] = _service(own / way, engine, registry, dependencies, suite)
            images[way] = f"{registry}/{services[way].name}"
        yield services, images


def _service(own: Path, engine: Engine, registry: str, dependencies: int, suite: int) -> Service:
    shape = chains.Shape(nonce=lab.unique("nonce"), suite=suite, requirements={})
    files = chains.files(shape)
    pip = "RUN --mount=type=cache"
    wait = f"RUN sleep {dependencies}\n" if dependencies else ""
    files["Dockerfile"] = files["Dockerfile"].replace(pip, f"{wait}{pip}", 1)
    remote = lab.make_bare_remote(own / "remote.git")
    made = make_service(own / "clone", remote=remote, files=files, registry=registry, **chains.settings())
    return replace(made, environ={**made.environ, **engine.command_environment(), "CI": "true"})


def _changed(service: Service, number: int) -> None:
    service.commit("fix: change", {"app/extra.py": f'"""Extra."""\n\nNUMBER = {number}\n'})


def _empty(engine: Engine) -> None:
    """The builder has nothing, and the engine the base image alone."""
    environ = engine.command_environment()
    run(Command(argv=("docker", "buildx", "prune", "--all", "--force"), env=environ, inherits=ENGINE))
    argv = ("docker", "images", "--format", "{{.Repository}}:{{.Tag}}")
    listed = run(Command(argv=argv, env=environ, inherits=ENGINE)).output.split()
    if own := [name for name in listed if name != lab.BASE_IMAGE]:
        run(Command(argv=("docker", "rmi", "--force", *own), env=environ, inherits=ENGINE))


def _chain(service: Service, results: list[float], _number: int) -> float:
    """Seconds of the whole command; those until its result is written go to `results`."""
    began, wall = time.perf_counter(), time.time()
    ran = service.nox("release")
    seconds = time.perf_counter() - began
    assert ran.status == 0, ran.all
    written = service.folder / ".release/reports" / service.name / "release.env"
    results.append(written.stat().st_mtime - wall)
    return seconds


def _script(service: Service, text: str, image: str, number: int) -> float:
    began = time.perf_counter()
    ran = service.run("sh", "-c", text, "bench", f"1.0.{number}", IMAGE=image)
    assert ran.status == 0, ran.all
    return time.perf_counter() - began


def _checked_tree(own: Path, engine: Engine) -> Figure:
    """A release after the merge of a pull request that the machine's own engine has checked."""
    key, took = own / "key", list[float]()
    own.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with lab.running_registry(own / "registry") as registry:
        service = _service(own, engine, registry.host, 0, 1)
        signers = f"ci@example.org {key.with_suffix('.pub').read_text()}"
        service.configure(
            registry=registry.host, reuse={"trusted_signers": "signers"}, **chains.settings(), **_LEDGER
        )
        service.commit("feat: trust", {"signers": signers})
        service.git("push", "--quiet", "origin", "main")
        for name, value in {"gpg.format": "ssh", "user.signingKey": str(key)}.items():
            service.git("config", name, value)
        other = service.clone(own / "other")
        for number in range(RUNS + 1):
            _merge_checked(service, number)
            other.git("pull", "--quiet")
            _empty(engine)
            took.append(_chain(other, [], number))
            sys.stderr.write(f"a checked tree, turn {number}: {took}\n")
        signed = [gate.get("signed_by") for gate in other.records()[-1]["gates"] if gate["name"] == "test"]
        assert signed != [None], "the check was not used"
    return Figure(runs=tuple(took[1:]))


_LEDGER: Final = {"ledger": {"remote": "origin"}}


def _merge_checked(service: Service, number: int) -> None:
    service.git("checkout", "--quiet", "-B", "topic")
    _changed(service, number)
    ran = service.nox("check")
    assert ran.status == 0, ran.all
    service.git("checkout", "--quiet", "main")
    service.git("merge", "--quiet", "--no-ff", "--message", "Merge the topic", "topic")
    service.git("push", "--quiet", "origin", "main")
