"""Killed at any moment and run again: exactly one release, or none; seen from outside with git and HTTP."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from release.images.engine import Engine
from release.process import output_of
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.test_release import pulled_manifest, released
from tests.engine.service import APP, Service

SEED = int(os.environ.get("RELEASE_SEED") or random.SystemRandom().randrange(10**6))
MOMENTS = int(os.environ.get("RELEASE_KILLS") or 4)
LONGEST_SECONDS = 6.0


def kill_at(service: Service, seconds: float, signum: int) -> None:
    """Start a release and end its process, and nothing else, after so long."""
    with service.start(sys.executable, "-m", "nox", "-s", "release") as process:
        time.sleep(seconds)
        process.send_signal(signum)
        process.communicate(timeout=60)


def one_release_or_none(remote: Path, version: str) -> int:
    """The releases of this version that a stranger sees; record and git tag must agree."""
    git = ("git", "-C", str(remote))
    refs = output_of([*git, "for-each-ref", "--format=%(refname)"]).split()
    tagged = f"refs/tags/v{version}" in refs
    listing = "refs/heads/release-ledger" in refs and output_of(
        [*git, "ls-tree", "-r", "--name-only", "release-ledger", "--", "index"]
    )
    recorded = f"/version/0/{version}\n" in f"{listing}\n"
    assert tagged == recorded, f"tag {tagged}, record {recorded}"
    return int(recorded)


@pytest.mark.timeout(60 + 60 * MOMENTS)
def test_a_killed_release_that_is_run_again_is_one_release(
    make: Make, engine: Engine, bare_remote: Path, running_registry: lab.RunningRegistry
) -> None:
    """At random moments, with SIGKILL and SIGTERM; the seed is in the output of a failure."""
    chance = random.Random(SEED)
    print(f"RELEASE_SEED={SEED} RELEASE_KILLS={MOMENTS}")
    service = make(remote=bare_remote, registry=f"{running_registry.host}/{lab.unique()}")
    for number in range(MOMENTS):
        version = f"0.{number + 1}.0"
        service.commit("feat: more", {"app.py": f"{APP}# {number}\n"})
        signum = chance.choice([signal.SIGKILL, signal.SIGTERM])
        moment = chance.uniform(0.1, LONGEST_SECONDS)
        kill_at(service, moment, signum)
        assert one_release_or_none(bare_remote, version) in (0, 1)
        line = released(service.nox("release"))
        assert line["version"] == version, f"killed by {signum} after {moment} s"
        assert one_release_or_none(bare_remote, version) == 1
        assert pulled_manifest(f"{line['repository']}:{version}")[0] == line["digest"]
        assert engine.containers({"release.service": service.name}) == []
