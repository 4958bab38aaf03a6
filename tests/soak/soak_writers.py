"""Eight writers, four hundred events, on one server."""

from __future__ import annotations

import random
from pathlib import Path

from tests.soak.writers import Writers, disturbed, look
from tests.unit.repository import Repository

PROCESSES, EVENTS, KILLS = 8, 50, 40


def writers_on(server: Repository, tmp_path: Path) -> Writers:
    clones = [Repository.clone(server, tmp_path / f"clone-{number}") for number in range(PROCESSES)]
    return Writers(clones, EVENTS)


def test_eight_writers_lose_nothing(tmp_path: Path) -> None:
    """400 records, in one line, each event once."""
    server = Repository.init(tmp_path / "server.git", bare=True)
    writers = writers_on(server, tmp_path)
    writers.start()
    assert writers.finish(1200) == [0] * PROCESSES
    found = [record["deployment"] for record in look(server, tmp_path / "look")]
    assert len(found) == PROCESSES * EVENTS
    assert set(found) == writers.wanted()


def test_eight_writers_that_are_killed_and_run_again_lose_nothing(tmp_path: Path) -> None:
    """The same 400 records, however often a process died on the way."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    server = Repository.init(tmp_path / "server.git", bare=True)
    writers = writers_on(server, tmp_path)
    hits = disturbed(writers, KILLS, random.Random(seed), pause=2.0)
    assert writers.finish(1200) == [0] * PROCESSES
    assert hits
    found = [record["deployment"] for record in look(server, tmp_path / "look")]
    assert len(found) == PROCESSES * EVENTS
    assert set(found) == writers.wanted()
