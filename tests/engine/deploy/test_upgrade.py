"""The command that migrates the data forward: it runs before anything is replaced, and its end is known."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import World

SURE = ("--yes", "--break-lock", "--message", "the laptop fell into the sea")
SAY = "import os; print(os.environ['VERSION'], os.environ['TOKEN'], 'is migrated')"
TO = ("deploy", "--to", "0.2.0", "--yes")


@pytest.fixture
def world(make: Make) -> World:
    """0.1.0, which runs, and 0.2.0."""
    world = make()
    (world.root / "migrations").mkdir(exist_ok=True)
    (world.root / "migrations" / "1_users.py").write_text("1")
    world.environ["WORLD_TOKEN"] = "canary-31337"
    world.configure(secrets='{ TOKEN = { from_env = "WORLD_TOKEN" } }')
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    return world


def up(world: World, command: str, **more: str) -> None:
    """Configure the command."""
    world.fence(paths='["migrations/*.py"]', up=command, **more)


def test_it_runs_once_before_anything_is_replaced(world: World) -> None:
    """In the new image, with settings and secrets; what it writes is shown without them, its end recorded."""
    up(world, f'["python", "-c", "{SAY}"]')
    done = world.invoke(*TO, "--json")
    assert done.status == 0, done.err
    assert "0.2.0 *** is migrated" in done.err
    assert "canary" not in done.err
    assert done.err.index("✓ up") < done.err.index("▸ stop")
    assert done.data["up"]["status"] == "done"
    assert world.containers() == {world.container: "running"}


@pytest.mark.parametrize(
    ("command", "more", "found"),
    [
        ('["python", "-c", "import sys; sys.exit(\'no such table\')"]', {}, "exit status 1"),
        (
            '["python", "-uc", "import time; print(\'no such table\'); time.sleep(600)"]',
            {"timeout": '"1s"'},
            "did not end within 1 s",
        ),
    ],
)
def test_if_it_fails_or_hangs_nothing_was_replaced(
    world: World, command: str, more: dict[str, str], found: str
) -> None:
    """Status 1; the status says what is known of the data, and the next deployment runs it again."""
    up(world, command, **more)
    failed = world.invoke(*TO)
    assert failed.status == 1, failed.err
    assert f"{found}; what runs was not changed" in failed.err
    assert "deploy again: the command runs once more" in failed.err
    assert "no such table" in failed.err
    kept = world.invoke("logs", "--failed")
    assert kept.status == 0, kept.err
    assert "up.1 | no such table" in kept.out
    assert world.answer()["VERSION"] == "0.1.0"
    assert world.containers() == {world.container: "running"}
    assert (
        world.invoke("status", "--json").data["migrations"].startswith("data migrated perhaps, or in part by")
    )
    up(world, f'["python", "-c", "{SAY}"]')
    done = world.invoke(*TO)
    assert done.status == 0, done.err
    assert "0.2.0 *** is migrated" in done.err
    assert world.invoke("status", "--json").data["migrations"] is None


def test_its_lines_are_shown_while_it_works(world: World) -> None:
    """Each as soon as it is written, and once."""
    up(world, '["python", "-c", "print(\'first\', flush=True); import time; time.sleep(4); print(\'last\')"]')
    with world.start(*TO) as process:
        assert process.stderr is not None
        line_with(process, "first")
        began = time.monotonic()
        line_with(process, "last")
        assert time.monotonic() - began > 2
        rest = process.communicate(timeout=60)[1]
    assert process.returncode == 0, rest
    assert "up: first" not in rest
    assert "up: last" not in rest


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """The next line of standard error that has this text."""
    assert process.stderr is not None
    return next(line for line in process.stderr if text in line.split())


def test_a_death_beside_it_is_told_by_its_container(world: World) -> None:
    """While it works nobody deploys or converges; then converging restores, and records what came of it."""
    up(world, '["python", "-c", "print(\'half of it\', flush=True); import time; time.sleep(600)"]')
    died = world.dying("before", "wait", "1", *TO)
    assert died.status == -signal.SIGKILL, died.err
    lab.eventually(
        lambda: "half of it" in world.invoke("converge", "--plan", *SURE[1:]).out, what="its output"
    )
    (working,) = world.containers().keys() - {world.container, f"release-lock-{world.container}"}
    assert working.endswith("-up")
    for command in (("converge", *SURE), (*TO, *SURE[1:])):
        refused = world.invoke(*command)
        assert refused.status == 2, refused.err
        assert f"docker wait {working}" in refused.err
    world.engine.stop(working, grace=0)
    done = world.invoke("converge", *SURE, "--json")
    assert done.status == 0, done.err
    assert (done.data["status"], done.data["up"]["status"]) == ("restored", "uncertain")
    assert "the data may be newer than what runs" in done.err
    assert "up.1 | half of it" in world.invoke("logs", "--failed").out
    assert world.containers() == {world.container: "running"}
    assert world.answer()["VERSION"] == "0.1.0"
