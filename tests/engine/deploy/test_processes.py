"""Three processes of one image: all are replaced, or all are put back."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from release.deploy.core.place import PROCESS
from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import World
from tests.soak import rows

APP: Final = """\
import http.server, json, os, signal, sys, time
process = sys.argv[1]
if os.environ["IMAGE_MODE"] == process + " crashes":
    sys.exit(process + " cannot start")
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"VERSION": os.environ["VERSION"]}).encode())
    def log_message(self, *_):
        pass
if process == "web":
    http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
while True:
    time.sleep(0.1)
"""

SURE: Final = ("--yes", "--break-lock", "--message", "the laptop fell into the sea")


def settings(world: World, *names: str) -> str:
    """The table of these processes, in one line."""
    tables = {
        "web": f'{{ command = ["python", "/app.py", "web"], publish = ["127.0.0.1:{world.port}:8000"] }}',
        "worker": '{ command = ["python", "/app.py", "worker"], after = ["web"], stop_grace = "5s" }',
        "beat": '{ command = ["python", "/app.py", "beat"], after = ["web"], exclusive = true }',
        "mailer": '{ command = ["python", "/app.py", "mailer"] }',
    }
    return f"{{ {', '.join(f'{name} = {tables[name]}' for name in names)} }}"


@pytest.fixture
def world(make: Make) -> World:
    """A service with three processes and three releases, the first one running; one whose beat crashes."""
    world = make(app=APP)
    for version, mode in (("0.1.0", "good"), ("0.2.0", "good"), ("0.3.0", "beat crashes")):
        world.release(version, mode=mode)
    world.configure(publish="", processes=settings(world, "web", "worker", "beat"))
    ended = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert ended.status == 0, ended.err
    return world


def running(world: World) -> dict[str, tuple[str, str]]:
    """The version and the state of each container, by its name."""
    every = world.engine.containers({"release.service": world.service, "release.role": "serving"})
    return {state.name: (state.labels["release.version"], state.status) for state in every}


def assert_all(world: World, version: str, *names: str) -> None:
    """Each process runs this version under its good name, nothing else is there, and nobody complains."""
    wanted = {
        f"{world.container}-{name}": (version, "running") for name in names or ("web", "worker", "beat")
    }
    assert running(world) == wanted
    status = world.invoke("status", "--json").data
    assert (status["drift"], status["leftovers"], status["lock"], status["unfinished"]) == (
        [],
        [],
        None,
        None,
    )
    assert {each["process"] for each in status["replicas"]} == {*(names or ("web", "worker", "beat"))}
    if "web" in (names or ("web",)):
        assert world.answer()["VERSION"] == version


def test_three_processes_change_together_and_go_back_together(world: World) -> None:
    """The plan names each in its order and the longest time; the record keeps their settings."""
    assert_all(world, "0.1.0")
    plan = world.invoke("deploy", "--to", "0.2.0", "--plan")
    assert plan.status == 0, plan.err
    lines = [line.strip() for line in plan.out.splitlines()]
    order = [next(line for line in lines if f". {name}: " in line) for name in ("web", "worker", "beat")]
    assert [line.rpartition(". ")[0][-1] for line in order] == ["1", "2", "3"]
    assert "the old one gets 5s to finish" in order[1]
    assert "exclusive: the old one has ended before the new one starts" in order[2]
    assert "if every process takes all its time" in plan.out
    done = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert done.status == 0, done.err
    assert_all(world, "0.2.0")
    again = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert again.status == 0, again.err
    assert "runs already" in again.err
    history = world.invoke("history")
    assert "deploy web, worker, beat" in history.out
    shown = world.invoke("show", world.invoke("status", "--json").data["expected"]["deployment"])
    assert "beat: python /app.py beat; after web; exclusive" in shown.out
    world.configure(publish="", processes=settings(world, "web"))
    back = world.invoke("rollback", "--yes")
    assert back.status == 0, back.err
    world.configure(publish="", processes=settings(world, "web", "worker", "beat"))
    assert_all(world, "0.1.0")
    ready = world.invoke("verify")
    assert ready.status == 0, ready.out


def test_a_process_that_fails_puts_all_back(world: World) -> None:
    """Web and worker of the new release were healthy already: the old ones run again all the same."""
    before = world.engine.containers({"release.service": world.service, "release.role": "serving"})
    failed = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert failed.status == 3, failed.err
    assert "what ran before runs again" in failed.err
    assert "beat cannot start" in failed.err
    assert_all(world, "0.1.0")
    after = world.engine.containers({"release.service": world.service, "release.role": "serving"})
    assert {each.id for each in after} == {each.id for each in before}
    assert world.statuses()[-1] == "restored"


def test_a_process_comes_and_goes_with_its_release(world: World) -> None:
    """What the new settings lack is stopped first; a rollback starts it again with the recorded settings."""
    world.configure(publish="", processes=settings(world, "web", "mailer"))
    done = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert done.status == 0, done.err
    assert_all(world, "0.2.0", "web", "mailer")
    back = world.invoke("rollback", "--yes")
    assert back.status == 0, back.err
    assert_all(world, "0.1.0")


def test_one_process_becomes_several_and_back(make: Make) -> None:
    """The port moves from the only process to web, and with the rollback back again."""
    world = make(app=APP)
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
    world.configure(command='["python", "/app.py", "web"]')
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    assert running(world) == {world.container: ("0.1.0", "running")}
    world.configure(publish="", processes=settings(world, "web", "beat"))
    done = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert done.status == 0, done.err
    assert_all(world, "0.2.0", "web", "beat")
    back = world.invoke("rollback", "--yes")
    assert back.status == 0, back.err
    assert running(world) == {world.container: ("0.1.0", "running")}
    assert world.answer()["VERSION"] == "0.1.0"


POINTS: Final = (
    ("after", "create", "1"),
    ("after", "create", "3"),
    ("after", "create", "4"),
    ("after", "stop", "1"),
    ("after", "start", "1"),
    ("after", "stop", "2"),
    ("after", "start", "2"),
    ("before", "stop", "3"),
    ("after", "stop", "3"),
    ("after", "start", "3"),
    ("before", "remove", "1"),
    ("after", "remove", "1"),
    ("after", "rename", "1"),
    ("after", "remove", "2"),
    ("after", "remove", "3"),
    ("after", "rename", "3"),
    ("before", "append_events", "2"),
)
"""Steps of a deployment: the lock, the three new containers, each old one's stop and each new one's start,
then each old one's removal and each new one's name, and the event of the end."""

BACK: Final = (
    ("after", "stop", "4"),
    ("after", "remove", "1"),
    ("after", "start", "4"),
    ("after", "remove", "2"),
    ("before", "start", "5"),
    ("after", "remove", "3"),
    ("after", "start", "6"),
    ("before", "append_events", "2"),
)
"""Steps of putting back, after beat did not start: of beat, of worker and of web."""


def test_a_death_at_any_step_ends_as_everything_old_or_everything_new(world: World) -> None:
    """By `invoke converge`: never a web of one release beside a worker of another."""
    runs, other = "0.1.0", "0.2.0"
    for point in rows.sample(POINTS, 4):
        died = world.dying(*point, "deploy", "--to", other, "--yes")
        assert died.status == -signal.SIGKILL, (point, died.err)
        done = world.invoke("converge", *SURE, "--json")
        assert done.status == 0, (point, done.err)
        if done.data["status"] == "healthy":
            runs, other = other, runs
        else:
            assert done.data["status"] == "restored", (point, done.err)
        assert_all(world, runs)


def test_a_death_while_all_are_put_back_ends_as_everything_old(world: World) -> None:
    """Some processes are back already, others still run the new release."""
    for point in rows.sample(BACK, 2):
        died = world.dying(*point, "deploy", "--to", "0.3.0", "--yes")
        assert died.status == -signal.SIGKILL, (point, died.err)
        done = world.invoke("converge", *SURE, "--json")
        assert done.status == 0, (point, done.err)
        assert done.data["status"] == "restored", point
        assert_all(world, "0.1.0")


def test_the_next_deployment_after_a_death_makes_everything_new(world: World) -> None:
    """Web runs the new release and worker the old one: a rollback makes one release of them."""
    died = world.dying("after", "start", "1", "deploy", "--to", "0.2.0", "--yes")
    assert died.status == -signal.SIGKILL, died.err
    back = world.invoke("rollback", *SURE)
    assert back.status == 0, back.err
    assert_all(world, "0.1.0")


def test_an_exclusive_process_never_runs_twice(world: World, tmp_path: Path) -> None:
    """By the engine's own events: through a change, a failure that puts all back, and a rollback."""
    beat = world.engine.state(f"{world.container}-beat")
    assert beat is not None
    running = {beat.id}
    with recorded(world, "beat", tmp_path / "events") as events:
        assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
        assert world.invoke("deploy", "--to", "0.3.0", "--yes").status == 3
        assert world.invoke("rollback", "--yes").status == 0
        # 0.2.0, 0.3.0 (which the engine starts again and again), 0.2.0, 0.1.0
        lab.eventually(lambda: starts(events()) >= 4 or None, what="all starts of beat")
        for event in events():
            one = event["Actor"]["ID"]
            running = running | {one} if event["Action"] == "start" else running - {one}
            assert len(running) <= 1, events()


def starts(events: list[dict[str, Any]]) -> int:
    return sum(event["Action"] == "start" for event in events)


@contextmanager
def recorded(world: World, process: str, file: Path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Starts and ends of the containers of a process, as the engine tells them, in their order.

    They are heard while the block runs, because an engine remembers only the last 256 events of all.
    """
    labels = {PROCESS: process, "release.service": world.service}
    kinds = ["type=container", "event=start", "event=die"]
    filters = [*kinds, *(f"label={key}={value}" for key, value in labels.items())]
    words = [word for each in filters for word in ("--filter", each)]
    since = f"{time.time():.3f}"
    with file.open("wb") as stream:
        listener = subprocess.Popen(
            ["docker", "events", "--since", since, *words, "--format", "{{json .}}"], stdout=stream
        )
        try:
            yield lambda: [json.loads(line) for line in file.read_text().split("\n")[:-1]]
        finally:
            listener.terminate()
            listener.wait()


def test_an_operation_is_about_the_process_that_is_named(world: World) -> None:
    """Without a name `restart`, `stop` and `start` are about all; a command needs one process."""
    ids = {name: state for name, (_, state) in running(world).items()}
    assert set(ids.values()) == {"running"}
    unclear = world.invoke("exec", "--message", "look", "--", "true")
    assert unclear.status == 2
    assert "--process" in unclear.err
    inside = world.invoke("exec", "--process", "worker", "--message", "look", "--", "cat", "/proc/1/cmdline")
    assert (inside.status, "worker" in inside.out) == (0, True), inside.err
    beside = world.invoke("run", "--process", "beat", "--message", "look", "--", "python", "-c", "print(7)")
    assert (beside.status, beside.out) == (0, "7\n"), beside.err
    stopped = world.invoke("stop", "--process", "worker", "--message", "a queue moves", "--yes")
    assert stopped.status == 0, stopped.err
    states = {name.rpartition("-")[2]: state for name, (_, state) in running(world).items()}
    assert states == {"web": "running", "worker": "exited", "beat": "running"}
    assert world.invoke("status", "--exit-code").status == 0
    started = world.invoke("start", "--process", "worker", "--message", "it moved", "--yes")
    assert started.status == 0, started.err
    restarted = world.invoke("restart", "--message", "a leak", "--yes")
    assert restarted.status == 0, restarted.err
    assert_all(world, "0.1.0")
    shown = world.invoke("logs", "--process", "web")
    assert shown.status == 0, shown.err
    assert "worker" not in shown.out
    recorded = [one for one in world.invoke("history", "--json").data if one["kind"] == "operation"]
    assert {(one["what"], one.get("process")) for one in recorded} == {
        ("exec", "worker"),
        ("run", "beat"),
        ("stop", "worker"),
        ("start", "worker"),
        ("restart", None),
    }
