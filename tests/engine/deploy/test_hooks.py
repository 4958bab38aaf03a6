"""Hooks and webhooks of real deployments and rollbacks."""

from __future__ import annotations

import json
import signal

import pytest

from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import World
from tests.unit.network.test_webhook import receiving

HOOK = """\
import json, os, sys
record = json.load(sys.stdin)
names = ("RELEASE_HOOK", "RELEASE_VERSION", "RELEASE_PREVIOUS_VERSION", "RELEASE_STATUS", "GIVEN")
with open("told.txt", "a") as file:
    print(*(os.environ.get(name, "-") for name in names), record["status"], file=file)
print("the token is", os.environ.get("API_TOKEN", "absent"))
sys.exit(os.environ["RELEASE_HOOK"] in os.environ.get("FAILING", ""))
"""


def with_hooks(make: Make, more: str = "") -> World:
    world = make()
    world.release("0.1.0")
    world.release("0.2.0")
    world.release("0.3.0", mode="crashing")
    (world.root / "hook.py").write_text(HOOK)
    file = world.root / "pyproject.toml"
    file.write_text(f"""{file.read_text()}
[tool.release.hooks.note]
on = ["before_deploy", "after_deploy", "before_rollback", "after_rollback", "failure"]
command = ["python3", "hook.py"]
pass_env = ["GIVEN", "FAILING", "API_TOKEN"]
{more}
""")
    return world


def told(world: World) -> list[str]:
    file = world.root / "told.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def test_hooks_run_before_and_after_and_on_failure(make: Make) -> None:
    """With the record and the variables; what they write has no secrets; a failing one is a warning."""
    world = with_hooks(make)
    plan = world.invoke("deploy", "--to", "0.1.0", "--plan")
    assert "hooks that run: before note; after note; on failure note" in plan.out
    first = world.invoke("deploy", "--to", "0.1.0", "--yes", GIVEN="it", API_TOKEN="canary-7f3a")
    assert first.status == 0, first.err
    assert "the token is ***" in first.err
    assert "canary" not in first.err
    assert told(world) == [
        "before_deploy 0.1.0  started it started",
        "after_deploy 0.1.0  healthy it healthy",
    ]
    second = world.invoke("deploy", "--to", "0.2.0", "--yes", FAILING="before_deploy after_deploy")
    assert second.status == 0, second.err
    assert second.err.count("the hook note failed") == 2
    assert len(told(world)) == 2
    broken = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert broken.status == 3, broken.err
    assert told(world)[1].startswith("failure 0.3.0 0.2.0 restored")
    back = world.invoke("rollback", "--to", "0.1.0", "--yes")
    assert back.status == 0, back.err
    assert [line.split()[0] for line in told(world)] == ["before_rollback", "after_rollback"]


@pytest.mark.parametrize(
    ("way", "told_of"),
    [("--finish", "after_deploy 0.2.0 0.1.0 healthy"), ("--revert", "failure 0.2.0 0.1.0 restored")],
)
def test_who_ends_a_dead_operators_deployment_runs_the_hooks_after_it(
    make: Make, way: str, told_of: str
) -> None:
    """The hooks before are not run again."""
    world = with_hooks(make)
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    died = world.dying("after", "start", "1", "deploy", "--to", "0.2.0", "--yes")
    assert died.status == -signal.SIGKILL, died.err
    told(world)
    done = world.invoke("converge", way, "--yes", "--break-lock", "--message", "it died")
    assert done.status == 0, done.err
    (line,) = told(world)
    assert line.startswith(told_of)


def test_a_hook_may_stop_a_deployment_before_it_changes_anything(make: Make) -> None:
    """Also one that hangs; the attempt is recorded."""
    stopping = '[tool.release.hooks.gate]\non = ["before_deploy"]\non_failure = "stop"\ntimeout = "2s"\n'
    world = with_hooks(make, stopping + 'command = ["sh", "-c", "test ! -e closed || sleep 60"]\n')
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    (world.root / "closed").write_text("")
    before = world.engine.state(world.container)
    stopped = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert stopped.status == 1, stopped.err
    assert "the hook gate failed: it did not end within 2 s; nothing was changed" in stopped.err
    after = world.engine.state(world.container)
    assert before is not None
    assert after is not None
    assert after.id == before.id
    assert world.statuses()[-2:] == ["started", "failed"]


def test_a_webhook_is_delivered_or_waits(make: Make) -> None:
    """It never fails a deployment; `invoke sync` delivers what waits."""
    with receiving(503) as receiver:
        table = f'[tool.release.webhooks.audit]\nurl = "{receiver.url}"\nsecret = {{ from_env = "KEY" }}\n'
        world = with_hooks(make, table)
        world.environ["KEY"] = "s3cret"
        silent = world.invoke("deploy", "--to", "0.1.0", "--yes")
        assert silent.status == 0, silent.err
        assert "answered with status 503" in silent.err
        receiver.statuses[:] = [200]
        receiver.got.clear()
        unset = world.invoke("sync", KEY="")
        assert "the variable KEY is empty" in unset.err
        assert receiver.got == []
        synced = world.invoke("sync")
        assert synced.status == 0, synced.err
        ((_, content),) = receiver.got
    data = json.loads(content)
    assert (data["type"], data["version"], data["status"]) == ("release.after_deploy", "0.1.0", "healthy")
    assert "run_spec" not in data
