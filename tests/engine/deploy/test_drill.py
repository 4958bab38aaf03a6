"""Rehearsals: a release really runs beside what serves, is measured, and leaves nothing."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from release.deploy.core.drill_request import DRILL
from release.deploy.core.place import Place
from release.programs.process import output_of
from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.test_processes import APP, settings
from tests.engine.deploy.world import World


def deployed(world: World, token: str = "") -> None:
    """0.1.0, then 0.2.0."""
    for version in ("0.1.0", "0.2.0"):
        done = world.invoke("deploy", "--to", version, "--yes", DRILL_TOKEN=token)
        assert done.status == 0, done.err


def left(world: World) -> list[str]:
    """What drills of this service left in the engine."""
    labels = Place(service=world.service, environment="production").labels(DRILL)
    containers = [state.name for state in world.engine.containers(labels)]
    return [*containers, *world.engine.labelled_networks(labels)]


def drills(world: World) -> list[dict[str, Any]]:
    """The records of drills, newest first."""
    records = world.invoke("history", "--json", "--limit", "100").data
    return [record for record in records if record["kind"] == "verification"]


@pytest.fixture
def volume() -> Any:
    """A volume with one file in it."""
    name = lab.unique("vol")
    output_of(["docker", "volume", "create", name])
    yield name
    output_of(["docker", "volume", "rm", "--force", name])


def test_a_drill_proves_the_last_good_release_and_touches_nothing(
    volume: str, world: World, tmp_path: Path
) -> None:
    """By default the one a bare rollback would go to; what serves goes on, and the time is recorded."""
    folder = tmp_path / "folder"
    folder.mkdir()
    world.configure(
        env='{ GREETING = "hello" }',
        secrets='{ TOKEN = { from_env = "DRILL_TOKEN" } }',
        volumes=f'["{volume}:/data", "{folder}:/folder:ro"]',
        labels='{ "traefik.enable" = "true" }',
    )
    deployed(world, "swordfish")
    serving = world.engine.state(world.container)
    drilled = world.invoke("drill", "--json")
    assert drilled.status == 0, drilled.err
    assert (drilled.data["version"], drilled.data["bytes_from"]) == ("0.1.0", "engine")
    assert drilled.data["duration_ms"] > 0
    said = " ".join(drilled.data["unchecked"])
    for part in ("TOKEN", volume, str(folder), str(world.port)):
        assert part in said
    assert "GET /healthz gave 200 OK" in drilled.err
    assert world.engine.state(world.container) == serving
    assert world.answer()["VERSION"] == "0.2.0"
    assert left(world) == []
    (record,) = drills(world)
    assert (record["what"], record["result"]) == ("drill", "passed")
    assert record["duration_ms"] == drilled.data["duration_ms"]
    assert world.invoke("status", "--json").data["drift"] == []
    assert "drill passed in production: healthy after" in world.invoke("show", "0.1.0").out
    plan = world.invoke("rollback", "--plan", DRILL_TOKEN="swordfish")
    assert "  rehearsed" in plan.out, plan.out + plan.err


def test_real_secrets_are_used_only_when_that_is_said(world: World) -> None:
    """It then acts like the real one, so it needs a yes; the value appears nowhere."""
    world.configure(secrets='{ TOKEN = { from_env = "DRILL_TOKEN" } }')
    deployed(world, "swordfish")
    asked = world.invoke("drill", "--with-secrets", DRILL_TOKEN="swordfish")
    assert asked.status == 2
    assert "add --yes" in asked.err
    lacking = world.invoke("drill", "--with-secrets", "--yes")
    assert lacking.status == 2
    assert "DRILL_TOKEN is not set" in lacking.err
    assert drills(world) == []
    done = world.invoke("drill", "--with-secrets", "--yes", "--json", "--no-record", DRILL_TOKEN="swordfish")
    assert done.status == 0, done.err
    assert not any("secrets" in what for what in done.data["unchecked"])
    assert "swordfish" not in done.out + done.err
    assert drills(world) == []


def test_a_release_that_does_not_become_healthy_fails_the_drill(make: Make) -> None:
    """Exit status 1 with its last lines, a record that says why, and nothing is left.

    This one needs its secret: without the real value it ends at once.
    """
    world = make()
    world.release("0.1.0", mode="crashing")
    world.configure(secrets='{ MODE = { from_env = "DRILL_MODE" } }')
    assert world.invoke("deploy", "--to", "0.1.0", "--yes", DRILL_MODE="good").status == 0
    failed = world.invoke("drill", "--to", "0.1.0")
    assert failed.status == 1, failed.err
    assert "cannot start with no token" in failed.err
    assert left(world) == []
    (record,) = drills(world)
    assert record["result"] == "failed"
    assert "ended" in record["releases"][0]["problems"][0]
    done = world.invoke("drill", "--to", "0.1.0", "--with-secrets", "--yes", DRILL_MODE="good")
    assert done.status == 0, done.err
    assert world.invoke("drill").status == 6


def test_a_killed_drill_is_tidied_by_the_next_one(make: Make) -> None:
    """SIGKILL leaves its container and network; a signal that can be heard leaves nothing.

    Without its secret this one is not healthy before it is killed, however late that is.
    """
    world = make()
    world.release("0.1.0", mode="sick")
    world.configure(secrets='{ MODE = { from_env = "DRILL_MODE" } }')
    assert world.invoke("deploy", "--to", "0.1.0", "--yes", DRILL_MODE="good").status == 0
    drill = ("drill", "--to", "0.1.0")
    ended = world.interrupted(*drill, when="▸ health", number=signal.SIGKILL)
    assert ended.status == -signal.SIGKILL
    assert len(left(world)) == 2
    after = world.invoke(*drill, "--with-secrets", "--yes", DRILL_MODE="good")
    assert after.status == 0, after.err
    assert "of a killed drill" in after.err
    assert left(world) == []
    stopped = world.interrupted(*drill, when="▸ start", number=signal.SIGTERM)
    assert stopped.status == 143, stopped.err
    assert left(world) == []
    assert len(drills(world)) == 1


def test_each_process_is_rehearsed_in_a_container_of_its_own(make: Make) -> None:
    """With its own command; both are gone afterwards, and those that serve were not touched."""
    world = make(app=APP)
    world.release("0.1.0")
    world.configure(publish="", processes=settings(world, "web", "worker"))
    done = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert done.status == 0, done.err
    serving = world.containers()
    drilled = world.invoke("drill", "--to", "0.1.0", "--json")
    assert drilled.status == 0, drilled.err
    first, _, second = drilled.data["evidence"].partition("; worker: ")
    assert first.startswith("web: ")
    assert second
    assert world.containers() == serving
    assert left(world) == []
