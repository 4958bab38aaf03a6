"""What another program started: adopted, and replaced by the first deployment. The target is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release.records import parse
from release.reference import Digest
from release.runspec import Publish, RunSpec
from release.secrets.redact import Redacted
from tests.unit.deploy.bench import TABLE, MemoryBench, memory_bench
from tests.unit.deploy.memory import Killed
from tests.unit.ledger import samples
from tests.unit.repository import Repository, without_own_settings

FOREIGN = Digest(f"sha256:{samples.digits('foreign')}")
VERSION = f"0.0.0-adopted.d{FOREIGN.hex[:12]}"


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[MemoryBench]:
    """A service with three releases; what runs is none of them."""
    without_own_settings(monkeypatch)
    with memory_bench(Repository.init(tmp_path), monkeypatch, capsys) as made:
        yield made


def configured(bench: MemoryBench, more: str) -> None:
    """Add lines to the environment's table."""
    (bench.repository.root / "pyproject.toml").write_text(TABLE + more)


def adopted(bench: MemoryBench, *words: str) -> dict[str, Any]:
    status, record = bench.run("adopt", "--yes", *words)
    assert status == 0, bench.said
    found: dict[str, Any] = record
    return found


def refused(bench: MemoryBench, *words: str, status: int) -> str:
    """The error of an adoption that must not happen; nothing is recorded."""
    assert bench.run("adopt", "--yes", *words)[0] == status
    said = bench.said
    assert [each["kind"] for each in bench.run("history")[1]] == ["release"] * 3
    return said


def running(bench: MemoryBench) -> list[str]:
    """Names of what runs."""
    return sorted(
        each.name.partition("-0")[0] for each in bench.machine.instances if each.status == "running"
    )


def test_an_unknown_image_becomes_a_release_whose_build_is_not_known(bench: MemoryBench) -> None:
    """Its version is made from the digest; the record lists what is not known, and reads back."""
    bench.starts("web", FOREIGN, RunSpec(env={"COLOUR": "blue"}, memory=1 << 28))
    record = adopted(bench, "--name", "web", "--message", "from docker run")
    assert (record["message"], record["reason"], record["digest"]) == (
        "from docker run",
        "promote",
        str(FOREIGN),
    )
    assert record["run_spec"]["env"] == {"COLOUR": "blue"}
    assert record["adopted"] == {
        "kind": "instance",
        "name": "web",
        "id": record["adopted"]["id"],
        "image": str(FOREIGN),
        "left_out": [],
    }
    release = bench.released(VERSION)
    assert release.body.adopted == "production"
    assert release.body.recovered is not None
    assert {"lock", "source.commit", "build.dockerfile", "gates"} <= set(release.body.recovered.unknown)
    assert parse(release.to_bytes(), "again").body == release.body
    assert VERSION not in str(bench.run("verify", "--ledger")[1])
    history = bench.run("history")[1]
    assert [each["kind"] for each in history[:3]] == ["deployment", "deployment", "release"]


def test_the_operator_may_name_the_version(bench: MemoryBench) -> None:
    """No commit is recorded: a label of an image proves none."""
    bench.starts("web", FOREIGN)
    adopted(bench, "--name", "web", "--as-version", "0.0.9")
    assert bench.released("0.0.9").body.source.commit == "0" * 40
    assert bench.run("diff", "0.0.9", "0.1.0")[0] == 0, bench.said
    assert bench.run("show", "0.0.9")[0] == 0, bench.said


def test_a_rollback_restores_exactly_what_was_adopted(bench: MemoryBench) -> None:
    """The image by digest and the settings that it had; the object itself is kept, stopped."""
    bench.starts("web", FOREIGN, RunSpec(env={"COLOUR": "blue"}, restart="always"))
    adopted(bench, "--name", "web")
    assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 0, bench.said
    assert running(bench) == ["api-production"] or len(running(bench)) == 1
    status, record = bench.run("rollback", "--yes")
    assert (status, record["digest"], record["run_spec"]["env"]) == (0, str(FOREIGN), {"COLOUR": "blue"})
    (one,) = (each for each in bench.machine.instances if each.status == "running")
    assert (one.image, one.labels["release.version"]) == (FOREIGN, VERSION)
    assert bench.machine.settings[one.id].restart == "always"
    assert [each.status for each in bench.machine.instances if each.name == "web"] == ["exited"]
    assert bench.run("status", "--exit-code")[0] == 0, bench.said


def test_a_deployment_that_fails_starts_it_again(bench: MemoryBench) -> None:
    """Exit status 3; where it cannot be started again the error says so, with status 4."""
    bench.starts("web", FOREIGN)
    adopted(bench, "--name", "web")
    assert bench.run("deploy", "--to", "0.3.0", "--yes")[0] == 3
    assert "the instance web runs again" in bench.said
    assert bench.run("status", "--exit-code")[0] == 0, bench.said
    bench.machine.sick.add(FOREIGN)
    assert bench.run("deploy", "--to", "0.3.0", "--yes")[0] == 4
    assert "could not be started again" in bench.said


@pytest.mark.parametrize("step", ["stopped", "start", "prove"])
def test_an_operator_who_dies_leaves_something_that_converge_ends(bench: MemoryBench, step: str) -> None:
    """Reverted: the object runs again. What began can also be replaced by another deployment."""
    bench.starts("web", FOREIGN)
    adopted(bench, "--name", "web")
    bench.machine.die_before = step
    with pytest.raises(Killed):
        bench.run("deploy", "--to", "0.2.0", "--yes")
    bench.machine.is_operator_dead = False
    assert running(bench) != ["web"]
    status, _ = bench.run("converge", "--revert", "--yes", "--break-lock", "--message", "it died")
    assert status == 0, bench.said
    assert running(bench) == ["web"]
    state = bench.run("status")[1]
    assert (state["running"]["version"], state["drift"], state["lock"]) == (VERSION, [], None)


@pytest.mark.parametrize("what", ["restart", "stop", "start"])
def test_operations_are_left_to_the_program_that_started_it(bench: MemoryBench, what: str) -> None:
    """Until a deployment has replaced the object."""
    bench.starts("web", FOREIGN)
    adopted(bench, "--name", "web")
    assert bench.run(what, "--message", "why", "--yes")[0] == 2
    assert "no deployment has replaced it yet" in bench.said
    assert running(bench) == ["web"]
    assert bench.run("logs")[0] == 2
    assert "no deployment has replaced it yet" in bench.said


def test_the_other_commands_know_an_adopted_release(bench: MemoryBench) -> None:
    """The plan says what becomes of the object; a rollback is proven ready; nothing is pruned."""
    bench.starts("web", FOREIGN)
    adopted(bench, "--name", "web")
    plan = bench.run("deploy", "--to", "0.2.0", "--plan")[1]
    assert "the instance web was adopted: this deployment stops it, and keeps it" in plan["notes"]
    assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 0, bench.said
    assert bench.run("verify")[1][0]["ready"], bench.said
    assert bench.run("drill", "--to", VERSION, "--yes")[0] == 0, bench.said
    assert bench.run("prune", "--plan")[0] == 0, bench.said
    assert bench.run("verify", "--repair", "--plan")[0] == 0, bench.said
    assert bench.run("metrics")[0] == 0, bench.said


def test_an_interrupted_deployment_can_be_finished(bench: MemoryBench) -> None:
    """The adopted object stays stopped then."""
    bench.starts("web", FOREIGN)
    adopted(bench, "--name", "web")
    bench.machine.die_before = "prove"
    with pytest.raises(Killed):
        bench.run("deploy", "--to", "0.2.0", "--yes")
    bench.machine.is_operator_dead = False
    status, _ = bench.run("converge", "--finish", "--yes", "--break-lock", "--message", "it died")
    assert status == 0, bench.said
    assert [each.status for each in bench.machine.instances if each.name == "web"] == ["exited"]
    assert bench.run("status")[1]["running"]["version"] == "0.2.0"


def test_a_variable_that_looks_like_a_secret_is_not_recorded(bench: MemoryBench) -> None:
    """Refused by name, without its value; with a source in the configuration its fingerprint is recorded."""
    bench.starts("web", FOREIGN, RunSpec(env={"API_TOKEN": "hunter2hunter2", "COLOUR": "blue"}))
    said = refused(bench, "--name", "web", status=2)
    assert "API_TOKEN" in said
    assert "hunter2" not in said
    configured(bench, 'secrets = { API_TOKEN = { from_env = "TOKEN_HERE" } }\n')
    record = adopted(bench, "--name", "web")
    assert list(record["run_spec"]["secrets"]) == ["API_TOKEN"]
    assert record["run_spec"]["env"] == {"COLOUR": "blue"}
    assert "hunter2" not in str(record)


def test_secrets_of_the_target_need_a_source_for_rollbacks(
    bench: MemoryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that the target shows is compared with the source."""
    one = bench.starts("web", FOREIGN)
    bench.machine.secrets[one.id] = {"PASSWORD": Redacted("old-password")}
    assert "secrets.PASSWORD" in refused(bench, "--name", "web", status=2)
    configured(bench, 'secrets = { PASSWORD = { from_env = "PASSWORD_HERE" } }\n')
    monkeypatch.setenv("PASSWORD_HERE", "new-password")
    assert bench.run("adopt", "--name", "web", "--plan")[1]["notes"][1:] == [
        "the secret PASSWORD has another value in its source than in what runs"
    ]
    assert list(adopted(bench, "--name", "web")["run_spec"]["secrets"]) == ["PASSWORD"]


@pytest.mark.parametrize(
    "setting",
    [
        {"env": {"GREETING": "p4ssw0rd-of-it"}},
        {"env": {"STORE": "redis://:p4ssw0rd-of-it@cache/0"}},
        {"command": ["serve", "--key=p4ssw0rd-of-it"]},
        {"labels": {"note": "p4ssw0rd-of-it"}},
    ],
)
def test_the_value_of_a_known_secret_is_found_under_any_name(
    bench: MemoryBench, monkeypatch: pytest.MonkeyPatch, setting: dict[str, Any]
) -> None:
    """In a variable, an address, a command or a label; the value itself is not said."""
    monkeypatch.setenv("TOKEN_HERE", "p4ssw0rd-of-it")
    configured(bench, 'secrets = { API_TOKEN = { from_env = "TOKEN_HERE" } }\n')
    bench.starts("web", FOREIGN, RunSpec(**setting))
    said = refused(bench, "--name", "web", status=2)
    assert "the value of the secret API_TOKEN is in it" in said
    assert "p4ssw0rd" not in said


def test_settings_that_cannot_be_expressed_are_refused_by_name(bench: MemoryBench) -> None:
    """The operator can do without them; a name that is none is refused with the near one."""
    bench.starts("web", FOREIGN, odd="yes")
    assert "hostname: web-1: a deployment cannot express it" in refused(bench, "--name", "web", status=2)
    said = refused(bench, "--name", "web", "--leave-out", "hostnam", status=2)
    assert "did you mean 'hostname'?" in said
    record = adopted(bench, "--name", "web", "--leave-out", "hostname")
    assert record["adopted"]["left_out"] == ["hostname: web-1"]


def test_it_is_found_by_name_port_or_repository(bench: MemoryBench) -> None:
    """The first rule with a match decides; several matches are listed."""
    assert "nothing else runs there" in refused(bench, status=2)
    bench.starts("web", FOREIGN)
    configured(bench, 'publish = ["8080:8000"]\n')
    assert bench.run("adopt", "--plan")[1]["adopted"]["name"] == "web"
    bench.starts("web-2", FOREIGN)
    said = refused(bench, status=2)
    assert "2 objects fit" in said
    assert "--name NAME" in said
    bench.starts("api-production", FOREIGN)
    assert bench.run("adopt", "--plan")[1]["adopted"]["name"] == "api-production"
    assert "no running instance is called 'nobody'" in refused(bench, "--name", "nobody", status=2)


@pytest.mark.parametrize(
    ("version", "said"),
    [("0.1.0", "that version is the image"), ("1.2", "not a semantic version")],
)
def test_a_version_must_be_free_and_well_formed(bench: MemoryBench, version: str, said: str) -> None:
    """Versions and digests belong together for ever."""
    bench.starts("web", FOREIGN)
    assert said in refused(bench, "--name", "web", "--as-version", version, status=2)


def test_what_cannot_run_well_or_has_no_image_is_refused(bench: MemoryBench) -> None:
    """Each with what to do."""
    bench.starts("sick", FOREIGN, trouble="it is unhealthy")
    assert "it is unhealthy" in refused(bench, "--name", "sick", status=2)
    bench.starts("gone", FOREIGN)
    del bench.machine.images[FOREIGN]
    assert "push it" in refused(bench, "--name", "gone", status=6)


def test_an_environment_with_deployments_is_refused(bench: MemoryBench) -> None:
    """What runs there is ours."""
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0
    bench.starts("web", FOREIGN)
    assert bench.run("adopt", "--name", "web", "--yes")[0] == 2
    assert "a healthy deployment" in bench.said


def test_a_known_release_is_adopted_under_its_version(bench: MemoryBench) -> None:
    """No second release is recorded for its digest."""
    bench.foreign("0.1.0")
    adopted(bench, "--name", "web")
    assert [each["kind"] for each in bench.run("history")[1]].count("release") == 3
    assert bench.run("adopt", "--name", "web", "--as-version", "9.9.9", "--yes")[0] == 2


def test_it_changed_by_hand_since_is_seen(bench: MemoryBench) -> None:
    """Stopped, or another image under its name."""
    bench.starts("web", FOREIGN, RunSpec(publish=(Publish.model_validate("8080:8000"),)))
    adopted(bench, "--name", "web")
    bench.machine.instances.clear()
    assert bench.run("status", "--exit-code")[0] == 1
    assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 0, bench.said
