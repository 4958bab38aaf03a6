"""The operator's machine dies at any step of a deployment into a Swarm; somebody else puts it right."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import pytest

from release.programs.process import output_of
from tests.lab.conftest import Make
from tests.lab.test_processes import EVERY_STEP, dies_at
from tests.lab.test_swarm import drift
from tests.lab.world import SwarmWorld

pytestmark = pytest.mark.timeout(900)

STEPS: Final = (
    ("after", "store", "1"),
    ("after", "append_events", "1"),
    ("before", "update", "1"),
    ("after", "update", "1"),
    ("before", "append_events", "2"),
    ("after", "append_events", "2"),
)
"""Each that changes something: the lock, its event, the service, and the event that it ended."""


IN_A_FAILURE: Final = (
    ("after", "update", "1"),
    ("before", "update", "2"),
    ("after", "update", "2"),
    ("before", "append_events", "2"),
)
"""The release crashes: the spec is submitted, then the old one again, then that is recorded."""
SURE: Final = ("--yes", "--break-lock", "--message", "the laptop fell into the sea")


@pytest.fixture
def away(make: Make, tmp_path: Path) -> tuple[SwarmWorld, Path]:
    """A service with 0.1.0 deployed, and another operator's clone."""
    remote, elsewhere = tmp_path / "remote.git", tmp_path / "elsewhere"
    output_of(["git", "init", "--quiet", "--bare", str(remote)])
    world = make(remote=remote)
    world.environ |= world.machines.environ()
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
    world.release("0.3.0", mode="crashing")
    first = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert first.status == 0, first.err
    output_of(["git", "clone", "--quiet", str(remote), str(elsewhere)])
    for file in ("pyproject.toml", "tasks.py"):
        (elsewhere / file).write_text((world.root / file).read_text())
    return world, elsewhere


def test_an_operator_who_dies_at_any_step_is_put_right_from_another_clone(
    away: tuple[SwarmWorld, Path],
) -> None:
    """Every task of one release, no lock, no drift; the next deployment finds nothing in its way."""
    world, elsewhere = away
    runs, other = "0.1.0", "0.2.0"
    for step in STEPS:
        died = world.dying(*step, "deploy", "--to", other, "--yes")
        assert died.status == -signal.SIGKILL, (step, died.err)
        done = world.invoke("converge", *SURE, cwd=elsewhere)
        assert done.status == 0, (step, done.err)
        status = world.invoke("status", "--json", cwd=elsewhere).data
        assert (drift(world), status["lock"]) == ([], None), step
        assert status["running"]["version"] in (runs, other), step
        if status["running"]["version"] == other:
            runs, other = other, runs
        world.settles(runs)


def test_an_operator_who_dies_between_processes_is_put_right(make: Make) -> None:
    """At every other step of three processes; an exclusive one is among them."""
    dies_at(make(), EVERY_STEP)


def test_a_release_that_crashes_when_its_operator_is_dead_is_given_back(
    away: tuple[SwarmWorld, Path],
) -> None:
    """Also where the operator died while putting back: what ran before runs, is proven, and so recorded."""
    world, elsewhere = away
    for step in IN_A_FAILURE:
        died = world.dying(*step, "deploy", "--to", "0.3.0", "--yes")
        assert died.status == -signal.SIGKILL, (step, died.err)
        done = world.invoke("converge", *SURE, cwd=elsewhere)
        assert done.status == 0, (step, done.err)
        assert "restored" in done.out, (step, done.out)
        world.settles("0.1.0")
        status = world.invoke("status", "--json", cwd=elsewhere).data
        assert (drift(world), status["lock"], status["running"]["version"]) == ([], None, "0.1.0"), step
        chosen = f"label=release.service={world.service}"
        assert world.manager.docker("config", "ls", "--quiet", "--filter", chosen) == "", step
