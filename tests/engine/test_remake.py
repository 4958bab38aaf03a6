"""A released image is made again from its record, and proven to be the same, by the real programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release.images.engine import Engine
from release.reference import Reference, Repository
from tests.engine import lab
from tests.engine.service import APP, DOCKERFILE, Ran, Service, make_service

CLOCK = "RUN date +%s%N > /stamp"
"""What makes another image every time."""


@pytest.fixture
def service(tmp_path: Path, engine: Engine) -> Iterator[Service]:
    """A service with nothing released."""
    made = make_service(tmp_path / "service")
    yield made
    lab.remove_service(engine, made.name)


def well(ran: Ran) -> Ran:
    assert ran.status == 0, ran.all
    return ran


def two_deployed(service: Service) -> list[dict[str, Any]]:
    """0.1.0 has run, and 0.2.0 runs: their release records."""
    for version in ("0.1.0", "0.2.0"):
        service.commit(f"feat: what {version} brings", {"notes.txt": version})
        well(service.nox("release"))
        well(service.invoke("deploy", "--to", version, "--yes"))
    return [record for record in service.records() if record["kind"] == "release"]


def forget(service: Service, release: dict[str, Any]) -> None:
    """Take the image away from the engine."""
    well(service.run("docker", "image", "rm", "--force", release["image"]["digest"]))


def test_last_weeks_image_comes_back_byte_for_byte(service: Service, engine: Engine) -> None:
    """Gone from the engine, with other settings today and a newer release: built again, and kept."""
    well(service.nox("release"))
    (first,) = service.records()
    service.configure(build={"target": "runtime", "args": {"FLAVOUR": "other"}})
    service.commit("feat: greet in another way", {"app.py": APP.replace('"hello"', 'str("hello")')})
    well(service.nox("release"))
    lab.remove_service(engine, service.name)

    made = well(service.invoke("verify", "--rebuild", "0.1.0", "--keep", "--record", "--json")).document()
    assert (made["verdict"], made["proven"]) == ("identical", True)
    assert made["manifest_digest"] == made["digest"] == first["image"]["digest"]
    assert made["config_digest"] == first["image"]["config_digest"]
    kept = engine.inspect(Reference.parse(made["kept"]))
    assert kept is not None
    assert str(kept.id) == first["image"]["digest"]
    record = service.records()[-1]
    assert (record["what"], record["result"]) == ("rebuild", "passed")
    assert record["releases"][0]["release"] == made["release"]
    shown = well(service.invoke("show", "0.1.0"))
    assert "rebuild passed" in shown.out


def test_a_rollback_to_an_image_that_is_nowhere_builds_it_again(service: Service, engine: Engine) -> None:
    """It is refused and told how; with --rebuild it is built from the record, proven, and serves."""
    port = lab.free_port()
    service.configure(environments={"production": {"publish": [f"127.0.0.1:{port}:8000"], "watch": "0s"}})
    first, _ = two_deployed(service)
    forget(service, first)

    refused = service.invoke("rollback", "--to", "0.1.0", "--yes")
    assert refused.status == 6, refused.all
    assert "`--rebuild` builds it again from its record" in refused.err
    plan = well(service.invoke("rollback", "--to", "0.1.0", "--rebuild", "--plan", "--json")).document()
    assert plan["bytes_from"] == "rebuild"
    (build_ms,) = [gate["duration_ms"] for gate in first["gates"] if gate["name"] == "build"]
    assert plan["expected_ms"] > build_ms
    done = well(service.invoke("rollback", "--to", "0.1.0", "--rebuild", "--yes"))
    assert "identical" in done.err
    assert first["image"]["digest"] in done.out
    assert "0.1.0" in well(service.invoke("status", "--exit-code")).out


def test_a_rollback_to_what_comes_out_as_another_image_touches_nothing(
    service: Service, engine: Engine
) -> None:
    """Exit status 6: what serves goes on, and no deployment is recorded."""
    port = lab.free_port()
    service.configure(
        test={"command": ["python3", "-c", "print('1 passed')"]},
        environments={"production": {"publish": [f"127.0.0.1:{port}:8000"], "watch": "0s"}},
    )
    service.commit("feat: look at the clock", {"Dockerfile": DOCKERFILE.replace("USER 10001", CLOCK)})
    first, _ = two_deployed(service)
    forget(service, first)
    before, records = engine.containers({"release.service": service.name}), service.records()

    refused = service.invoke("rollback", "--to", "0.1.0", "--rebuild", "--yes")
    assert refused.status == 6, refused.all
    assert "different, so the environment was not changed" in refused.err
    assert engine.containers({"release.service": service.name}) == before
    assert service.records() == records


def test_a_base_image_whose_tag_has_moved_is_taken_by_its_digest(service: Service, engine: Engine) -> None:
    """The recorded one is used, not the one of that name now."""
    base = Repository(f"localhost/{service.name}-base").tagged("1")
    found = engine.inspect(Reference.parse(lab.SMALL_IMAGE))
    assert found is not None
    engine.tag(found.id, base)
    try:
        service.commit("feat: own base", {"Dockerfile": DOCKERFILE.replace(lab.SMALL_IMAGE, str(base))})
        well(service.nox("release"))
        moved = lab.build(
            engine,
            str(base),
            dockerfile=f"FROM {lab.SMALL_IMAGE}\nENV MOVED=1\n",
            folder=service.folder.parent / "base",
        )
        assert moved != found.id
        made = well(service.invoke("verify", "--rebuild", "0.1.0", "--json")).document()
        assert made["verdict"] == "identical"
    finally:
        engine.untag(base)


def test_what_was_not_reproducible_is_told_to_be_different(service: Service, engine: Engine) -> None:
    """Exit status 6, why the release itself was doubtful, and nothing is left or kept."""
    service.configure(test={"command": ["python3", "-c", "print('1 passed')"]})
    service.commit("feat: look at the clock", {"Dockerfile": DOCKERFILE.replace("USER 10001", CLOCK)})
    well(service.nox("release"))
    before = engine.containers({"release.service": service.name})
    rebuilt = service.invoke("verify", "--rebuild", "0.1.0", "--keep")
    assert rebuilt.status == 6, rebuilt.all
    assert f"{service.name} 0.1.0 rebuilt  different" in rebuilt.out
    assert "/stamp" in rebuilt.out
    assert "kept as" not in rebuilt.out
    assert engine.containers({"release.service": service.name}) == before
    assert engine.tags(Repository(f"localhost/release-rebuild/{service.name}")) == ()


def test_a_commit_that_this_clone_lacks_is_said(service: Service, tmp_path: Path) -> None:
    """With what to fetch."""
    well(service.nox("release"))
    service.commit("feat: more")
    clone = Service(folder=tmp_path / "shallow", name=service.name)
    service.git("clone", "--quiet", "--depth", "1", f"file://{service.folder}", str(clone.folder))
    clone.git("fetch", "--quiet", "origin", "release-ledger:release-ledger")
    lacking = clone.invoke("verify", "--rebuild", "0.1.0")
    assert lacking.status == 1, lacking.all
    assert "this clone does not have the commit" in lacking.err
    assert "v0.1.0" in lacking.err
