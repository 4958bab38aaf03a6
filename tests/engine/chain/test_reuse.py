"""A gate that passed is not run again on the same inputs, and the record says which run passed it."""

from __future__ import annotations

import json
from pathlib import Path

from release.images.engine import Engine
from release.programs.process import output_of
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.test_release import released
from tests.engine.service import APP, DOCKERFILE, Service

GATES = {"lock", "lint", "build", "test", "smoke"}
JUNIT = (
    "import pathlib\npathlib.Path('/tmp/release-junit.xml').write_text('<testsuites/>')\nprint('1 passed')\n"
)


def run_folders(service: Service) -> list[Path]:
    """Of the runs so far, oldest first."""
    return sorted((service.folder / ".release/runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)


def ended(service: Service, event: str) -> set[str]:
    """Stages of the last run that ended so."""
    lines = (run_folders(service)[-1] / "stages.jsonl").read_text().splitlines()
    notes = [json.loads(line) for line in lines]
    return {note["stage"] for note in notes if note["event"] == event}


def test_a_release_after_a_check_is_a_push_and_a_record(make: Make) -> None:
    """The gates of the check stand in the record, with their evidence, their times and its run."""
    service = make(files={"test.py": JUNIT})
    assert service.nox("check").status == 0
    ran = service.nox("release")
    released(ran)
    assert ended(service, "reused") == GATES
    assert ended(service, "passed") == {"push", "record", "promote"}
    (record,), (check, release) = service.records(), run_folders(service)
    assert {gate["name"]: gate.get("run") for gate in record["gates"]} == {
        **dict.fromkeys(GATES, check.name),
        "push": None,
    }
    assert record["run"]["id"] == release.name
    assert (release / "junit.xml").read_bytes() == (check / "junit.xml").read_bytes()
    assert ran.err.count("reused: passed at") == 5


def test_after_a_push_that_failed_only_the_push_is_done(
    make: Make, locked_registry: lab.RunningRegistry, tmp_path: Path
) -> None:
    """All gates passed, and the registry refused: with the right login the second run sends and records."""
    assert locked_registry.login is not None
    assert locked_registry.certificate is not None
    trust = {"REQUESTS_CA_BUNDLE": str(locked_registry.certificate.certificate)}
    nobody = lab.docker_config(tmp_path / "nobody")
    somebody = lab.docker_config(tmp_path / "somebody", (locked_registry.host, locked_registry.login))
    service = make(registry=f"{locked_registry.host}/{lab.unique()}")
    assert service.nox("check", DOCKER_CONFIG=str(nobody), **trust).status == 0
    refused = service.nox("release", DOCKER_CONFIG=str(nobody), **trust)
    assert refused.status == 1, refused.all
    assert ended(service, "failed") == {"push"}
    assert service.records() == []
    released(service.nox("release", DOCKER_CONFIG=str(somebody), **trust))
    assert ended(service, "reused") == GATES
    assert ended(service, "passed") == {"push", "record", "promote"}


def test_a_gate_that_failed_runs_again_and_the_others_do_not(make: Make, tmp_path: Path) -> None:
    """What failed for a reason outside of the commit is tried again; what passed stands."""
    flag = tmp_path / "flag"
    service = make(lint={"commands": [f"test -e {flag}"]})
    assert service.nox("check").status == 1
    flag.touch()
    assert service.nox("check").status == 0
    assert "lint" in ended(service, "passed")
    assert service.nox("check").status == 0
    assert ended(service, "reused") == GATES


def test_an_image_that_is_gone_is_built_again(make: Make, engine: Engine) -> None:
    """The same image comes out, so that its tests need not run again."""
    service = make()
    assert service.nox("check").status == 0
    lab.remove_service(engine, service.name)
    assert service.nox("check").status == 0
    assert ended(service, "reused") == GATES - {"build"}


def test_a_base_that_moved_is_built_on(make: Make, engine: Engine) -> None:
    """The tag of a base is another image now: build, tests and smoke run again."""
    lab.small_image()
    base = f"localhost/{lab.unique('base')}:1"
    try:
        output_of(["docker", "tag", lab.SMALL_IMAGE, base])
        service = make(files={"Dockerfile": DOCKERFILE.replace(lab.SMALL_IMAGE, base)})
        assert service.nox("check").status == 0
        lab.build(
            engine, base, dockerfile=f"FROM {lab.SMALL_IMAGE}\nENV MOVED=1\n", folder=service.folder / "x"
        )
        assert service.nox("check").status == 0
        assert ended(service, "passed") == {"build", "test", "smoke"}
    finally:
        output_of(["docker", "rmi", "--force", base])


def test_another_commit_with_the_same_lockfile_does_not_check_it_again(make: Make) -> None:
    """Code is no input of it; what the lockfile is made from is."""
    service = make()
    assert service.nox("check").status == 0
    service.commit("feat: more", {"app.py": f"{APP}# more\n"})
    assert service.nox("check").status == 0
    assert ended(service, "reused") == {"lock"}
    service.commit("build: say more", {"requirements.in": "# none\n"})
    assert service.nox("check").status == 0
    assert ended(service, "reused") == set()


def test_other_files_and_damage_and_no_reuse_run_everything(make: Make) -> None:
    """Another tree is another question; a pass that cannot be read is none; and it can be forbidden."""
    service = make()
    assert service.nox("check").status == 0
    more = {"app.py": f"{APP}# more\n", "requirements.in": "# more\n"}
    service.commit("feat: more", more)
    assert service.nox("check").status == 0
    assert ended(service, "reused") == set()
    for kept in (service.folder / ".release/passed").iterdir():
        kept.write_bytes(kept.read_bytes()[:-1])
    assert service.nox("check").status == 0
    assert ended(service, "reused") == set()
    assert service.nox("check", "--", "--no-reuse").status == 0
    assert ended(service, "reused") == set()
    assert service.nox("check").status == 0
    assert ended(service, "reused") == GATES
