"""Many clones release at once: one record, and every one of them says the same, or who won.

`RELEASE_CLONES` is how many; `nox -s soak` asks for ten.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.test_kills import after_build, digest_of_record, recorded_versions
from tests.engine.chain.test_release import pulled_manifest, released
from tests.engine.service import APP, Ran, Service

CLONES = int(os.environ.get("RELEASE_CLONES") or 2)
RELEASE = (sys.executable, "-m", "nox", "-s", "release")


def at_once(clones: list[Service], meet: Callable[[], None] = lambda: None) -> list[Ran]:
    """`nox -s release` in all of them, begun together; `meet` is called while they run."""
    running = [clone.start(*RELEASE) for clone in clones]
    ended: list[Ran] = []
    meet()
    for process in running:
        with process:
            out, err = process.communicate(timeout=900)
        ended.append(Ran(status=process.returncode, out=out, err=err))
    return ended


@pytest.mark.timeout(1200)
def test_one_commit_released_by_many_is_one_release(
    make: Make, engine: Engine, bare_remote: Path, running_registry: lab.RunningRegistry, tmp_path: Path
) -> None:
    """One record, status 0 everywhere, the same line, no container left."""
    first = make(remote=bare_remote, registry=f"{running_registry.host}/{lab.unique()}")
    clones = [first, *(first.clone(tmp_path / f"clone-{number}") for number in range(1, CLONES))]
    ended = at_once(clones)
    lines = {released(ran)[0] for ran in ended}
    assert len(lines) == 1, lines
    assert recorded_versions(bare_remote) == ["0.1.0"]
    digest = digest_of_record(bare_remote, "0.1.0")
    assert lines == {f"{first.name} 0.1.0 {running_repository(ended[0])}@{digest}"}
    assert pulled_manifest(f"{running_repository(ended[0])}:0.1.0")[0] == digest
    first.git("fetch", "--quiet", "origin", "release-ledger")
    listing = first.git("ls-tree", "-r", "--name-only", "FETCH_HEAD", "records/").splitlines()
    assert len(listing) == 1
    assert engine.containers({"release.service": first.name}) == []


def running_repository(ran: Ran) -> str:
    """Where the image of a release is."""
    return released(ran)["repository"]


@pytest.mark.timeout(600)
def test_two_commits_that_claim_one_version(
    make: Make, engine: Engine, bare_remote: Path, running_registry: lab.RunningRegistry, tmp_path: Path
) -> None:
    """One wins; the other fails and says who won, with what, when, and what to do."""
    flag = tmp_path / "go-on"
    first = make(
        remote=bare_remote,
        registry=f"{running_registry.host}/{lab.unique()}",
        lint={"commands": [f"sh -c 'until test -e {flag}; do sleep 0.1; done'"]},
    )
    second = first.clone(tmp_path / "second")
    second.commit("feat: another", {"app.py": f"{APP}# another\n"})

    def meet() -> None:
        """Both have sent their image, and nothing is left but to record it."""
        try:
            both = (first, second)
            lab.eventually(lambda: all(map(after_build, both)), what="all that comes before", seconds=120)
        finally:
            flag.touch()

    ended = at_once([first, second], meet)
    assert sorted(ran.status for ran in ended) == [0, 1], [ran.all for ran in ended]
    (winner,) = [ran for ran in ended if ran.status == 0]
    (loser,) = [ran for ran in ended if ran.status == 1]
    won = released(winner)
    assert loser.out == ""
    assert f"{won['version']} is {won['digest'][:19]} of commit" in loser.err
    assert "recorded by Ada <ada@example.org> at 20" in loser.err
    assert "a released version is never made again: release a higher version" in loser.err
    assert recorded_versions(bare_remote) == ["0.1.0"]
    assert digest_of_record(bare_remote, "0.1.0") == won["digest"]
    assert pulled_manifest(f"{won['repository']}:0.1.0")[0] == won["digest"]
    assert engine.containers({"release.service": first.name}) == []
    slower = first if ended[0].status else second
    assert released(slower.nox("release", "--", "--version", "0.2.0"))["version"] == "0.2.0"
