"""A release that answers without end, and a program in its container that prints without measure."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import APP, World

DRIPPING = APP.replace(
    "        told = os.environ",
    """        while mode == "dripping":
            self.wfile.write(b"H")
            time.sleep(0.1)
        told = os.environ""",
)


@pytest.fixture
def dripping(make: Make) -> World:
    """A good release that serves, and one that answers its probe a byte at a time."""
    world = make(app=DRIPPING)
    world.release("0.1.0")
    world.release("0.2.0", mode="dripping")
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    return world


@pytest.mark.attack(
    "a release answers its probe a byte at a time, and deploy never ends",
    "the request has one end, the wait has health_timeout, and what ran before is restored",
)
def test_a_deployment_of_a_release_that_answers_slowly_ends(dripping: World) -> None:
    """In time, with exit status 3, and the old one serves."""
    dripping.configure(health_timeout='"2s"')
    ended = dripping.invoke("deploy", "--to", "0.2.0", "--yes")
    assert ended.status == 3, ended.err
    assert "no answer: the answer did not end in time" in ended.err
    assert dripping.answer()["VERSION"] == "0.1.0"


@pytest.mark.attack(
    "a release answers its probe a byte at a time while an operator ends the deployment by a signal",
    "every read is short, and checks if the deployment was cancelled",
)
def test_a_signal_is_heard_while_a_release_answers_slowly(dripping: World) -> None:
    """Long before health_timeout is over: what ran before is put back."""
    dripping.configure(health_timeout='"10m"')
    ended = dripping.interrupted("deploy", "--to", "0.2.0", "--yes", when="▸ health", number=signal.SIGTERM)
    assert ended.status == 143, ended.err
    assert dripping.answer()["VERSION"] == "0.1.0"


@pytest.mark.attack(
    "a health command prints hundreds of megabytes, which end in a signed record",
    "the last 4 KiB of its output are kept, and a record takes one short line of it",
)
@pytest.mark.parametrize("status", [0, 1])
def test_a_health_command_that_prints_much_leaves_a_short_record(make: Make, status: int) -> None:
    """Whether it ends well or not; a line of many megabytes is one line."""
    world = make()
    world.release("0.1.0")
    flood = f"import sys; [sys.stdout.write('x' * 2**20) for _ in range(40)]; sys.exit({status})"
    command = json.dumps(["python", "-c", flood])
    world.configure(health_command=command, health_timeout='"6s"')
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == status, ended.err[-2000:]
    assert len(ended.err) < 20_000
    records: Any = json.loads(world.invoke("history", "--json").out)
    assert len(json.dumps(records[0])) < 10_000
