"""Commands, restart, stop and start on a real engine: what happens, what is recorded, what stays."""

from __future__ import annotations

import os
import pty
import signal
import subprocess

from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import World


def operations(world: World) -> list[dict[str, object]]:
    """The records of operations, oldest first."""
    records = world.invoke("history", "--json", "--limit", "100").data
    return [record for record in reversed(records) if record["kind"] == "operation"]


def deployed(make: Make) -> World:
    world = make()
    world.environ["PROD_TOKEN"] = "canary-7f3a"
    world.configure(publish="", env='{ GREETING = "hi" }', secrets='{ TOKEN = { from_env = "PROD_TOKEN" } }')
    world.release("0.1.0")
    world.release("0.2.0")
    done = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert done.status == 0, done.err
    return world


def test_a_command_has_the_release_its_settings_and_its_secrets(make: Make) -> None:
    """Its words, output and exit status are its own; who and why are recorded, secrets are not."""
    world = deployed(make)
    code = "from os import environ as e; print(e['VERSION'], e['GREETING'], len(e['TOKEN'])); exit(7)"
    ran = world.invoke(
        "run", "--message", "look into it", "--", "python", "-c", code, "--password", "canary-2", "a  b"
    )
    assert ran.status == 7, ran.err
    assert ran.out == "0.1.0 hi 11\n"
    began, ended = operations(world)
    assert (began["status"], ended["status"], ended["exit_status"]) == ("started", "done", 7)
    assert began["operation"] == ended["operation"]
    assert (ended["message"], ended["command"]) == (
        "look into it",
        ["python", "-c", code, "--password", "***", "a  b"],
    )
    assert world.containers() == {world.container: "running"}
    inside = world.invoke(
        "exec", "--message", "look", "--", "python", "-c", "import os; print(os.getpid() > 1)"
    )
    assert (inside.status, inside.out) == (0, "True\n"), inside.err
    missing = world.invoke("run", "--message", "look", "--", "no-such-program")
    assert missing.status == 127
    for words in (("run", "--", "true"), ("run", "--message", "why"), ("stop", "--yes")):
        assert world.invoke(*words).status == 2
    assert len(operations(world)) == 6


def test_a_command_has_the_terminal_of_its_operator(make: Make) -> None:
    """Where there is one."""
    world = deployed(make)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        world.argv("run", "--message", "look", "--", "python", "-c", "import os; print(os.isatty(0))"),
        cwd=world.root,
        env={**os.environ, **world.environ},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        text = os.read(ours, 1000).decode()
        assert process.wait(timeout=60) == 0
    os.close(ours)
    assert "True" in text


def test_what_is_stopped_for_maintenance_is_no_fault(make: Make) -> None:
    """Status and readiness say so; `start` ends it, and a deployment does."""
    world = deployed(make)
    stopped = world.invoke("stop", "--message", "new disk", "--yes")
    assert stopped.status == 0, stopped.err
    assert world.containers() == {world.container: "exited"}
    status = world.invoke("status", "--exit-code")
    assert status.status == 0, status.out
    assert "stopped for maintenance since" in status.out
    assert "new disk" in status.out
    assert "leftovers" not in status.out
    assert "stopped for maintenance" in world.invoke("verify").out
    started = world.invoke("start")
    assert started.status == 0, started.err
    again = world.invoke("status", "--exit-code")
    assert again.status == 0, again.out
    assert "maintenance" not in again.out
    assert world.invoke("start").status == 2
    assert world.invoke("stop", "--message", "new disk", "--yes").status == 0
    plan = world.invoke("deploy", "--to", "0.2.0", "--plan")
    assert "this starts it again" in plan.out
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    assert "maintenance" not in world.invoke("status", "--exit-code").out
    assert world.containers() == {world.container: "running"}


def test_a_restart_is_no_drift_and_no_deployment(make: Make) -> None:
    """The same container runs again, proven."""
    world = deployed(make)
    before = world.engine.state(world.container)
    restarted = world.invoke("restart", "--message", "a leak", "--yes")
    assert restarted.status == 0, restarted.err
    after = world.engine.state(world.container)
    assert before is not None
    assert after is not None
    assert (after.id, after.status) == (before.id, "running")
    assert after.started_at > before.started_at
    assert world.invoke("status", "--exit-code").status == 0
    assert world.statuses() == ["started", "healthy"]
    assert [record["what"] for record in operations(world)] == ["restart", "restart"]


def test_a_command_that_takes_too_long_is_stopped_with_status_1(make: Make) -> None:
    """The message names command and time, the ledger has it, and nothing is left."""
    world = deployed(make)
    ended = world.invoke("run", "--message", "slow", "--timeout", "1s", "--", "sleep", "600")
    assert ended.status == 1, ended.err
    assert "`sleep 600`: it still ran after 1 s" in ended.err
    assert [record["status"] for record in operations(world)] == ["started", "failed"]
    assert world.containers() == {world.container: "running"}


def test_a_deployment_waits_for_a_command(make: Make) -> None:
    """They share the lock; Ctrl-C ends the command and is recorded."""
    world = deployed(make)
    code = "import time; print('here', flush=True); time.sleep(600)"
    with world.start("run", "--message", "slow", "--", "python", "-c", code) as process:
        assert process.stdout is not None
        assert next(process.stdout) == "here\n"
        assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 5
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert world.containers() == {world.container: "running"}
    assert operations(world)[-1]["status"] == "failed"
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0


def die_during(world: World, rest: str) -> None:
    """Kill the operator of `invoke run` while its program, which ends with this code, runs."""
    code = f"import sys, time; print('here', flush=True); {rest}"
    with world.start("run", "--message", "slow", "--", "python", "-c", code) as process:
        assert process.stdout is not None
        assert next(process.stdout) == "here\n"
        process.kill()


def test_a_dead_operator_leaves_a_state_that_is_told(make: Make) -> None:
    """The status shows the operation, and the next one records its end and tidies up."""
    world = deployed(make)
    die_during(world, "time.sleep(1)")
    assert "no end yet" in world.invoke("status").out
    restarted = world.invoke("restart", "--message", "after it", "--yes")
    assert restarted.status == 0, restarted.err
    assert "interrupted before: run" in restarted.err
    states = [(record["what"], record["status"]) for record in operations(world)]
    assert sorted(states[:3]) == [("restart", "started"), ("run", "failed"), ("run", "started")]
    assert "no end yet" not in world.invoke("status").out


def test_the_exit_status_of_a_dead_operators_command_is_recorded(make: Make) -> None:
    """It ran to its end without him; the next operation records what it ended with."""
    world = deployed(make)
    die_during(world, "time.sleep(1); sys.exit(5)")
    lab.eventually(lambda: "exited" in world.containers().values(), what="the command ends")
    done = world.invoke("restart", "--message", "after it", "--yes")
    assert done.status == 0, done.err
    assert "its end is recorded as done" in done.err
    (ended,) = [each for each in operations(world) if (each["what"], each["status"]) == ("run", "done")]
    assert ended["exit_status"] == 5
    assert world.containers() == {world.container: "running"}
