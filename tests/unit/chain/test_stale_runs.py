"""What a killed run leaves outside of its folder, and who may remove it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from release.chain import stale_runs
from release.chain.reports import ReportFolder
from release.chain.run_folder import KEPT_RUNS, RunFolder
from release.errors import EngineUnreachable, ReleaseError
from release.events import Event, Warned
from release.images.engine import ContainerState, Engine, StoredImage
from release.programs.owner import Owner
from release.reference import Digest, Reference
from release.values import replace
from tests.unit.deploy.fakes import FakeEngine, digest, state, stored
from tests.unit.files.test_private import give_away


@pytest.fixture(autouse=True)
def _own_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


def temporary(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "tmp").iterdir())


def killed(folder: RunFolder) -> None:
    """As if the process had been another one, which is gone."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        pass
    owner = folder.path / "owner.json"
    about = json.loads(owner.read_text())
    here = about["release.owner.process"].rpartition("/")[0]
    owner.write_text(
        json.dumps(about | {"release.owner.pid": str(process.pid), "release.owner.process": f"{here}/1"})
    )


def test_temporary_files_lie_outside_and_go_with_the_block(tmp_path: Path) -> None:
    """Nobody else may read them."""
    folder = RunFolder.create(tmp_path / "here")
    with folder.temporary_folder("lint") as tree:
        assert not tree.is_relative_to(tmp_path / "here")
        assert tree.parent.stat().st_mode & 0o777 == 0o700
        (tree / "file").write_text("x")
    assert not tree.exists()
    folder.remove_temporary_files()
    assert temporary(tmp_path) == []


@pytest.mark.attack(
    "Another local user knows a run's id and makes its temporary folder first, with programs in it",
    "The folder's name has 16 random digits more than the id; one that exists must be this user's, mode 0700",
)
def test_the_temporary_folder_cannot_be_made_by_another_user_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id does not tell its name; where the name is known all the same, the run refuses the folder."""
    folder, other = (RunFolder.create(tmp_path / "here") for _ in range(2))
    (tmp_path / "tmp" / f"release-{folder.id}").mkdir(mode=0o777)
    named = [Path(json.loads((each.path / "owner.json").read_text())["staging"]) for each in (folder, other)]
    tails = [
        path.name.removeprefix(f"release-{each.id}-")
        for path, each in zip(named, (folder, other), strict=True)
    ]
    assert all(len(tail) == 16 for tail in tails)
    assert tails[0] != tails[1]
    named[0].mkdir(mode=0o700)
    give_away(named[0], monkeypatch)
    with pytest.raises(ReleaseError, match="belongs to another user"), folder.temporary_folder("lint"):
        pytest.fail("the folder was used")


@pytest.mark.attack(
    "A folder of files that other users left wide open, or that another user owns, stands as .release",
    "Each folder of .release must be this user's and not a link; other users lose access to it",
)
def test_the_home_of_runs_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders have mode 0700 and files 0600, also those that an earlier version made."""
    home = tmp_path / "here" / ".release"
    (home / "runs" / "old").mkdir(parents=True, mode=0o755)
    (home / "runs" / "old" / "lint.log").write_text("")
    folder = RunFolder.create(tmp_path / "here")
    folder.append_stage_event("lint", "started")
    folder.write_json("plan.json", {})
    ReportFolder(path=home / "reports" / "api").write(home / "reports" / "api" / "junit.xml", "<x/>")
    modes = {path: path.stat().st_mode & 0o777 for path in (home, *home.rglob("*"))}
    assert {path: mode for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}
    give_away(home / "runs", monkeypatch)
    with pytest.raises(ReleaseError, match="belongs to another user"):
        RunFolder.create(tmp_path / "here")


def test_a_run_that_ended_is_nobodys(tmp_path: Path) -> None:
    """Its folder stays, with its logs."""
    folder = RunFolder.create(tmp_path / "here")
    assert stale_runs.may_be_running(folder.path)
    folder.remove_temporary_files()
    assert not stale_runs.may_be_running(folder.path)
    assert folder.path.exists()


def test_a_killed_run_is_told_from_a_living_one(tmp_path: Path) -> None:
    """By the process: its number, its start, its boot and its namespace."""
    living, dead = (RunFolder.create(tmp_path / "here") for _ in range(2))
    killed(dead)
    assert stale_runs.may_be_running(living.path)
    assert not stale_runs.may_be_running(dead.path)


def test_a_run_of_another_machine_is_left_alone(tmp_path: Path) -> None:
    """On a shared disk nobody here knows whether it lives."""
    folder = RunFolder.create(tmp_path / "here")
    killed(folder)
    owner = folder.path / "owner.json"
    owner.write_text(json.dumps(json.loads(owner.read_text()) | {"release.owner.host": "elsewhere"}))
    assert stale_runs.may_be_running(folder.path)


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    """Its temporary files and archives; its logs are kept."""
    folder = RunFolder.create(tmp_path / "here")
    staging = Path(json.loads((folder.path / "owner.json").read_text())["staging"])
    (staging / "lint-abc").mkdir(parents=True)
    (folder.path / "context.tar").write_bytes(b"x")
    folder.log_path("lint").write_text("linted")
    killed(folder)
    stale_runs.remove_temporary_files(folder.path)
    assert temporary(tmp_path) == []
    assert [path.name for path in folder.path.iterdir()] == ["lint.log"]


@pytest.mark.parametrize("name", ["precious", ""])
def test_only_a_folder_of_the_runs_own_name_is_removed(tmp_path: Path, name: str) -> None:
    """Whatever a damaged file says."""
    folder, precious = RunFolder.create(tmp_path / "here"), tmp_path / "tmp" / "precious"
    precious.mkdir()
    owner = folder.path / "owner.json"
    owner.write_text(json.dumps(json.loads(owner.read_text()) | {"staging": str(tmp_path / "tmp" / name)}))
    stale_runs.remove_temporary_files(folder.path)
    assert precious.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{"])
def test_a_damaged_owner_is_nobody(tmp_path: Path, content: bytes) -> None:
    """The run is taken for ended."""
    folder = RunFolder.create(tmp_path / "here")
    (folder.path / "owner.json").write_bytes(content)
    assert not stale_runs.may_be_running(folder.path)
    stale_runs.remove_temporary_files(folder.path)


def test_the_folder_of_a_living_run_is_kept_however_many_there_are(tmp_path: Path) -> None:
    """A long run is not robbed of its logs by fifty short ones."""
    living = RunFolder.create(tmp_path)
    old = living.path.with_name("20200101T000000-00000000")
    living.path.rename(old)
    for number in range(KEPT_RUNS):
        (old.parent / f"20210101T0000{number:02}-00000000").mkdir()
    RunFolder.create(tmp_path)
    assert old.exists()
    assert len(os.listdir(old.parent)) == KEPT_RUNS + 2  # noqa: PTH208 - names are enough


def test_what_cannot_be_removed_is_named_and_fails_nothing(tmp_path: Path) -> None:
    """A run's folder that is somebody else's; the others are swept, and so is the engine."""
    stuck, dead = (RunFolder.create(tmp_path / "here") for _ in range(2))
    killed(dead)
    (stuck.path / "owner.json").unlink()
    (stuck.path / "owner.json").mkdir()  # unlink(2) refuses
    told: list[Event] = []

    def reach() -> Engine:
        raise EngineUnreachable("reach the engine", "it is away")

    stale_runs.clean_up_stale_runs(tmp_path / "here" / ".release", "api", reach, told.append)
    first, second = (event.text for event in told if isinstance(event, Warned))
    assert f"could not remove the files of the killed run {stuck.id}" in first
    assert "it is away" in second
    assert not (dead.path / "owner.json").exists()
    stuck.remove_temporary_files()


class Machine(FakeEngine):
    """An engine with images of tests."""

    names_of: dict[str, dict[str, str]]

    def inspect(self, reference: Reference | Digest) -> StoredImage | None:  # type: ignore[override]
        return next((image for image in self.images if image.id == reference), None)

    def labelled_images(self, labels: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
        return dict(self.names_of)

    def untag(self, reference: Reference) -> None:  # type: ignore[override]
        self.calls.append(f"untag {reference}")

    def labelled_networks(self, _: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
        return {"of-a-killed-run": GONE, "of-this-one": {**GONE, **Owner.here().labels()}}

    def remove_network(self, name: str) -> None:
        self.calls.append(f"remove network {name}")


GONE = {
    "release.service": "api",
    "release.run": "7",
    **Owner(host=Owner.here().host, pid="999999999", process=Owner.here().process).labels(),
}


def ran(name: str, role: str, **labels: str) -> ContainerState:
    about = {**GONE, "release.role": role, **{key.replace("_", "."): value for key, value in labels.items()}}
    return state(name, image=digest(name), labels=about)


@pytest.mark.attack(
    "another user runs an image committed from a container of a killed run, or built on its test image",
    "a label that the image has, too, proves nothing: the container is named and not changed",
)
def test_what_has_the_labels_of_a_killed_run_from_its_image_is_left_alone(tmp_path: Path) -> None:
    """What the run itself made goes, also of an older version; so do names of its test images alone."""
    own = {"release_container": "7 test"}
    there = {
        "test": (ran("test", "test", **own), GONE),
        "smoke": (ran("smoke", "smoke", **own), {}),
        "older": (ran("older", "smoke"), {}),
        "database": (ran("database", "test"), GONE),
        "committed": (ran("committed", "smoke", **own), {**GONE, "release.container": "7 test"}),
        "broker": (ran("broker", "companion", release_container="7 companion"), {}),
    }
    engine = Machine()
    engine.images = tuple(replace(stored(digest(name)), labels=about) for name, (_, about) in there.items())
    for container, _ in there.values():
        engine.add(container)
    tests = ("localhost/release-test/api:7", "localhost/release-test/api:last", "localhost/database:1")
    engine.names_of = dict.fromkeys(tests, GONE)
    said: list[Event] = []
    stale_runs.clean_up_stale_runs(tmp_path, "api", lambda: engine, said.append)
    assert engine.names().keys() == {"database", "committed"}
    assert [call for call in engine.calls if call.startswith(("untag", "remove network"))] == [
        "untag localhost/release-test/api:7",
        "remove network of-a-killed-run",
    ]
    warned = [event.text for event in said if isinstance(event, Warned)]
    assert [text.partition(" ")[0] for text in warned] == ["database", "committed"]
    assert "docker rm -f database" in warned[0]
