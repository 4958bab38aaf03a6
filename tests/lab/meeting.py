"""Operators who meet: `invoke`, which waits before the lock until as many others stand there.

python -m tests.lab.meeting FOLDER 2 MODULE:CLASS.METHOD deploy --to 0.2.0 --yes
"""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from invoke.main import program

from tests.engine import lab
from tests.engine.deploy.world import Ended


def meet(root: Path, environ: Mapping[str, str], method: str, each: Sequence[Sequence[str]]) -> list[Ended]:
    """Run several `invoke` of a service; they begin to take the lock in the same moment.

    `method` is the first one that stores something: the lock.
    """
    folder = root.parent / lab.unique("meeting")
    folder.mkdir()
    known = {**os.environ, **environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [sys.executable, "-m", "tests.lab.meeting", str(folder), str(len(each)), method]
    with ExitStack() as stack:
        there = [
            stack.enter_context(
                subprocess.Popen(
                    [*argv, *words],
                    cwd=root,
                    env=known,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for words in each
        ]
        said = [process.communicate(timeout=120) for process in there]
    return [
        Ended(status=process.returncode, out=out, err=err)
        for process, (out, err) in zip(there, said, strict=True)
    ]


def await_others(folder: Path, count: int) -> None:
    """Come in, and wait. Whoever stores more finds all others there already."""
    (folder / str(os.getpid())).touch()
    lab.eventually(lambda: len(list(folder.iterdir())) >= count, what=f"{count} operators", seconds=60)


if __name__ == "__main__":
    _, place, number, chosen, *words = sys.argv
    owner, _, name = chosen.rpartition(".")
    found = pkgutil.resolve_name(owner)
    store = getattr(found, name)

    def together(*args: Any, **options: Any) -> Any:
        """Store it when all are there."""
        await_others(Path(place), int(number))
        return store(*args, **options)

    setattr(found, name, together)
    program.run(["invoke", *words])
