"""Lock tools run within a limit of time."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from release.chain.lockgate.environment import TIMED_OUT, run_lock_tool
from release.errors import Cancelled
from release.programs.process import Command
from tests.unit.chain.linting.test_stage import ctx
from tests.unit.repository import Repository

SLEEPS = Command(argv=(sys.executable, "-c", "import time; time.sleep(60)"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    repository = Repository.init(tmp_path / "here")
    repository.commit()
    return repository.root


def test_a_tool_that_hangs_is_stopped(root: Path) -> None:
    """Its status is neither that of a fresh lockfile nor that of a stale one."""
    began = time.monotonic()
    done = run_lock_tool(ctx(root), SLEEPS, limit=0.2)
    assert (done.status, done.output) == (TIMED_OUT, "the tool was stopped after 0 s\n")
    assert time.monotonic() - began < 30


def test_a_run_that_is_stopped_stops_the_tool(root: Path) -> None:
    """That is no answer about the lockfile."""
    made = ctx(root)
    made.cancellation.request("a test failed")
    with pytest.raises(Cancelled):
        run_lock_tool(made, SLEEPS)
