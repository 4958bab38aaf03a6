"""A target in memory: it keeps the contract, and every command works on it unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.deploy.core.upkeep import Unneeded
from release.reference import Digest
from tests.contract import TargetContract
from tests.unit.deploy.bench import TABLE, MemoryBench, memory_bench
from tests.unit.deploy.memory import Killed
from tests.unit.repository import Repository, without_own_settings


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[MemoryBench]:
    """A service with three releases, and nothing deployed."""
    without_own_settings(monkeypatch)
    with memory_bench(Repository.init(tmp_path), monkeypatch, capsys) as made:
        yield made


class TestMemoryTarget(TargetContract):
    """The row of the target in memory."""


def deployed(bench: MemoryBench, *versions: str) -> None:
    for version in versions:
        status, _ = bench.run("deploy", "--to", version, "--yes")
        assert status == 0, bench.said


def running(bench: MemoryBench) -> list[str]:
    """Versions of what runs."""
    return [each.labels["release.version"] for each in bench.machine.instances if each.status == "running"]


def statuses(bench: MemoryBench) -> list[str]:
    """Statuses of the deployments, oldest first."""
    records = bench.run("history", "--limit", "100")[1]
    return [each["status"] for each in reversed(records) if each["kind"] == "deployment"]


def test_a_release_that_is_not_healthy_is_recorded_and_what_ran_runs_on(bench: MemoryBench) -> None:
    """Exit status 3, as on every target."""
    deployed(bench, "0.1.0")
    assert bench.run("deploy", "--to", "0.3.0", "--yes")[0] == 3
    assert "what ran before still runs" in bench.said
    assert running(bench) == ["0.1.0"]
    assert statuses(bench) == ["started", "healthy", "started", "restored"]


def test_a_rollback_quarantines_what_it_leaves(bench: MemoryBench) -> None:
    """The release before runs again, with its settings."""
    deployed(bench, "0.1.0", "0.2.0")
    assert bench.run("rollback", "--yes")[0] == 0
    assert running(bench) == ["0.1.0"]
    assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 6
    assert "quarantined" in bench.said


@pytest.mark.parametrize(
    ("step", "way", "version", "end"),
    [
        ("start", "revert", "0.1.0", "restored"),
        ("prove", "finish", "0.2.0", "healthy"),
        ("prove", "revert", "0.1.0", "restored"),
        ("remove", "finish", "0.2.0", "healthy"),
        ("remove", "revert", "0.1.0", "restored"),
    ],
)
def test_what_a_dead_operator_left_is_ended(
    bench: MemoryBench, step: str, way: str, version: str, end: str
) -> None:
    """The lock keeps the request; nothing of it is left, and the end is recorded."""
    deployed(bench, "0.1.0")
    bench.machine.die_before = step
    with pytest.raises(Killed):
        bench.run("deploy", "--to", "0.2.0", "--yes")
    bench.machine.is_operator_dead = False
    assert list(bench.machine.locks) == ["release-lock-api-production"]
    status, _ = bench.run("converge", f"--{way}", "--yes", "--break-lock", "--message", "it died")
    assert status == 0, bench.said
    assert running(bench) == [version]
    assert bench.machine.locks == {}
    assert statuses(bench)[-1] == end
    assert bench.run("status")[1]["unfinished"] is None


def test_a_drill_touches_nothing_and_is_recorded(bench: MemoryBench) -> None:
    """A good one, and one that does not become healthy: nothing of either is left."""
    deployed(bench, "0.1.0", "0.2.0")
    before = list(bench.machine.instances)
    status, told = bench.run("drill", "--yes")
    assert (status, told["version"], told["evidence"]) == (0, "0.1.0", "1 of 1 instances are healthy")
    bench.machine.sick.add(Digest(bench.released("0.1.0").body.image.digest))
    assert bench.run("drill", "--yes")[0] == 1
    assert bench.machine.instances == before
    records = bench.run("history")[1]
    drills = [each["result"] for each in records if each["kind"] == "verification"]
    assert drills == ["failed", "passed"]


def test_a_change_by_hand_is_drift(bench: MemoryBench) -> None:
    """A setting that is not as recorded, and an instance that nobody recorded."""
    deployed(bench, "0.1.0")
    (one,) = bench.machine.instances
    known = bench.machine.settings[one.id]
    bench.machine.settings[one.id] = known.model_copy(update={"memory": 1 << 28})
    (found,) = bench.run("status")[1]["drift"]
    assert found.startswith(f"{one.name}: memory {1 << 28}, but")


def test_a_release_that_is_nowhere_is_not_ready(bench: MemoryBench) -> None:
    """Verified before anybody needs it: exit status 6."""
    deployed(bench, "0.1.0", "0.2.0")
    image = Digest(bench.released("0.1.0").body.image.digest)
    assert bench.run("verify")[0] == 0
    del bench.machine.images[image]
    status, (told,) = bench.run("verify")
    assert (status, told["ready"]) == (6, False)
    problems = {each["version"]: each["problems"] for each in told["verdicts"]}
    assert problems["0.1.0"] == ["the machine does not have it; without a registry, no other place has it"]


def test_images_and_objects_that_nothing_needs_are_pruned(bench: MemoryBench) -> None:
    """What runs stays, and so does what it could go back to."""
    few = '[tool.release.retention]\nreleases = 1\nwindow = "1ms"\nlast_copies = true\n'
    bench.repository.commit("feat: keep little", **{"pyproject.toml": TABLE + few})
    deployed(bench, "0.1.0", "0.2.0")
    secret = Unneeded(kind="secrets", id="1", name="api-production-TOKEN")
    bench.machine.objects.append(secret)
    status, (told,) = bench.run("prune", "--yes")
    assert status == 0, bench.said
    assert [each["version"] for each in told["removed"]] == ["0.1.0"]
    assert [each["name"] for each in told["removed_objects"]] == [secret.name]
    assert list(bench.machine.images) == [Digest(bench.released("0.2.0").body.image.digest)]
    assert bench.machine.objects == []
    assert bench.machine.locks == {}


def test_a_command_that_migrates_the_data_runs_first(bench: MemoryBench) -> None:
    """With its end in the record; one that fails stops the deployment, and what runs is not touched."""
    migrations = '[tool.release.migrations]\npaths = ["migrations/*.py"]\nup = ["app", "migrate"]\n'
    bench.repository.commit("feat: migrate", **{"pyproject.toml": TABLE + migrations})
    deployed(bench, "0.1.0")
    assert bench.machine.commands == []
    bench.machine.failing.add(("app", "migrate"))
    assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 1
    assert "exit status 1; what runs was not changed" in bench.said
    assert "then deploy again: the command runs once more" in bench.said
    assert running(bench) == ["0.1.0"]


def test_the_hint_of_a_command_that_failed_for_the_release_that_runs_has_again(bench: MemoryBench) -> None:
    """Without --again, the next deployment only verifies what runs."""
    migrations = '[tool.release.migrations]\npaths = ["migrations/*.py"]\nup = ["app", "migrate"]\n'
    bench.repository.commit("feat: migrate", **{"pyproject.toml": TABLE + migrations})
    deployed(bench, "0.1.0")
    bench.machine.failing.add(("app", "migrate"))
    assert bench.run("deploy", "--to", "0.1.0", "--again", "--yes")[0] == 1
    assert "then deploy again with --again: the command runs once more" in bench.said
    bench.machine.failing.clear()
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0
    assert "runs already with these settings: only verified" in bench.said


def test_a_command_that_runs_after_the_release_and_fails_leaves_the_release(bench: MemoryBench) -> None:
    """Status 4: it is recorded as healthy with the command that failed, and the status says so."""
    migrations = '[tool.release.migrations]\npaths = ["m/*.py"]\nup = ["app", "migrate"]\nwhen = "after"\n'
    bench.repository.commit("feat: migrate", **{"pyproject.toml": TABLE + migrations})
    deployed(bench, "0.1.0")
    bench.machine.failing.add(("app", "migrate"))
    assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 4
    assert "0.2.0 runs and was verified healthy" in bench.said
    assert "the data is not migrated, or only in part: exit status 1" in bench.said
    assert (running(bench), statuses(bench)[-1]) == (["0.2.0"], "healthy")
    assert bench.machine.commands == []
    failed = "data migrated perhaps, or in part by `app migrate` of 0.2.0"
    assert failed in json.dumps(bench.run("status")[1])
    bench.machine.failing.clear()
    assert bench.run("deploy", "--to", "0.2.0", "--again", "--yes")[0] == 0
    assert failed not in json.dumps(bench.run("status")[1])


def test_a_command_that_was_to_run_after_an_interrupted_release_is_told(bench: MemoryBench) -> None:
    """Its operator died before the command: converge finishes the release, and says what is left."""
    migrations = '[tool.release.migrations]\npaths = ["m/*.py"]\nup = ["app", "migrate"]\nwhen = "after"\n'
    bench.repository.commit("feat: migrate", **{"pyproject.toml": TABLE + migrations})
    deployed(bench, "0.1.0")
    bench.machine.die_before = "prove"
    with pytest.raises(Killed):
        bench.run("deploy", "--to", "0.2.0", "--yes")
    bench.machine.is_operator_dead = False
    assert bench.run("converge", "--finish", "--yes", "--break-lock", "--message", "dead")[0] == 0
    told = "data not migrated: `app migrate` of 0.2.0 did not run"
    assert told in bench.said
    assert told in json.dumps(bench.run("status")[1])


def test_doctor_asks_the_target(bench: MemoryBench) -> None:
    """Machine, and today's settings."""
    status, told = bench.run("doctor", "--only", "deployments")
    assert status == 0
    found = {each["name"]: each["found"] for each in told}
    assert found["production: engine"] == "memory://machine is in memory"
    assert found["production: settings"] == "0 networks and 0 volumes are there"


def test_several_processes_are_replaced_and_put_back_together(bench: MemoryBench) -> None:
    """Each has its instances and its settings, here as on one engine."""
    processes = (
        "[tool.release.environments.production.processes]\n"
        'web = { command = ["web"] }\nworker = { command = ["worker"], after = ["web"] }\n'
    )
    bench.repository.commit("feat: add a worker", **{"pyproject.toml": TABLE + processes})
    deployed(bench, "0.1.0", "0.2.0")
    before = list(bench.machine.instances)
    assert {each.process for each in before} == {"web", "worker"}
    drilled = bench.run("drill", "--yes")[1]
    assert drilled["evidence"] == "web: 1 of 1 instances are healthy; worker: 1 of 1 instances are healthy"
    assert bench.machine.instances == before
    assert bench.run("deploy", "--to", "0.3.0", "--yes")[0] == 3
    assert bench.run("rollback", "--yes")[0] == 0
    assert running(bench) == ["0.1.0"] * 2
    assert bench.run("status")[1]["drift"] == []
