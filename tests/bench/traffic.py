"""Deploy and rollback under steady load: behind each proxy, and stop-first beside docker by hand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from release.images.engine import Engine
from release.programs.process import output_of
from tests.bench.measure import table
from tests.engine import lab
from tests.engine.deploy.traffic.edge import APP, KINDS, Kind, edge
from tests.engine.deploy.traffic.load import Load
from tests.engine.deploy.world import World

RUNS: Final = 5
_QUIET_SECONDS: Final = 2.0
_BESIDE_SECONDS: Final = 1.0


def rows(_store: Path, room: Path) -> str:
    """Both tables."""
    with Engine.connect() as engine:
        proxied = [row for kind in KINDS for row in _behind(engine, kind, room / str(kind))]
        alone = _alone(engine, room / "alone")
    head = ["", "requests", "failed", "made again", "longest gap, ms", "the same with nothing going on"]
    return (
        table(head, proxied) + "\n" + table(["with a port of its own", "nobody answers, ms", "ratio"], alone)
    )


def _behind(engine: Engine, kind: Kind, room: Path) -> list[list[str]]:
    """One row for deployments, one for rollbacks."""
    room.mkdir(parents=True)
    world = World(root=room / "service", engine=engine, app=APP)
    with edge(world, kind, room / "edge") as stand:
        stand.configure(freeze_after_rollback='"0s"')
        _released(world)
        _done(world, "deploy", "--to", "0.1.0")
        loads: dict[str, list[Load]] = {"deploy": [], "rollback": [], "a container beside it,": []}
        beside = partial(_beside, stand.network, world.images[0])
        quiet = [_loaded(stand.port, lambda: time.sleep(_QUIET_SECONDS)) for _ in range(RUNS)]
        for _ in range(RUNS):
            loads["deploy"].append(
                _loaded(stand.port, lambda: _done(world, "deploy", "--to", "0.2.0", "--allow-quarantined"))
            )
            loads["rollback"].append(_loaded(stand.port, lambda: _done(world, "rollback", "--to", "0.1.0")))
            loads["a container beside it,"].append(_loaded(stand.port, beside))
        return [_row(f"{verb} behind {kind}", seen, quiet) for verb, seen in loads.items()]


def _beside(network: str, image: str) -> None:
    """A container that has nothing to do with it comes and goes."""
    name = lab.unique("beside")
    output_of(["docker", "run", "--detach", "--name", name, "--network", network, image])
    time.sleep(_BESIDE_SECONDS)
    output_of(["docker", "stop", name])
    output_of(["docker", "rm", name])


def _released(world: World) -> None:
    for version in ("0.1.0", "0.2.0"):
        world.release(version)


def _done(world: World, *words: str) -> None:
    ended = world.invoke(*words, "--yes", "--message", "bench")
    assert ended.status == 0, ended.err


def _loaded(port: int, action: Callable[[], object]) -> Load:
    load = Load(port=port, comes_first=os.geteuid() == 0)
    with load.going_on():
        action()
    return load


def _row(name: str, loads: list[Load], quiet: list[Load]) -> list[str]:
    return [
        name,
        f"{sum(len(load.answered) for load in loads):,}",
        str(sum(len(load.failed) for load in loads)),
        str(sum(load.reopened for load in loads)),
        _gaps(loads),
        _gaps(quiet),
    ]


def _gaps(loads: list[Load]) -> str:
    """The median, and the smallest and the largest of the runs."""
    gaps = [load.gap for load in loads]
    return f"{median(gaps):.1f} ({min(gaps):.1f}-{max(gaps):.1f})"


def _alone(engine: Engine, room: Path) -> list[list[str]]:
    """Stop-first, in turns with `docker stop` and `docker run` of the same images by hand."""
    room.mkdir(parents=True)
    world = World(root=room / "service", engine=engine, app=APP)
    world.configure(freeze_after_rollback='"0s"')
    try:
        _released(world)
        hand = Hand(world)
        _done(world, "deploy", "--to", "0.1.0")
        hand.swap("0.1.0")
        seen: dict[str, list[float]] = {"`docker stop`, `docker run` by hand": [], "`invoke deploy`": []}
        for run in range(RUNS):
            version = ("0.2.0", "0.1.0")[run % 2]
            by_hand, ours = seen.values()
            by_hand.append(_loaded(hand.port, partial(hand.swap, version)).gap)
            words = ("deploy", "--to", version, "--allow-quarantined")
            ours.append(_loaded(world.port, partial(_done, world, *words)).gap)
        base = median(seen["`docker stop`, `docker run` by hand"])
        return [
            [name, f"{median(gaps):.0f} ({min(gaps):.0f}-{max(gaps):.0f})", f"{median(gaps) / base:.2f}"]
            for name, gaps in seen.items()
        ]
    finally:
        output_of(["docker", "rm", "--force", f"{world.service}-by-hand"])
        world.clean()


class Hand:
    """The same service, swapped as one does at a terminal."""

    def __init__(self, world: World) -> None:
        """A port and a name beside those of the service."""
        self.name, self.port = f"{world.service}-by-hand", lab.free_port()
        self.images = dict(zip(("0.1.0", "0.2.0"), world.images, strict=True))

    def swap(self, version: str) -> None:
        """Stop and remove what runs, run the other image, and wait until it answers."""
        output_of(["sh", "-c", f"docker stop {self.name} && docker rm {self.name} || true"])
        publish = f"127.0.0.1:{self.port}:8000"
        output_of(
            ["docker", "run", "--detach", "--name", self.name, "--publish", publish, self.images[version]]
        )
        while not Load(port=self.port).answers():
            time.sleep(0.02)
