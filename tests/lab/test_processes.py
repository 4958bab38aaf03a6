"""Several processes in a Swarm: a service for each, all of one release, never two of an exclusive one."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.lab.conftest import Make
from tests.lab.test_migrations import SURE, services
from tests.lab.test_swarm import deployed, drift
from tests.lab.world import SwarmWorld

pytestmark = [pytest.mark.xdist_group("swarm"), pytest.mark.timeout(400)]

COUNT: Final = 6
"""Tasks of web, worker and beat together."""
STEPS: Final = (("after", "update", "1"), ("before", "update", "3"), ("before", "append_events", "2"))
"""Web is submitted, beat is about to stop, all are proven; the soak has more."""
EVERY_STEP: Final = (
    ("after", "store", "2"),
    ("after", "store", "4"),
    ("before", "update", "2"),
    ("after", "update", "2"),
    ("after", "update", "3"),
    ("after", "update", "4"),
    ("after", "append_events", "2"),
)


def processes(world: SwarmWorld, beat: str = "") -> None:
    """Configure web with the port of each node, two workers, and one beat."""
    world.configure(
        publish="",
        processes=f"""{{ beat = {{ replicas = 1, exclusive = true, after = ["worker"]{beat} }}, \
web = {{ publish = ["{world.port}:8000"] }}, worker = {{ replicas = 2, after = ["web"] }} }}""",
    )


@contextmanager
def watching(world: SwarmWorld, folder: Path) -> Iterator[Callable[[], list[tuple[int, str]]]]:
    """Write down when each container of beat starts and ends, on every machine, as its engine tells it.

    An engine remembers only its last events, so they are read while they happen.
    """
    chosen = (f"label=release.service={world.service}", "label=release.process=beat", "type=container")
    words = [word for each in chosen for word in ("--filter", each)]
    files = [folder / f"events-{number}" for number in range(len(world.machines.machines))]

    def told() -> list[tuple[int, str]]:
        every = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return sorted((one["timeNano"], one["Action"]) for one in every if one["Action"] in ("start", "die"))

    with ExitStack() as stack:
        for machine, file in zip(world.machines.machines, files, strict=True):
            argv = ["docker", "--host", machine.host, "events", *words, "--format", "{{json .}}"]
            process = stack.enter_context(subprocess.Popen(argv, stdout=stack.enter_context(file.open("wb"))))
            stack.callback(process.terminate)
        yield told


def test_three_processes_are_of_one_release_whatever_fails(world: SwarmWorld, tmp_path: Path) -> None:
    """What was one service is taken over, and back; the last process fails, and all are put back."""
    with watching(world, tmp_path) as told:
        taken_over_and_back(world)
        running, events = 0, told()
    for _, action in events:
        running += 1 if action == "start" else -1
        assert running in (0, 1), events
    assert [action for _, action in events].count("start") >= 3


def taken_over_and_back(world: SwarmWorld) -> None:
    """One service, then three, one of which fails, then the one again."""
    deployed(world, "0.1.0")
    processes(world)
    plan = world.invoke("deploy", "--to", "0.2.0", "--plan", "--json").data
    assert [(each["process"], each["action"]) for each in plan["processes"]] == [
        ("", "stop"),
        ("web", "start"),
        ("worker", "start"),
        ("beat", "start"),
    ]
    deployed(world, "0.2.0")
    every = [f"{world.name}-{name}" for name in ("beat", "web", "worker")]
    assert sorted(services(world)) == every
    world.settles("0.2.0", COUNT)
    assert set(world.answers().values()) == {"0.2.0"}
    status = world.invoke("status", "--json").data
    assert (status["drift"], status["leftovers"], len(status["replicas"])) == ([], [], COUNT)
    assert all(each["ready"] for each in world.invoke("verify", "--json").data)
    assert world.invoke("prune", "--plan").status == 0
    drilled = world.invoke("drill", "--to", "0.2.0", "--yes", "--json")
    assert drilled.status == 0, drilled.err
    assert "web: " in drilled.data["evidence"]

    world.release("0.3.0")
    processes(world, beat=', env = { MODE = "crashing" }')
    failed = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert failed.status == 3, failed.err
    for name in ("beat: 1 of 1", "web: 3 of 3", "worker: 2 of 2"):
        assert name in failed.err.rpartition("what ran before runs again: ")[2]
    world.settles("0.2.0", COUNT)
    assert drift(world) == []

    back = world.invoke("rollback", "--to", "0.1.0", "--yes")
    assert back.status == 0, back.err
    assert services(world) == [world.name]
    world.settles("0.1.0")
    assert drift(world) == []


def test_an_operator_who_dies_between_processes_is_put_right(make: Make) -> None:
    """Killed at some steps: everything is old or everything is new, and nothing is left."""
    dies_at(make(), STEPS)


def dies_at(world: SwarmWorld, steps: Sequence[tuple[str, str, str]]) -> None:
    """Deploy to and fro; die at each step, and converge."""
    world.environ |= world.machines.environ()
    processes(world)
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
    runs, other = "0.1.0", "0.2.0"
    deployed(world, runs)
    for step in steps:
        died = world.dying(*step, "deploy", "--to", other, "--yes")
        assert died.status == -signal.SIGKILL, (step, died.err)
        done = world.invoke("converge", *SURE)
        assert done.status == 0, (step, done.err)
        status = world.invoke("status", "--json").data
        assert (status["drift"], status["lock"], status["leftovers"]) == ([], None, []), step
        versions = {each["version"] for each in status["replicas"]}
        assert versions in ({runs}, {other}), (step, versions)
        if versions == {other}:
            runs, other = other, runs
        world.settles(runs, COUNT)
        chosen = f"label=release.service={world.service}"
        assert world.manager.docker("config", "ls", "--quiet", "--filter", chosen) == "", step
