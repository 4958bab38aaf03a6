"""Commands, restart, stop and start in a Swarm: what happens, what is recorded, what stays."""

from __future__ import annotations

import pytest

from tests.lab.test_migrations import services
from tests.lab.test_swarm import deployed, drift
from tests.lab.world import REPLICAS, SwarmWorld

pytestmark = [pytest.mark.xdist_group("swarm"), pytest.mark.timeout(240)]

WHY = ("--message", "look into it")


def operations(world: SwarmWorld) -> list[tuple[str, str]]:
    """What was done, and how it ended, oldest first."""
    records = world.invoke("history", "--json", "--limit", "100").data
    return [(each["what"], each["status"]) for each in reversed(records) if each["kind"] == "operation"]


def test_what_runs_is_operated_without_a_change_of_the_release(world: SwarmWorld) -> None:
    """A command as a job and beside a task, restart, stop, start: all recorded, none is drift."""
    world.environ |= {**world.machines.environ(), "THE_TOKEN": "canary-31337"}
    world.configure(secrets='{ TOKEN = { from_env = "THE_TOKEN" } }', env='{ GREETING = "hello" }')
    deployed(world)
    script = "echo $VERSION $GREETING $(cat $TOKEN_FILE); sleep 1; echo end; exit 7"
    ran = world.invoke("run", *WHY, "--", "/bin/sh", "-c", script)
    assert (ran.status, ran.out) == (7, "0.1.0 hello ***\nend\n"), ran.err
    inside = world.invoke("exec", *WHY, "--", "/bin/sh", "-c", "echo $VERSION")
    assert (inside.status, inside.out) == (0, "0.1.0\n"), inside.err
    assert services(world) == [world.name]

    before = {*world.running()}
    restarted = world.invoke("restart", *WHY, "--yes")
    assert restarted.status == 0, restarted.err
    world.settles("0.1.0")
    assert before.isdisjoint(world.running())

    stopped = world.invoke("stop", *WHY, "--yes")
    assert stopped.status == 0, stopped.err
    assert world.running() == {}
    status = world.invoke("status", "--exit-code")
    assert status.status == 0, status.out
    assert "stopped for maintenance since" in status.out
    assert drift(world) == []
    started = world.invoke("start")
    assert started.status == 0, started.err
    world.settles("0.1.0")
    assert len(world.answers()) == REPLICAS
    assert drift(world) == []
    assert world.invoke("start").status == 2
    assert world.invoke("stop", *WHY, "--yes").status == 0
    deployed(world, "0.2.0")
    world.settles("0.2.0")
    what = ("run", "exec", "restart", "stop", "start", "stop")
    assert operations(world) == [(each, status) for each in what for status in ("started", "done")]


def test_the_output_of_a_failure_is_kept_and_a_dead_operators_command_is_removed(world: SwarmWorld) -> None:
    """Without secrets, until the next deployment; a job of a dead operator goes with the next command."""
    world.environ |= {**world.machines.environ(), "THE_TOKEN": "canary-31337"}
    world.release("0.3.0", mode="crashing")
    deployed(world)
    assert world.invoke("deploy", "--to", "0.3.0", "--yes").status == 3
    failed = world.invoke("logs", "--failed")
    assert failed.status == 0, failed.err
    assert "cannot start with no token" in failed.out
    chosen = ("logs", "--lines", "5", "--deployment", world.inspect()["Spec"]["Labels"]["release.deployment"])
    assert world.invoke(*chosen).status == 0

    with world.start("run", *WHY, "--", "/bin/sh", "-c", "echo here; sleep 2") as process:
        assert process.stdout is not None
        assert next(process.stdout) == "here\n"
        process.kill()
    assert len(services(world)) == 2
    again = world.invoke("run", *WHY, "--", "sleep", "2")
    assert again.status == 0, again.err
    assert "interrupted before: run" in again.err
    assert world.invoke("run", *WHY, "--", "/bin/sh", "-c", "exit 0").status == 0
    assert services(world) == [world.name]
    assert ("run", "failed") in operations(world)
    deployed(world, "0.2.0")
    assert world.invoke("logs", "--failed").status == 2
    label = f"label=release.service={world.service}"
    assert world.manager.docker("config", "ls", "--quiet", "--filter", label) == ""
