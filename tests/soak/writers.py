"""Many processes that append to one ledger, some of them killed, and a look at the result with git alone."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from release.config import Ledger as Settings
from release.git.source import Source
from release.ledger.verify import verify
from tests.unit.ledger.samples import digits
from tests.unit.repository import Repository

BRANCH: Final = "release-ledger"

_PROGRAM: Final = """
import sys
from pathlib import Path
from tests.unit.ledger import samples
root, name, count = sys.argv[1:]
ledger = samples.ledger(Path(root), remote="origin")
for number in range(int(count)):
    ledger.append_events([samples.event("1" * 64, deployment=f"{name} {number}")])
assert ledger.unsynced() == ()
"""
"""Appends its events from the first on, whether an earlier run has appended them or not."""


class Writers:
    """Processes in clones of their own, each with events of its own."""

    def __init__(self, clones: list[Repository], events: int) -> None:
        self.clones, self.events = clones, events
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start those that do not run."""
        for number in set(range(len(self.clones))) - set(self.running):
            argv = (sys.executable, "-c", _PROGRAM, self.clones[number].root, str(number), str(self.events))
            self.running[number] = subprocess.Popen(argv)

    def kill(self, number: int) -> bool:
        """Kill one, wherever it is just now (SIGKILL); False when it had come to its end."""
        process = self.running.pop(number)
        process.kill()
        return process.wait() != 0

    def finish(self, seconds: float) -> list[int]:
        """Wait for all of them; their exit statuses."""
        statuses = [process.wait(seconds) for process in self.running.values()]
        self.running.clear()
        return statuses

    def wanted(self) -> set[str]:
        """The ids of all deployments that are to be recorded."""
        return {
            digits(f"{number} {event}", 12)
            for number in range(len(self.clones))
            for event in range(self.events)
        }


def disturbed(writers: Writers, kills: int, choice: random.Random, pause: float) -> int:
    """Run them all to the end, killing one after the other on the way; how many kills hit one at work."""
    hits = 0
    for _ in range(kills):
        writers.start()
        time.sleep(choice.uniform(0.3, pause))
        hits += writers.kill(choice.randrange(len(writers.clones)))
    writers.start()
    return hits


def look(server: Repository, folder: Path) -> list[dict[str, Any]]:
    """The records in order, after checking what makes them a ledger: by git and the files alone.

    And by the library's own proof, which must say the same.
    """
    assert server.git("fsck", "--strict", "--no-dangling") == ""
    commits = server.git("rev-list", BRANCH).splitlines()
    assert server.git("rev-list", "--min-parents=2", BRANCH) == ""
    assert len(server.git("rev-list", "--max-parents=0", BRANCH).splitlines()) == 1
    assert server.git("log", "--diff-filter=a", "--format=", "--name-status", BRANCH) == ""
    Repository.clone(server, folder, "--branch", BRANCH)
    found = {path.stem: path.read_bytes() for path in folder.glob("records/*/*.json")}
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in found.items())
    order = [path.read_text().strip() for path in sorted(folder.glob("index/api/seq/*/*/*"))]
    records = [json.loads(found[record]) for record in order]
    assert sorted(order) == sorted(found)
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert [record["prev"] for record in records] == [None, *order][: len(records)]
    assert len(commits) <= len(records)
    source = Source.open(folder)
    assert verify(source, Settings()).violations == ()
    source.close()
    return records
