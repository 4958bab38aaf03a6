"""Operators who meet: `invoke`, which waits before the lock until as many others stand there.

python -m tests.lab.meeting FOLDER 2 deploy --to 0.2.0 --yes
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from invoke.main import program

from release.deploy.targets.swarm.stores import Kind, Stores
from release.redact import Redacted
from tests.engine import lab


def await_others(folder: Path, count: int) -> None:
    """Come in, and wait."""
    (folder / str(os.getpid())).touch()
    lab.eventually(lambda: len(list(folder.iterdir())) >= count, what=f"{count} operators", seconds=60)


if __name__ == "__main__":
    _, place, number, *words = sys.argv
    store = Stores.store

    def together(self: Stores, kind: Kind, name: str, content: Redacted, labels: Mapping[str, str]) -> str:
        """The first thing that is stored is the lock; from the second on all are there already."""
        await_others(Path(place), int(number))
        return store(self, kind, name, content, labels)

    Stores.store = together  # type: ignore[method-assign]
    program.run(["invoke", *words])
