"""A service without a port is deployed, verified and rolled back by what it can show."""

from __future__ import annotations

from tests.engine.deploy.conftest import Make

WORK = """\
import os, signal, sys, threading, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if os.environ["IMAGE_MODE"] == "short-lived":
    threading.Timer(2, os._exit, (7,)).start()
open("/tmp/beat", "w").write(os.environ["IMAGE_MODE"])
while True:
    time.sleep(0.1)
"""
"""A worker that writes a file; nothing in it listens."""


def test_a_worker_is_verified_by_a_command_in_it(make: Make) -> None:
    """One that the command refuses is not left running; a rollback asks the same again."""
    world = make(app=WORK, probe=None)
    for version, mode in (("0.1.0", "good"), ("0.2.0", "good"), ("0.3.0", "sick")):
        world.release(version, mode=mode)
    world.configure(publish="", health_command='["grep", "good", "/tmp/beat"]', health_timeout='"4s"')
    for version in ("0.1.0", "0.2.0"):
        ended = world.invoke("deploy", "--to", version, "--yes")
        assert ended.status == 0, ended.err
        assert "`grep good /tmp/beat` ended with status 0" in ended.err
    broken = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert broken.status == 3, broken.err
    assert "`grep good /tmp/beat` ended with status 1" in broken.err
    back = world.invoke("rollback", "--to", "0.1.0", "--yes")
    assert back.status == 0, back.err
    assert "`grep good /tmp/beat` ended with status 0" in back.err
    shown = world.invoke("show", "0.1.0")
    assert "stays up for 10 s" in shown.out


def test_a_worker_that_shows_nothing_has_to_stay_up(make: Make) -> None:
    """For the time of `watch`; one that ends within it is replaced by what ran before."""
    world = make(app=WORK, probe=None)
    world.release("0.1.0")
    world.release("0.2.0", mode="short-lived")
    world.configure(publish="", watch='"4s"', restart='"no"')
    first = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert first.status == 0, first.err
    assert "stayed healthy for 4 s" in first.err
    broken = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert broken.status == 3, broken.err
    assert "the container ended: exit status 7" in broken.err
    status = world.invoke("status")
    assert status.status == 0, status.err
    assert "0.1.0" in status.out
