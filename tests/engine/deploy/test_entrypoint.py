"""Images with an ENTRYPOINT script: the commands of the configuration run, and records restore what ran."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from release.programs.process import output_of
from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import World

SCRIPT = 'if [ "$1" = serve ]; then exec python /app.py; fi; echo "nothing to do for $1"; exit 0'
ENTRYPOINT = ["/bin/sh", "-c", SCRIPT, "entry"]
"""Serves on `serve`, and else ends well."""
IMAGE: dict[str, Any] = {"Entrypoint": ENTRYPOINT, "Cmd": ["serve"]}
SERVE = '["python", "/app.py"]'


def config_of(world: World) -> Any:
    """The part of the running container's description that says what it runs."""
    about = world.engine.inspected(world.container)
    assert about is not None
    return about["Config"]


def last_event(world: World) -> Any:
    """The last deployment's event in the ledger."""
    records = world.invoke("history", "--json", "--limit", "20").data
    return next(record for record in records if record["kind"] == "deployment")


@pytest.fixture
def volume() -> Iterator[str]:
    """A volume of the test's own."""
    name = lab.unique("volume")
    output_of(["docker", "volume", "create", name])
    yield name
    output_of(["docker", "volume", "rm", "--force", name])


@pytest.mark.attack(
    "An image's ENTRYPOINT script ends with status 0 for a command that undoes migrations",
    "`migrations.down` runs in the place of the ENTRYPOINT; the record holds the program that ran",
)
def test_a_down_command_runs_behind_an_entrypoint_that_ends_well(volume: str, make: Make) -> None:
    """What it does is seen in the volume."""
    world = make()
    world.fence(paths='["migrations/*.py"]')
    world.configure(volumes=f'["{volume}:/data"]')
    for version in ("0.1.0", "0.2.0"):
        (world.root / "migrations").mkdir(exist_ok=True)
        (world.root / "migrations" / f"{version}.py").write_text("")
        world.release(version, **IMAGE)
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    world.fence(paths='["migrations/*.py"]', down='["sh", "-c", "echo undone > /data/down"]')
    back = world.invoke("rollback", "--to", "0.1.0", "--yes", "--cross-migrations")
    assert back.status == 0, back.err
    found = world.engine.execute(world.container, ["cat", "/data/down"], env={}, timeout=10_000)
    assert found.output == b"undone\n"
    down = last_event(world)["down"]
    assert (down["status"], down["ran"]) == ("done", ["sh", "-c", "echo undone > /data/down"])


def test_a_command_of_an_environment_replaces_the_entrypoint_and_a_rollback_restores_what_ran(
    make: Make,
) -> None:
    """A deployment that kept it is recorded as older versions did: without a word of it."""
    world = make()
    world.configure(command='["serve"]', entrypoint='"keep"')
    world.release("0.1.0", **IMAGE)
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    assert (config_of(world)["Entrypoint"], config_of(world)["Cmd"]) == (ENTRYPOINT, ["serve"])
    assert "entrypoint" not in last_event(world)["run_spec"]

    world.configure(command=SERVE)
    world.release("0.2.0", **IMAGE)
    forth = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert forth.status == 0, forth.err
    assert 'to keep that: `entrypoint = "keep"`' in forth.err
    assert (config_of(world)["Entrypoint"], config_of(world)["Cmd"]) == (["python", "/app.py"], None)
    assert last_event(world)["run_spec"]["entrypoint"] == "replace"
    assert world.invoke("status", "--exit-code").status == 0

    back = world.invoke("rollback", "--to", "0.1.0", "--yes")
    assert back.status == 0, back.err
    assert (config_of(world)["Entrypoint"], config_of(world)["Cmd"]) == (ENTRYPOINT, ["serve"])
    drill = world.invoke("drill", "--to", "0.2.0")
    assert drill.status == 0, drill.err
