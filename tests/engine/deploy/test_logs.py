"""The output of what runs, and of what failed, as an operator sees it."""

from __future__ import annotations

import json
import signal

from tests.engine.deploy.conftest import Make

TALKING = """\
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("begin", os.environ["VERSION"], os.environ.get("TOKEN", ""), flush=True)
print("\\x1b[2Jclear", file=sys.stderr, flush=True)
if os.environ["IMAGE_MODE"] == "sick":
    sys.exit("cannot go on with " + os.environ.get("TOKEN", "nothing"))
number = 0
while True:
    time.sleep(0.1)
    number += 1
    print("line", number, flush=True)
"""


def test_output_is_shown_with_process_and_replica(make: Make) -> None:
    """Of what runs, of one deployment, since a time, as JSON; escape codes and secrets are left out."""
    world = make(app=TALKING, probe=None)
    world.environ["PROD_TOKEN"] = "canary-7f3a"
    world.configure(publish="", secrets='{ TOKEN = { from_env = "PROD_TOKEN" } }')
    world.release("0.1.0")
    done = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert done.status == 0, done.err
    shown = world.invoke("logs", "--lines", "all")
    assert shown.status == 0, shown.err
    *first, _ = lines = shown.out.splitlines()
    assert {line.partition(" ")[2] for line in first[:2]} == {
        f"{world.service}.1 | begin 0.1.0 ***",
        f"{world.service}.1 | clear",
    }
    assert "\x1b" not in shown.out
    assert len(lines) > 2
    (deployment,) = {
        record["deployment"] for record in world.invoke("history", "--json").data if "run_spec" in record
    }
    few = world.invoke("logs", "--deployment", deployment[:6], "--lines", "2", "--json")
    entries = [json.loads(line) for line in few.out.splitlines()]
    assert [entry["deployment"] for entry in entries] == [deployment] * 2
    assert entries[0]["time"] < entries[1]["time"]
    since = world.invoke("logs", "--since", "1h")
    assert "begin 0.1.0" in since.out
    none = world.invoke("logs", "--process", "worker")
    assert none.status == 2
    assert "there is no process 'worker'" in none.err


def test_output_is_followed_over_a_deployment(make: Make) -> None:
    """New containers are found, and Ctrl-C ends it well."""
    world = make(app=TALKING, probe=None)
    world.configure(publish="")
    world.release("0.1.0")
    world.release("0.2.0")
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    with world.start("logs", "--follow", "--lines", "1") as process:
        assert process.stdout is not None
        assert next(process.stdout)
        assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
        assert any("begin 0.2.0" in line for _, line in zip(range(1000), process.stdout, strict=False))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


def test_what_failed_is_kept_until_the_next_deployment(make: Make) -> None:
    """Without its secrets, for everybody who may use the engine; nothing of it is taken for what runs."""
    world = make(app=TALKING, probe=None)
    world.environ["PROD_TOKEN"] = "canary-7f3a"
    world.configure(publish="", secrets='{ TOKEN = { from_env = "PROD_TOKEN" } }', health_timeout='"5s"')
    world.release("0.1.0")
    world.release("0.2.0", mode="sick")
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    nothing = world.invoke("logs", "--failed")
    assert nothing.status == 2
    assert "nothing is kept" in nothing.err
    broken = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert broken.status == 3, broken.err
    assert "logs --failed` shows" in broken.err
    shown = world.invoke("logs", "--failed")
    assert shown.status == 0, shown.err
    assert "begin 0.2.0 ***" in shown.out
    assert "cannot go on with ***" in shown.out
    assert "canary" not in shown.out + shown.err
    assert "failed" not in str(world.containers())
    assert world.invoke("status", "--exit-code").status == 0
    assert world.invoke("deploy", "--to", "0.1.0", "--yes", "--again").status == 0
    assert world.invoke("logs", "--failed").status == 2
