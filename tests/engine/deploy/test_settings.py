"""Settings reach the container as the engine says, and a rollback restores them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from release.programs.process import output_of
from tests.engine import lab
from tests.engine.deploy.world import World


def inspected(world: World) -> Any:
    """What the engine itself says of the container that serves."""
    return json.loads(output_of(["docker", "inspect", world.container]))[0]


def test_a_rollback_restores_how_the_container_is_watched_logged_and_stopped(world: World) -> None:
    """Health check, logging, first process and stop signal: read from the engine, before and after."""
    check = (
        '{ command = ["python", "-c", "pass"], interval = "300ms", start_period = "2s", '
        'start_interval = "100ms", retries = 2 }'
    )
    world.configure(
        init="true",
        stop_signal='"SIGINT"',
        log_options='{ max-size = "1m" }',
        healthcheck=check,
        labels='{ team = "core" }',
        user='"10001"',
    )
    first = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert first.status == 0, first.err
    assert "health check healthy" in first.err
    before = inspected(world)
    assert before["Config"]["Healthcheck"] == {
        "Test": ["CMD", "python", "-c", "pass"],
        "Interval": 300_000_000,
        "StartPeriod": 2_000_000_000,
        "StartInterval": 100_000_000,
        "Retries": 2,
    }
    assert before["HostConfig"]["LogConfig"]["Config"] == {"max-size": "1m"}
    assert (before["HostConfig"]["Init"], before["Config"]["StopSignal"]) == (True, "SIGINT")
    assert (before["Config"]["User"], before["Config"]["Labels"]["team"]) == ("10001", "core")
    world.configure(healthcheck="{ disable = true }")
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    assert inspected(world)["Config"]["Healthcheck"] == {"Test": ["NONE"]}
    back = world.invoke("rollback", "--yes")
    assert back.status == 0, back.err
    after = inspected(world)
    for part, key in (("Config", "Healthcheck"), ("Config", "StopSignal"), ("HostConfig", "LogConfig")):
        assert after[part][key] == before[part][key]
    assert "stop_signal" in back.err


def inside(world: World, *argv: str) -> str:
    """The output of a program in the container that serves."""
    return output_of(["docker", "exec", world.container, *argv])


@pytest.mark.parametrize("settings", [{}, {"read_only": "true", "user": '"10001:10001"'}])
def test_a_rollback_restores_the_content_of_files(world: World, settings: dict[str, str]) -> None:
    """From the record: the file of the repository has changed since, and is gone."""
    files = '{ "/etc/api/settings.toml" = { source = "settings.toml", mode = "0644" } }'
    source = world.root / "settings.toml"
    source.write_text("level = 1\n")
    world.configure(files=files, **settings)
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    source.write_text("level = 2\n")
    second = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert "files./etc/api/settings.toml: 0644 sha256:" in second.err
    assert inside(world, "cat", "/etc/api/settings.toml") == "level = 2"
    source.unlink()
    back = world.invoke("rollback", "--yes")
    assert back.status == 0, back.err
    assert inside(world, "stat", "-c", "%a %u:%g", "/etc/api/settings.toml") == "644 0:0"
    output_of(["docker", "restart", "--time", "3", world.container])
    assert inside(world, "cat", "/etc/api/settings.toml") == "level = 1"
    missing = world.invoke("deploy", "--to", "0.1.0", "--plan")
    assert missing.status == 2, missing.err
    assert "settings.toml cannot be read: No such file" in missing.err


def test_a_release_that_breaks_within_the_watch_is_put_back(world: World) -> None:
    """It was healthy, answered and passed its gates; then it ended: exit status 3, and the old one serves."""
    world.release("0.3.0", mode="short-lived")
    world.configure(
        watch='"4s"',
        restart='"no"',
        health_tcp="[8000]",
        health_command='["python", "-c", "import os; assert os.path.exists(\'/app.py\')"]',
    )
    first = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert first.status == 0, first.err
    assert "port 8000 accepts connections" in first.err
    assert "stayed healthy for 4 s" in first.err
    broken = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert broken.status == 3, broken.err
    assert "the container ended: exit status 7" in broken.err
    assert world.answer()["VERSION"] == "0.1.0"


def test_a_deployment_is_watched_by_default_and_a_rollback_is_not(world: World) -> None:
    """The plan shows it; what ends within seconds is put back; a rollback tells its result at once."""
    world.release("0.3.0", mode="short-lived")
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    world.configure(watch="", restart='"no"')
    broken = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert broken.status == 3, broken.err
    assert "10s after it is healthy; what ran before is kept until then" in broken.err
    assert "the container ended: exit status 7" in broken.err
    world.configure(watch='"1s"')
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    back = world.invoke("rollback", "--to", "0.1.0", "--yes")
    assert back.status == 0, back.err
    again = world.invoke("rollback", "--to", "0.2.0", "--allow-quarantined", "--yes", "--message", "x")
    assert again.status == 0, again.err
    assert "▸ watch" not in back.err + again.err


def test_what_restarted_after_it_was_proven_is_told(world: World) -> None:
    """By the engine, after the process ended, or by hand; and not what a failed deployment put back."""
    world.release("0.3.0", mode="sick")
    world.configure(restart='"always"')
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    world.configure(restart='"always"', health_timeout='"2s"')
    assert world.invoke("deploy", "--to", "0.3.0", "--yes").status == 3
    assert world.invoke("status", "--exit-code").status == 0, "it was put back, and proven"
    time.sleep(1)  # two clocks may differ by a second: a start within that is not told from the proof
    output_of(["docker", "restart", "--time", "1", world.container])
    by_hand = world.invoke("status", "--exit-code")
    assert by_hand.status == 1, by_hand.out
    assert "was started again at" in by_hand.out
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    assert world.invoke("status", "--exit-code").status == 0
    end = "import os, signal; os.kill(1, signal.SIGTERM)"
    output_of(["docker", "exec", "--detach", world.container, "python", "-c", end])
    lab.eventually(lambda: _restarts(world), what="the engine starts it again")
    looping = world.invoke("status", "--exit-code")
    assert looping.status == 1, looping.out
    assert "ended, and the engine restarted it once" in looping.out


def _restarts(world: World) -> int:
    return int(output_of(["docker", "inspect", "--format", "{{.RestartCount}}", world.container]))
