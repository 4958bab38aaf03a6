"""The gate `test` on a real engine: what is run, what passes, what refuses, and what the container may do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release import config
from release.chain.plan import Options, make_plan
from release.chain.run_folder import RunFolder
from release.chain.stage_context import StageContext
from release.chain.testing import stage as test_stage
from release.chain.testing.run import run_tests
from release.errors import GateFailed
from release.events import Event, Progress
from release.images.engine import Engine
from release.records import Actor, Run, TestsRan
from release.reference import Reference
from tests.engine import lab, tiny
from tests.engine.chain.conftest import Make
from tests.engine.service import DOCKERFILE, Service
from tests.unit.chain.test_plan import configured, facts

EMPTY = SimpleNamespace(read=lambda *_: None, listing=lambda *_: {}, leaf=lambda *_: None)
"""A repository without a file."""

SCRIPT = """#!/bin/sh
if [ "$1" = serve ]; then exec python3 /srv/app.py; fi
echo "nothing to do for $1"
exit 0
"""
"""An ENTRYPOINT that serves on `serve`, and else ends well."""

WITH_ENTRYPOINT = DOCKERFILE.replace("COPY app.py /srv/app.py", "COPY app.py run.sh /srv/", 1).replace(
    'CMD ["python3", "/srv/app.py"]', 'ENTRYPOINT ["/bin/sh", "/srv/run.sh"]\nCMD ["serve"]', 1
)


def entrypoint(make: Make, program: str, **settings: Any) -> Service:
    """A service whose image has that ENTRYPOINT, and this test program."""
    return make(files={"Dockerfile": WITH_ENTRYPOINT, "run.sh": SCRIPT, "test.py": program}, **settings)


def recorded_tests(service: Service) -> Any:
    """What the record of its release says of the tests."""
    (record,) = service.records()
    (gate,) = [gate for gate in record["gates"] if gate["name"] == "test"]
    return gate["tests"]


@pytest.mark.attack(
    "An image's ENTRYPOINT script ends with status 0 for every command but its own",
    "The tests' command runs in the place of the ENTRYPOINT, and the gate fails as the tests do",
)
def test_a_failing_test_fails_behind_an_entrypoint_that_ends_well(make: Make) -> None:
    """The command itself runs. Kept, the script runs no test: nothing shows that one ran."""
    service = entrypoint(make, "raise SystemExit(3)")
    ran = service.nox("test")
    assert ran.status == 1, ran.all
    assert "`python3 /test.py` in the image ended with status 3" in ran.err
    service.configure(test={"target": "test", "command": ["python3", "/test.py"], "entrypoint": "keep"})
    service.commit("test: keep the entrypoint")
    ran = service.nox("test")
    assert ran.status == 1, ran.all
    assert "ended with status 0, but nothing shows that a test ran" in ran.err
    assert 'evidence = "exit-status"' in ran.err


def test_a_release_records_what_ran_and_how_many_tests(make: Make) -> None:
    """`invoke show` tells it too."""
    service = entrypoint(make, "print('Ran 4 tests in 0.1s\\n\\nOK (skipped=1)')")
    ran = service.nox("release")
    assert ran.status == 0, ran.all
    argv = ["python3", "/test.py"]
    assert recorded_tests(service) == {"argv": argv, "evidence": "output", "count": 3, "skipped": 1}
    shown = service.invoke("show", "0.1.0")
    assert "3 tests, 1 skipped, as the output states" in shown.all


def test_the_exit_status_has_to_be_declared_and_is_shown(make: Make) -> None:
    """In the stage's line, in the record and by `invoke show`."""
    declared = {"evidence": "exit-status", "reason": "a shell script"}
    service = make(test={"target": "test", "command": ["python3", "-c", "pass"], **declared})
    ran = service.nox("release")
    assert ran.status == 0, ran.all
    assert "passed by the exit status alone" in ran.err
    assert recorded_tests(service) == {"argv": ["python3", "-c", "pass"], **declared}
    assert "by its exit status alone: a shell script" in service.invoke("show", "0.1.0").all


# --- without a build: the command runs in the small base

Gate = Callable[..., TestsRan]


@pytest.fixture
def said() -> list[Event]:
    return []


@pytest.fixture
def shop_for(tmp_path: Path, engine: Engine, said: list[Event]) -> Callable[..., StageContext]:
    """A place to run a test program in."""

    def made(**test: Any) -> StageContext:
        service = configured(test=test).service("api")
        return StageContext(
            plan=make_plan(service, facts(), Options(), several=False),
            source=EMPTY,  # type: ignore[arg-type]  # no file is looked for
            run_folder=RunFolder.create(tmp_path),
            actor=Actor(name="a", email="a@b"),
            run=Run(id="run"),
            emit=said.append,
            open_engine=lambda: engine,
            open_ledger=lambda: None,  # type: ignore[arg-type,return-value]  # no ledger is read
        )

    return made


@pytest.fixture
def gate(engine: Engine, shop_for: Callable[..., StageContext]) -> Gate:
    """Run a program as the tests, and judge it."""
    lab.small_image()

    def run(program: str, **test: Any) -> TestsRan:
        ctx = shop_for(**{"command": ["python3", "-c", program], **test})
        image = engine.inspect(Reference.parse(lab.SMALL_IMAGE))
        assert image is not None
        try:
            return test_stage._prove_passed(ctx, run_tests(ctx, image))
        finally:
            ctx.background.finish(ctx.emit)

    return run


def refused(gate: Gate, program: str, **test: Any) -> GateFailed:
    with pytest.raises(GateFailed) as caught:
        gate(program, **test)
    return caught.value


def test_a_report_by_its_path_is_evidence(gate: Gate) -> None:
    """A relative path is below the image's working folder."""
    program = "open('r.xml', 'w').write('<testsuite><testcase/><testcase/></testsuite>')"
    for path in ("/r.xml", "r.xml"):
        ran = gate(program, report=path)
        assert (ran.evidence, ran.count, ran.argv) == ("junit", 2, ("python3", "-c", program))


def test_a_report_of_the_image_itself_is_no_evidence(
    engine: Engine, shop_for: Callable[..., StageContext]
) -> None:
    """It was there before the tests began, and they did not write it."""
    lab.small_image()
    name = f"localhost/{lab.unique('report')}:1"
    files = {"r.xml": "<testsuite><testcase/></testsuite>"}
    tiny.load(engine, name, tiny.on_small_base(engine, files=files, settings={}))
    try:
        ctx = shop_for(command=["python3", "-c", "pass"], report="/r.xml")
        image = engine.inspect(Reference.parse(name))
        assert image is not None
        with pytest.raises(GateFailed, match=r"wrote no report at /r\.xml"):
            test_stage._prove_passed(ctx, run_tests(ctx, image))
        ctx.background.finish(ctx.emit)
    finally:
        engine.untag(Reference.parse(name))


REPORTS = {
    "6 GB of nothing": ("open('/r.xml', 'w').truncate(6 * 1024**3)", "larger than the limit, 64m"),
    "deep": ("open('/r.xml', 'w').write('<a>' * 100_000)", "nested more than 50 deep"),
    "a folder": ("import os; os.mkdir('/r.xml')", "the path is a folder"),
    "a pipe": ("import os; os.mkfifo('/r.xml')", "the path is not a regular file"),
    "a loop": (
        "import os; os.symlink('/b', '/r.xml'); os.symlink('/r.xml', '/b')",
        "links|no such file|left no",
    ),
}


@pytest.mark.parametrize("case", REPORTS)
@pytest.mark.attack(
    "A passing test leaves a report of 6 GB without content, a pipe, or a link to itself",
    "The report is measured before it is read; the gate fails with the reason",
)
def test_a_report_beyond_its_limits_fails_the_gate_with_the_reason(gate: Gate, case: str) -> None:
    """A clear error within seconds, never the memory of this machine."""
    program, found = REPORTS[case]
    with pytest.raises(GateFailed, match=found):
        gate(program, report="/r.xml")


def test_a_word_that_is_no_program_is_told_with_the_entrypoint(
    engine: Engine, shop_for: Callable[..., StageContext]
) -> None:
    """As where the command was written for `docker run IMAGE`."""
    lab.small_image()
    name = f"localhost/{lab.unique('entrypoint')}:1"
    settings = {"Entrypoint": ["python3", "-I"]}
    tiny.load(engine, name, tiny.on_small_base(engine, files={"x": ""}, settings=settings))
    try:
        ctx = shop_for(command=["-c", "print(1)"])
        image = engine.inspect(Reference.parse(name))
        assert image is not None
        with pytest.raises(GateFailed) as caught:
            run_tests(ctx, image)
        ctx.background.finish(ctx.emit)
        assert "replaces the image's ENTRYPOINT, python3 -I" in caught.value.hint
    finally:
        engine.untag(Reference.parse(name))


LIMITS = """
import os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
assert (int(status["CapEff"], 16), int(status["CapBnd"], 16)) == (0, 0), status
assert status["NoNewPrivs"].strip() == "1"
files = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
assert open(next(filter(os.path.exists, files))).read().strip() == str(100 * 1024**2)
files = ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max")
assert open(next(filter(os.path.exists, files))).read().strip() == "99"
assert os.listdir("/sys/class/net") == ["lo"]
print("1 passed")
"""


def test_the_tests_container_has_limits_and_no_network(gate: Gate) -> None:
    """As the kernel tells the program."""
    assert gate(LIMITS, memory="100m", pids=99).count == 1


def test_what_is_asked_for_is_given(gate: Gate) -> None:
    """A network, the engine's own or by its name; a capability; programs that raise their rights."""
    network = "import os; assert len(os.listdir('/sys/class/net')) > 1; print('1 passed')"
    for asked in (True, "bridge"):
        assert gate(network, network=asked).count == 1
    chown = "import os; os.mkdir('/tmp/x'); os.chown('/tmp/x', 5, 5); print('1 passed')"
    assert "ended with status 1" in refused(gate, chown).found
    assert gate(chown, cap_add=["CHOWN"]).count == 1
    privileges = "assert 'NoNewPrivs:\\t0' in open('/proc/self/status').read(); print('1 passed')"
    assert gate(privileges, new_privileges=True).count == 1


def test_a_limit_that_ended_the_tests_is_named(gate: Gate) -> None:
    """Memory by the engine's word; a network by what the program says."""
    assert "more memory than `test.memory`" in refused(gate, "bytearray(200 * 1024**2)", memory="50m").found
    without = refused(gate, "import socket; socket.create_connection(('192.0.2.1', 9), timeout=0.2)")
    assert "test.network = true" in without.hint


@pytest.mark.parametrize(
    "text", ["'x' * n + '\\n1 passed\\n'", "'1 passed\\n' + 'x' * n"], ids=["first", "last"]
)
def test_a_line_of_thirty_megabytes_is_whole_in_the_log_and_short_elsewhere(
    gate: Gate, said: list[Event], tmp_path: Path, text: str
) -> None:
    """Before and after the count."""
    assert gate(f"import sys; n = 30_000_000; sys.stdout.write({text})").count == 1
    (log,) = (tmp_path / ".release").rglob("test.log")
    assert log.stat().st_size >= 30_000_000
    lines = [event.text for event in said if isinstance(event, Progress)]
    assert max(map(len, lines)) < 3000


def test_a_configured_count_is_read(gate: Gate) -> None:
    """In the words of any runner; without a line that matches, the gate says which pattern."""
    assert gate("print('Passed: 7')", count="Passed: ([0-9]+)").count == 7
    assert "no line of its output matches" in refused(gate, "print('ok')", count="Passed: ([0-9]+)").found


def test_the_table_is_parsed_as_it_is_configured() -> None:
    """The defaults are finite."""
    table = config.Test()
    assert (table.memory, table.pids, table.network, table.entrypoint) == (
        4 * 1024**3,
        4096,
        False,
        "replace",
    )
