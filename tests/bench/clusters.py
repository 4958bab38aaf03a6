"""A rollback in a namespace beside `kubectl rollout undo`, and beside Helm if it is installed."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from release.images.engine import Engine
from release.programs.process import output_of
from tests.bench.measure import Figure, table
from tests.engine import lab
from tests.lab.kubernetes.world import ClusterWorld

RUNS: Final = 9
VERSIONS: Final = ("0.1.0", "0.2.0")
OURS: Final = "`invoke rollback`"
UNDO: Final = "`kubectl rollout undo`, `kubectl rollout status`"
HELM: Final = "`helm rollback --wait`"
RIVAL: Final = "by-hand"
CHARTED: Final = "by-helm"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One rollback, in seconds."""

    verified: float
    rollout: float
    """From the first change of an object until it was verified."""
    end: float


def rows(_store: Path, room: Path) -> str:
    """All of them in turns, each with a Deployment of its own of the same pods."""
    took: dict[str, list[Turn]] = {}
    with _world(room) as world:
        ways = {OURS: _rolled_back, UNDO: _undone}
        _begin_by_hand(world)
        if shutil.which("helm"):
            _begin_by_helm(world, room / "chart")
            ways[HELM] = _helm_rolled_back
        for run in range(-1, RUNS):  # the first counts for nobody
            for name, way in ways.items():
                turn = way(world, run + 1)
                took.setdefault(name, []).extend([turn] if run >= 0 else [])
        version = json.loads(world.kubectl("version", "--output", "json"))["serverVersion"]["gitVersion"]
    figures = {
        name: [
            Figure(runs=tuple(getattr(turn, key) for turn in turns)) for key in ("verified", "rollout", "end")
        ]
        for name, turns in took.items()
    }
    base = figures[UNDO][0].median
    load = f"Kubernetes {version}. Load average of the machine: {os.getloadavg()[1]:.0f}.\n\n"
    return load + table(
        ["", "verified", "more than undo", "of it the rollout", "to its end"],
        [
            [name, str(verified), f"{(verified.median - base) * 1000:+.0f}", str(rollout), str(end)]
            for name, (verified, rollout, end) in figures.items()
        ],
    )


@contextmanager
def _world(room: Path) -> Iterator[ClusterWorld]:
    """Two releases in a namespace of their own; both ran."""
    name = lab.unique("release-bench")
    output_of(["kubectl", "create", "namespace", name])
    try:
        with Engine.connect() as engine:
            world = ClusterWorld(root=room / "service", engine=engine, namespace=name)
            for version in VERSIONS:
                world.release(version)
            for version in VERSIONS:
                world.deployed(version)
            yield world
    finally:
        output_of(["kubectl", "delete", "namespace", name, "--wait=false"])


def _plain(world: ClusterWorld, name: str, version: str) -> dict[str, Any]:
    """The same Deployment under another name, with labels of its own."""
    spec = copy.deepcopy(world.deployment()["spec"])
    labels = {"app": name}
    spec["selector"] = {"matchLabels": labels}
    spec["template"]["metadata"] = {"labels": labels}
    spec["template"]["spec"].pop("topologySpreadConstraints", None)
    (container,) = spec["template"]["spec"]["containers"]
    container["image"] = f"{world.repository}@{world.digests[version]}"
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def _begin_by_hand(world: ClusterWorld) -> None:
    for version in VERSIONS:
        world.kubectl("apply", "--filename", "-", given=json.dumps(_plain(world, RIVAL, version)))
        world.kubectl("rollout", "status", f"deployment/{RIVAL}", "--timeout=120s")


def _begin_by_helm(world: ClusterWorld, chart: Path) -> None:
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: by-helm\nversion: 0.1.0\n")
    for version in VERSIONS:
        document = json.dumps(_plain(world, CHARTED, version))
        (chart / "templates/deployment.yaml").write_text(document)
        verb = "install" if version == VERSIONS[0] else "upgrade"
        _helm(world, verb, CHARTED, str(chart), "--wait")


def _helm(world: ClusterWorld, *words: str) -> None:
    output_of(["helm", *words, "--namespace", world.namespace])


def _undone(world: ClusterWorld, _: int) -> Turn:
    """A second undo goes forward again: so each one swaps the releases."""
    begin = time.perf_counter()
    world.kubectl("rollout", "undo", f"deployment/{RIVAL}")
    world.kubectl("rollout", "status", f"deployment/{RIVAL}", "--timeout=120s")
    took = time.perf_counter() - begin
    return Turn(verified=took, rollout=took, end=took)


def _helm_rolled_back(world: ClusterWorld, _: int) -> Turn:
    """To the revision before the last one."""
    begin = time.perf_counter()
    _helm(world, "rollback", CHARTED, "--wait")
    took = time.perf_counter() - begin
    return Turn(verified=took, rollout=took, end=took)


def _rolled_back(world: ClusterWorld, run: int) -> Turn:
    """Ours says when the pods are verified, and then records it."""
    words = ("rollback", "--to", VERSIONS[run % 2], "--yes", "--allow-quarantined", "--message", "bench")
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "invoke", *words],
        cwd=world.root,
        env={**os.environ, **world.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = [(time.perf_counter(), line) for line in process.stderr]
    assert process.returncode == 0, "".join(line for _, line in said)
    applied, proved = (
        next(moment for moment, line in said if line.startswith(text)) for text in ("▸ apply", "✓ health")
    )
    return Turn(verified=proved - begin, rollout=proved - applied, end=time.perf_counter() - begin)
