"""The questions of the smoke gate to a service without an HTTP port, on a real engine."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from release.chain.smoking.questions import SmokeQuestions
from release.events import Progress
from tests.engine import lab
from tests.engine.chain.smokes import Bench, refused

WORK = "import time\nprint('ready', flush=True)\nwhile True: time.sleep(0.1)\n"
"""A worker: it listens nowhere, and ends on SIGTERM."""

NO_PORT: dict[str, Any] = {"port": None}


def test_a_check_in_the_container_ends_with_status_0(bench: Bench) -> None:
    """It is run again until it does; else its status and output are shown, of a missing one at once."""
    run = bench.image(f"import pathlib\npathlib.Path('/tmp/at').touch()\n{WORK}")
    ready = "import os, time; exit(time.time() - os.stat('/tmp/at').st_mtime < 1.5)"
    passed = run(**NO_PORT, check=["python3", "-c", ready])
    assert passed.summary.endswith("ended with status 0, stopped with status 0")
    assert passed.spec.check == ("python3", "-c", ready)
    assert passed.spec.probe is None
    failed = refused(run, **NO_PORT, timeout="1s", check=["python3", "-c", "exit('no broker')"])
    assert "`python3 -c 'exit('\"'\"'no broker'\"'\"')'` in the container ended with status 1" in failed.found
    assert failed.tail == ("python3: no broker", "ready")
    log = bench.log()
    assert "python3: no broker" in log
    missing = refused(run, **NO_PORT, check=["celery", "inspect", "ping"])
    assert "`celery inspect ping` in the container ended with status 12" in missing.found
    assert "correct `smoke.check`, or install the program" in missing.hint
    hangs = refused(run, **NO_PORT, timeout="1s", check=["sleep", "60"])
    assert "`sleep 60` in the container still ran after " in hangs.found


def test_staying_up_is_the_whole_window(bench: Bench) -> None:
    """One that ends within it fails, with status 0 too; a port that listens is named."""
    passed = bench.image(WORK)(**NO_PORT, stays_up="1s")
    assert passed.summary == "stayed up for 1 s, stopped with status 0"
    assert passed.spec.stays_up == 1000
    for status in (0, 3):
        ends = bench.image(f"import time; print('done'); time.sleep(1); sys.exit({status})")
        failed = refused(ends, **NO_PORT, stays_up="3s")
        assert failed.found == (
            f"the container ended with status {status} within the 3 s of `smoke.stays_up`"
        )
        assert failed.tail == ("done",)
    assert bench.image("serve()")(**NO_PORT, stays_up="1s")
    log = bench.log()
    assert "it listens on port 8000, which no question is about: `smoke.port = 8000` (HTTP)" in log


def test_a_container_that_was_started_again_did_not_stay_up(bench: Bench) -> None:
    """However that came: its first run ended."""
    run = bench.image(f"signal.signal(signal.SIGTERM, end)\n{WORK}")

    def running() -> list[str]:
        run = bench.contexts[-1].run_folder.id if bench.contexts else "none"
        asked = ["docker", "ps", "--quiet", "--filter", f"label=release.run={run}"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()

    def restart() -> None:
        found = lab.eventually(running, what="the container")
        subprocess.run(["docker", "restart", *found], capture_output=True, check=True)

    beside = threading.Thread(target=restart)
    beside.start()
    failed = refused(run, **NO_PORT, stays_up="6s", stop_signal="SIGTERM")
    beside.join()
    assert "within the 6 s of `smoke.stays_up`" in failed.found


def test_a_health_check_belongs_to_staying_up(bench: Bench) -> None:
    """The image's own must pass; settings, also those of the environments, replace it or leave it out."""
    broken = {"Test": ["CMD", "python3", "-c", "exit('ill')"], "Interval": 10**9}
    run = bench.image(WORK, Healthcheck=broken)
    failed = refused(run, **NO_PORT, stays_up="1s", timeout="1s")
    assert "its HEALTHCHECK in the container ended with status 1" in failed.found
    assert "python3: ill" in failed.tail
    good = {"command": ["python3", "-c", "pass"]}
    passed = run(**NO_PORT, stays_up="1s", healthcheck=good)
    assert "stayed up for 1 s, and its HEALTHCHECK ended with status 0" in passed.summary
    assert passed.spec.healthcheck is not None
    assert run(**NO_PORT, stays_up="1s", environments={"production": {"healthcheck": {"disable": True}}})


def test_a_port_that_speaks_no_http_accepts_connections(bench: Bench) -> None:
    """On an address that others reach."""
    listen = "import socket\nline, kept = socket.create_server(('{address}', 7000)), []\n"
    listen += "while True: kept.append(line.accept())\n"
    passed = bench.image(listen.format(address="0.0.0.0"))(**NO_PORT, tcp=[7000])  # noqa: S104
    assert passed.summary.startswith("port 7000 accepts connections, ")
    assert passed.spec.tcp == (7000,)
    failed = refused(bench.image(listen.format(address="127.0.0.1")), **NO_PORT, tcp=[7000], timeout="1s")
    assert failed.found.startswith("port 7000 closes connections at once, after ")
    assert "port 7000 of its own loopback alone" in failed.hint


def test_all_questions_are_asked(bench: Bench) -> None:
    """Also those after one that passed; what ended before it was stopped has not stopped well."""
    run = bench.image("serve()")
    asked = {"tcp": [8000], "check": ["python3", "-c", "pass"], "stays_up": "1s"}
    words = "answered 200 OK, port 8000 accepts connections, `python3 -c pass` ended with status 0, stayed up"
    assert words in run(**asked).summary
    assert "status 7" in refused(run, **{**asked, "check": ["python3", "-c", "exit(7)"]}, timeout="1s").found


def test_one_that_ended_before_it_was_stopped_did_not_stop_well(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its status."""
    answers = SmokeQuestions.ask_all

    def ended(questions: SmokeQuestions) -> Iterator[str]:
        yield from answers(questions)
        bench.engine.stop(questions.container, grace=1000)

    monkeypatch.setattr(SmokeQuestions, "ask_all", ended)
    assert "ended with status 0 before it was asked to stop" in refused(bench.image("serve()")).found


PROCESSES = f"""
if sys.argv[1:] == ["work"]:
    open("/tmp/beat", "w")
elif sys.argv[1:] != ["beat"]:
    serve()
{WORK}
"""


def test_each_process_of_an_image_has_its_own_questions(bench: Bench) -> None:
    """All run; each is named in the summary, the log, the events and the record, and in an error."""
    run = bench.image(PROCESSES)
    command = ["python3", "/srv/app.py"]
    work = {"command": [*command, "work"], "check": ["cat", "/tmp/beat"]}
    beat = {"command": [*command, "beat"], "stays_up": "1s"}
    passed = run(processes={"worker": work, "beat": beat})
    main, worker, last = passed.summary.split("; ")
    assert main.startswith("/ answered 200")
    assert worker.startswith("worker: `cat /tmp/beat` ended with status 0")
    assert last.startswith("beat: stayed up for 1 s")
    assert {"output of worker:", "output of beat:", "process beat"} <= set(bench.log().splitlines())
    assert {"process worker", "process beat"} <= {
        event.text for event in bench.events if isinstance(event, Progress)
    }
    recorded = passed.spec.processes or {}
    assert (recorded["worker"].check, recorded["beat"].stays_up) == (("cat", "/tmp/beat"), 1000)
    failed = refused(run, **NO_PORT, timeout="1s", processes={"worker": {**work, "check": ["false"]}})
    assert failed.found.startswith("process worker: `false` in the container ended with status 1, not 0")
    assert "`smoke.processes.worker.timeout`" in failed.hint


def test_a_worker_without_its_broker_is_shown_companions(bench: Bench) -> None:
    """From the words of the C library in its output."""
    run = bench.image("import socket; socket.create_connection(('broker.invalid', 5672))")
    assert "`[tool.release.companions.<name>]`" in refused(run, **NO_PORT, check=["false"]).hint
