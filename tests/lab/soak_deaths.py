"""The operator's machine dies at any step of a deployment into a Swarm; somebody else puts it right."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import pytest

from release.process import output_of
from tests.lab.conftest import Make
from tests.lab.test_swarm import drift

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


def test_an_operator_who_dies_at_any_step_is_put_right_from_another_clone(make: Make, tmp_path: Path) -> None:
    """Every task of one release, no lock, no drift; the next deployment finds nothing in its way."""
    remote, elsewhere = tmp_path / "remote.git", tmp_path / "elsewhere"
    output_of(["git", "init", "--quiet", "--bare", str(remote)])
    world = make(remote=remote)
    world.environ |= world.machines.environ()
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
    first = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert first.status == 0, first.err
    output_of(["git", "clone", "--quiet", str(remote), str(elsewhere)])
    for file in ("pyproject.toml", "tasks.py"):
        (elsewhere / file).write_text((world.root / file).read_text())
    runs, other = "0.1.0", "0.2.0"
    for step in STEPS:
        died = world.dying(*step, "deploy", "--to", other, "--yes")
        assert died.status == -signal.SIGKILL, (step, died.err)
        sure = ("--yes", "--break-lock", "--message", "the laptop fell into the sea")
        done = world.invoke("converge", *sure, cwd=elsewhere)
        assert done.status == 0, (step, done.err)
        status = world.invoke("status", "--json", cwd=elsewhere).data
        assert (drift(world), status["lock"]) == ([], None), step
        assert status["running"]["version"] in (runs, other), step
        if status["running"]["version"] == other:
            runs, other = other, runs
        world.settles(runs)
