"""The code of an earlier commit and today's code work on one ledger and one environment, in turns.

The earlier commit is the parent of the one that moved the modules of a deployment into rooms.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import Ended, World

ROOT = Path(__file__).parents[3]
FIRST_FILE_OF_TODAY = "release/deploy/core/target.py"


def git(*words: str) -> bytes:
    """Run git in this library's own repository."""
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the earlier commit, in a folder of its own."""
    added = git("log", "--format=%H", "--diff-filter=AR", "--no-renames", "--", FIRST_FILE_OF_TODAY).split()
    assert added, "this clone lacks the history of the package: fetch it with `git fetch --unshallow`"
    archive = git("archive", f"{added[-1].decode()}^", "release")
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    where = [sys.executable, "-c", "import release.deploy.docker as found; print(found.__file__)"]
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    found = subprocess.run(where, cwd=folder.parent, env=environ, check=True, capture_output=True)
    assert found.stdout.decode().strip() == str(folder / "release/deploy/docker.py")
    return folder


class Turns:
    """Runs commands with the old code, or with today's."""

    def __init__(self, world: World, old: Path) -> None:
        self.world, self.old = world, old

    def run(self, code: str, *words: str) -> Ended:
        """The command must succeed."""
        world = self.world
        done = world.invoke(*words, PYTHONPATH=str(self.old)) if code == "old" else world.invoke(*words)
        assert done.status == 0, done.err
        return done


@pytest.mark.parametrize(("first", "then"), [("old", "new"), ("new", "old")])
def test_one_code_deploys_and_the_other_rolls_back(make: Make, old: Path, first: str, then: str) -> None:
    """Digest and settings come back, and both codes read all records of both."""
    world = make()
    turns = Turns(world, old)
    world.release("0.1.0")
    world.release("0.2.0")
    world.configure(env='{ GREETING = "hello" }')
    turns.run(first, "deploy", "--to", "0.1.0", "--yes")
    world.configure(env='{ GREETING = "hi" }')
    turns.run(first, "deploy", "--to", "0.2.0", "--yes")

    turns.run(then, "rollback", "--to", "0.1.0", "--yes")
    assert world.answer() == {"VERSION": "0.1.0", "GREETING": "hello", "TOKEN": None}
    turns.run(first, "rollback", "--to", "0.2.0", "--yes", "--allow-quarantined", "--message", "turn")
    assert world.answer() == {"VERSION": "0.2.0", "GREETING": "hi", "TOKEN": None}

    histories = [turns.run(code, "history", "--json").data for code in (first, then)]
    assert histories[0] == histories[1]
    assert turns.run(then, "verify", "--ledger").status == 0
    status = turns.run(then, "status", "--json").data
    assert (status["running"]["version"], status["drift"], status["lock"]) == ("0.2.0", [], None)


def test_the_other_code_finishes_what_a_dead_operator_left(world: World, old: Path) -> None:
    """The lock with its journal, and the labels of the containers, are read by both."""
    turns = Turns(world, old)
    turns.run("old", "deploy", "--to", "0.1.0", "--yes")
    ended = world.dying("after", "start", "1", "deploy", "--to", "0.2.0", "--yes")
    assert ended.status != 0, ended.err
    turns.run("old", "converge", "--yes", "--break-lock", "--message", "its machine died")
    assert turns.run("new", "status", "--json").data["lock"] is None
    assert turns.run("old", "status", "--exit-code").status == 0
