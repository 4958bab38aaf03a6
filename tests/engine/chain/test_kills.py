"""Killed at any moment and run again: exactly one release, or none; seen from outside with git and HTTP.

`RELEASE_KILLS` is the number of random moments, `RELEASE_BOUNDARIES` that of boundaries between stages (0 for
all of them), `RELEASE_SEED` makes a run repeat. `nox -s soak` asks for many.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from release.chain.pipeline import STAGES
from release.images.engine import ContainerSpec, Engine
from release.programs.process import output_of
from release.reference import Reference
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.test_release import pulled_manifest, released
from tests.engine.service import APP, Service

SEED = int(os.environ.get("RELEASE_SEED") or random.SystemRandom().randrange(10**6))
MOMENTS = int(os.environ.get("RELEASE_KILLS") or 1)
SAMPLE = int(os.environ.get("RELEASE_BOUNDARIES") or 1)
RELEASE = (sys.executable, "-m", "nox", "-s", "release")
BOUNDARIES = [(stage.name, event) for stage in STAGES for event in ("started", "passed")]


@dataclass(kw_only=True)
class Story:
    """One service that is released again and again, each time killed first."""

    service: Service
    engine: Engine
    remote: Path
    version: int = 0
    unfinished: int = 0
    """How often the second run found nothing released."""
    seconds: float = 0.0
    """How long the last first run took."""
    temporary: Path

    def chapter(self, kill: Callable[[subprocess.Popen[str]], str]) -> None:
        """A new commit; a run that is killed; a second run; and what a stranger sees."""
        self.version += 1
        version = f"0.{self.version}.0"
        self.service.commit("feat: more", {"app.py": f"{APP}# {self.service.name} {self.version}\n"})
        begin = time.monotonic()
        with self.service.start(*RELEASE, TMPDIR=str(self.temporary)) as process:
            said = kill(process)
            process.communicate(timeout=60)
        self.seconds = time.monotonic() - begin
        releases_of(self.remote, version)
        ran = self.service.nox("release", TMPDIR=str(self.temporary))
        line = released(ran)
        self.unfinished += int("nothing to build" not in ran.err)
        assert line["version"] == version, said
        assert releases_of(self.remote, version) == 1, said
        for tag in (version, f"sha-{self.service.git('rev-parse', 'HEAD')}"):
            assert pulled_manifest(f"{line['repository']}:{tag}")[0] == line["digest"], said
        assert digest_of_record(self.remote, version) == line["digest"], said
        self.nothing_is_left(said)

    def nothing_is_left(self, said: str) -> None:
        """No container, no test image but the last, no temporary file; except when nothing was left to do."""
        assert self.engine.containers({"release.service": self.service.name}) == [], said
        if self.unfinished == self.version:
            assert list(self.temporary.glob("release-*")) == [], said
            tests = f"localhost/release-test/{self.service.name}"
            listed = ["docker", "images", "--filter", f"reference={tests}", "--format", "{{.Tag}}"]
            assert output_of(listed) in ("", "last"), said


def releases_of(remote: Path, version: str) -> int:
    """The releases of this version that a stranger sees; record and git tag must agree.

    Both are of one listing: the push of a run that was killed may land at any moment.
    """
    git = ("git", "-C", str(remote))
    listed = output_of([*git, "for-each-ref", "--format=%(refname) %(objectname)"]).splitlines()
    refs = dict(line.split() for line in listed)
    tagged, ledger = f"refs/tags/v{version}" in refs, refs.get("refs/heads/release-ledger")
    recorded = ledger is not None and version in recorded_versions(remote, at=ledger)
    assert tagged == recorded, f"tag {tagged}, record {recorded}"
    return int(recorded)


def recorded_versions(remote: Path, *, at: str = "release-ledger") -> list[str]:
    """Versions in the ledger at this commit, read with git alone; each once."""
    git = ("git", "-C", str(remote))
    folder = f"{at}:index"
    listing = output_of([*git, "ls-tree", "-r", "--name-only", folder]).splitlines()
    found = [path.rpartition("/")[2] for path in listing if "/version/0/" in path]
    assert len(found) == len(set(found))
    return found


def digest_of_record(remote: Path, version: str) -> str:
    """The digest in the record of this version, read with git alone."""
    git = ("git", "-C", str(remote))
    listing = output_of([*git, "ls-tree", "-r", "--name-only", "release-ledger"]).splitlines()
    (entry,) = [path for path in listing if path.endswith(f"/version/0/{version}")]
    record = output_of([*git, "show", f"release-ledger:{entry}"])
    (path,) = [path for path in listing if path.endswith(f"{record}.json")]
    digest: str = json.loads(output_of([*git, "show", f"release-ledger:{path}"]))["image"]["digest"]
    return digest


@pytest.fixture
def story(
    make: Make, engine: Engine, bare_remote: Path, running_registry: lab.RunningRegistry, tmp_path: Path
) -> Story:
    """A service with a registry and a git server."""
    service = make(remote=bare_remote, registry=f"{running_registry.host}/{lab.unique()}")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return Story(service=service, engine=engine, remote=bare_remote, temporary=temporary)


def until_it_ends(process: subprocess.Popen[str]) -> str:
    """No kill at all."""
    process.wait(240)
    return "not killed"


def after(service: Service, stage: str, event: str) -> Callable[[], bool]:
    """Whether the newest run has come to this boundary, by what it wrote itself."""
    known = set((service.folder / ".release/runs").glob("*"))

    def reached() -> bool:
        new = set((service.folder / ".release/runs").glob("*")) - known
        return any(
            f'"stage": "{stage}", "event": "{event}"' in file.read_text()
            for run in new
            if (file := run / "stages.jsonl").exists()
        )

    return reached


@pytest.mark.timeout(120 + 60 * (SAMPLE or len(BOUNDARIES)))
def test_killed_between_stages_and_run_again_it_is_one_release(story: Story) -> None:
    """With SIGKILL, as soon as a stage has begun, or ended."""
    print(f"RELEASE_SEED={SEED}")
    chosen = random.Random(SEED).sample(BOUNDARIES, SAMPLE) if SAMPLE else BOUNDARIES
    for stage, event in chosen:

        def kill(process: subprocess.Popen[str], stage: str = stage, event: str = event) -> str:
            reached = after(story.service, stage, event)
            deadline = time.monotonic() + 60
            while not reached() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            process.kill()
            return f"killed when {stage} had {event}, seed {SEED}"

        story.chapter(kill)
    print(f"{len(chosen)} boundaries, {story.unfinished} before the commit point")


@pytest.mark.timeout(120 + 60 * MOMENTS)
def test_killed_at_any_moment_and_run_again_it_is_one_release(story: Story) -> None:
    """At random moments, with SIGKILL and SIGTERM."""
    chance = random.Random(SEED)
    print(f"RELEASE_SEED={SEED} RELEASE_KILLS={MOMENTS}")
    story.chapter(until_it_ends)
    usual = story.seconds
    for number in range(MOMENTS):
        signum = chance.choice([signal.SIGKILL, signal.SIGTERM])
        moment = chance.uniform(0.05, 1.1 * usual)

        def kill(process: subprocess.Popen[str], signum: int = signum, moment: float = moment) -> str:
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                process.send_signal(signum)
            return f"signal {signum} after {moment:.3f} s, seed {SEED}"

        story.chapter(kill)
        if number % 20 == 19:
            print(f"{number + 1} kills, {story.unfinished} before the commit point", flush=True)
    print(f"{MOMENTS} kills, {story.unfinished} before the commit point")


def test_what_a_living_run_has_is_not_touched(make: Make, engine: Engine, tmp_path: Path) -> None:
    """Beside a run whose tests go on, a killed one's leftovers go; the living one ends well."""
    flag = tmp_path / "go-on"
    living = make(lint={"commands": [f"sh -c 'until test -e {flag}; do sleep 0.1; done'"]})
    other = living.clone(tmp_path / "other")
    with living.start(*RELEASE) as process:
        try:
            lab.eventually(lambda: after_build(living), what="the living run", seconds=60)
            dead_run(other, engine)
            assert other.nox("smoke").status == 0
            assert len(list(Path(tempfile.gettempdir()).glob(f"release-{run_of(living).name}-*"))) == 1
            assert engine.containers({"release.service": other.name}) == []
        finally:
            flag.touch()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err


def test_what_a_run_left_that_was_killed_after_its_release_goes_with_the_next(
    make: Make, engine: Engine
) -> None:
    """The tests' container is removed beside the record: the commit is released, and only found again."""
    service = make()
    line = released(service.nox("release"))
    image = engine.inspect(Reference.parse(f"{line['repository']}:{line['version']}"))
    assert image is not None
    owner = json.loads(output_of([sys.executable, "-c", _OWNER_OF_A_DEAD_PROCESS]))
    run = {"release.run": run_of(service).name, "release.container": f"{run_of(service).name} test"}
    labels = {"release.role": "test", "release.service": service.name, **run, **owner}
    left = engine.create(ContainerSpec(image=image.id, labels=labels))
    again = service.nox("release")
    assert released(again)["digest"] == line["digest"]
    assert "of a killed run" in again.err
    assert engine.state(left) is None


_OWNER_OF_A_DEAD_PROCESS = (
    "import json; from release.programs.owner import Owner; print(json.dumps(Owner.here().labels()))"
)


def dead_run(service: Service, engine: Engine) -> None:
    """A run that is killed while its tests run."""
    before = (service.folder / "test.py").read_text()
    service.commit("test: take long", {"test.py": "import time; time.sleep(300)"})
    with service.start(sys.executable, "-m", "nox", "-s", "test") as process:
        mine = {"release.service": service.name, "release.role": "test"}
        lab.eventually(lambda: engine.containers(mine), what="the tests", seconds=60)
        process.kill()
        process.communicate(timeout=60)
    assert engine.containers({"release.service": service.name}) != []
    service.commit("test: be quick", {"test.py": before})


def run_of(service: Service) -> Path:
    """The folder of its newest run."""
    return max((service.folder / ".release/runs").iterdir(), key=lambda path: path.name)


def after_build(service: Service) -> bool:
    """Whether the newest run has passed everything but lint."""
    files = sorted((service.folder / ".release/runs").glob("*/stages.jsonl"))
    text = files[-1].read_text() if files else ""
    return all(f'"stage": "{name}", "event": "passed"' in text for name in ("test", "smoke", "push"))
