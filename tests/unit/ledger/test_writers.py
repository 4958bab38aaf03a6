"""Several processes that append at once, and one that dies: the short form of `nox -s soak`."""

from __future__ import annotations

import random
from pathlib import Path

from tests.soak.writers import Writers, disturbed, look
from tests.unit.repository import Repository


def test_killed_writers_that_run_again_lose_nothing_and_repeat_nothing(
    server: Repository, tmp_path: Path
) -> None:
    """Four processes with five events each, two kills: twenty records in one line."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    writers = Writers([Repository.clone(server, tmp_path / f"clone-{number}") for number in range(4)], 5)
    disturbed(writers, 2, random.Random(seed), pause=1.5)
    assert writers.finish(120) == [0] * 4
    found = [record["deployment"] for record in look(server, tmp_path / "look")]
    assert len(found) == 20
    assert set(found) == writers.wanted()
