"""Programs: their status, output and log, and that a cancellation leaves none of them running."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from release.errors import Cancelled, CommandFailed, ReleaseError
from release.programs import process
from release.programs.cancellation import Cancellation
from release.programs.process import TAIL_LINES, Command, output_of, run


def shell(script: str, **settings: object) -> Command:
    return Command(argv=("sh", "-c", script), **settings)  # type: ignore[arg-type]


def python(script: str) -> Command:
    return Command(argv=(sys.executable, "-c", script))


def is_running(pid: int) -> bool:
    """Whether the process exists and is not merely waiting to be collected."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def eventually(condition: object, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


@contextmanager
def cancelled_when(
    path: Path, cancellation: Cancellation, reason: str = "the lint gate failed"
) -> Iterator[None]:
    """Request the cancellation as soon as this file has content."""

    def wait() -> None:
        eventually(lambda: path.exists() and path.read_text().strip())
        cancellation.request(reason)

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_program_that_ends_well_gives_its_output() -> None:
    """Standard output and standard error together."""
    completed = run(shell("echo out; echo err >&2"))
    assert (completed.status, completed.output) == (0, "out\nerr\n")


def test_a_status_other_than_0_is_an_error() -> None:
    """With the status and the last lines."""
    with pytest.raises(CommandFailed) as caught:
        run(shell("echo boom; exit 7"))
    assert (caught.value.status, caught.value.tail) == (7, ("boom",))


def test_a_status_other_than_0_is_returned_when_asked() -> None:
    """Some programs answer by their status."""
    assert run(shell("exit 7"), check=False).status == 7


def test_an_error_carries_the_last_lines_only() -> None:
    """A long log is not repeated in a message."""
    with pytest.raises(CommandFailed) as caught:
        run(shell("seq 1000; exit 1"))
    assert caught.value.tail == tuple(str(n) for n in range(1001 - TAIL_LINES, 1001))


def test_the_tail_of_a_completed_program_is_its_last_lines() -> None:
    """The same as in an error."""
    assert run(shell("seq 30")).tail == tuple(str(n) for n in range(31 - TAIL_LINES, 31))


def test_standard_error_can_be_kept_out_of_the_output(capfd: pytest.CaptureFixture[str]) -> None:
    """The output is the program's result alone; the caller gets the other lines, and nothing is printed."""
    complaints: list[str] = []
    assert run(shell("echo out; echo err >&2"), apart=complaints).output == "out\n"
    assert complaints == ["err"]
    assert capfd.readouterr() == ("", "")


def test_a_child_that_keeps_standard_error_open_keeps_nobody_waiting() -> None:
    """As an agent that a program leaves in the background."""
    complaints: list[str] = []
    child = shell("echo err >&2; sleep 60 >/dev/null & echo $!")
    pid = int(run(child, apart=complaints).output)
    os.kill(pid, signal.SIGKILL)
    assert complaints == ["err"]


def test_a_log_receives_the_output_after_what_it_holds(tmp_path: Path) -> None:
    """Several programs of a stage share a log."""
    log = tmp_path / "log"
    log.write_text("before\n")
    run(shell("echo after"), log=log)
    assert log.read_text() == "before\nafter\n"


def test_a_log_holds_each_line_as_soon_as_it_is_written(tmp_path: Path) -> None:
    """Whoever watches a long build sees it move."""
    log = tmp_path / "log"
    seen: list[str] = []
    run(shell("echo 1; echo 2"), log=log, on_line=lambda line: seen.append(f"{line}: {log.read_text()!r}"))
    assert seen == ["1: '1\\n'", "2: '1\\n2\\n'"]


def test_bytes_that_are_not_text_are_replaced() -> None:
    """A broken log line stops no release."""
    assert run(shell(r"printf 'a\377b\n'")).output == "a\N{REPLACEMENT CHARACTER}b\n"


def test_a_program_gets_its_folder_environment_and_input(tmp_path: Path) -> None:
    """All three are data of the command."""
    source = tmp_path / "input"
    source.write_text("given\n")
    completed = run(shell('pwd; echo "$FLAVOUR"; cat', cwd=tmp_path, env={"FLAVOUR": "x"}, stdin=source))
    assert completed.output == f"{tmp_path}\nx\ngiven\n"


def test_a_program_without_input_reads_nothing() -> None:
    """It cannot wait for a terminal."""
    assert run(shell("cat")).output == ""


def test_the_variables_of_an_outer_git_or_python_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A git hook sets GIT_DIR: programs in other folders must not see it."""
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    monkeypatch.setenv("KEPT", "yes")
    command = shell('echo "$GIT_DIR-$VIRTUAL_ENV-$KEPT"', inherits=("*",))
    assert run(command).output == "--yes\n"


@pytest.mark.attack(
    "A program of a tool or of a repository reads the passwords in the operator's environment",
    "A program gets the basic variables, and others only where its command names them",
)
def test_a_program_gets_the_basic_variables_unless_its_command_names_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The default is the least, so that a new command cannot pass on too much by mistake."""
    monkeypatch.setenv("PROD_DATABASE_URL", "canary")
    monkeypatch.setenv("LC_ALL", "C")
    said = 'echo "$PROD_DATABASE_URL-$LC_ALL"'
    assert run(shell(said)).output == "-C\n"
    assert run(shell(said, inherits=("PROD_*",))).output == "canary-\n"


def test_a_missing_program_is_named_with_what_to_do() -> None:
    """Not a traceback."""
    said = r"cannot run `no-such-program`: the program is not installed\n.*install no-such-program"
    with pytest.raises(ReleaseError, match=said):
        run(Command(argv=("no-such-program",)))


def test_a_missing_folder_is_not_called_a_missing_program(tmp_path: Path) -> None:
    """Both are the same error of the system."""
    with pytest.raises(ReleaseError, match=r"the working folder .*/gone does not exist"):
        run(shell("true", cwd=tmp_path / "gone"))


def test_a_file_that_may_not_be_run_is_named(tmp_path: Path) -> None:
    """The system's own word is kept."""
    script = tmp_path / "script"
    script.write_text("echo\n")
    with pytest.raises(ReleaseError, match="the system cannot start it: Permission denied"):
        run(Command(argv=(str(script),)))


def test_a_cancellation_stops_a_running_program(tmp_path: Path) -> None:
    """At once, and the error gives the reason."""
    cancellation = Cancellation()
    started = time.monotonic()
    with (
        cancelled_when(tmp_path / "pid", cancellation),
        pytest.raises(Cancelled, match="the lint gate failed"),
    ):
        run(shell(f"echo $$ > {tmp_path}/pid; sleep 60"), cancellation=cancellation)
    assert time.monotonic() - started < 10
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_a_cancellation_stops_grandchildren_too(tmp_path: Path) -> None:
    """The whole group ends, not the program alone."""
    cancellation = Cancellation()
    with cancelled_when(tmp_path / "pid", cancellation), pytest.raises(Cancelled):
        run(shell(f"sh -c 'sleep 60 & echo $! > {tmp_path}/pid; wait'; true"), cancellation=cancellation)
    assert eventually(lambda: not is_running(int((tmp_path / "pid").read_text())))


def test_a_grandchild_that_ignores_the_polite_signal_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when the program itself obeyed and is gone."""
    monkeypatch.setattr(process, "_ORPHAN_SECONDS", 0.2)
    stubborn = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done"
    cancellation = Cancellation()
    with cancelled_when(tmp_path / "pid", cancellation), pytest.raises(Cancelled):
        run(shell(f'sh -c "{stubborn.replace("$", chr(92) + "$")}" & wait'), cancellation=cancellation)
    assert eventually(lambda: not is_running(int((tmp_path / "pid").read_text())))


def test_a_program_that_ignores_the_polite_signal_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its grace, for certain."""
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.2)
    monkeypatch.setattr(process, "_ORPHAN_SECONDS", 0.0)
    cancellation = Cancellation()
    script = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done"
    with cancelled_when(tmp_path / "pid", cancellation), pytest.raises(Cancelled):
        run(shell(script), cancellation=cancellation)
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_a_program_may_clean_up_when_it_is_cancelled(tmp_path: Path) -> None:
    """It is asked before it is killed."""
    script = f"""
import pathlib, signal, sys, time
def clean_up(*_):
    pathlib.Path({str(tmp_path / "cleaned")!r}).touch()
    sys.exit()
signal.signal(signal.SIGTERM, clean_up)
pathlib.Path({str(tmp_path / "ready")!r}).write_text("yes")
time.sleep(60)
"""
    cancellation = Cancellation()
    with cancelled_when(tmp_path / "ready", cancellation), pytest.raises(Cancelled):
        run(python(script), cancellation=cancellation)
    assert (tmp_path / "cleaned").exists()


def test_nothing_starts_after_a_cancellation(tmp_path: Path) -> None:
    """Not even for a moment."""
    cancellation = Cancellation()
    cancellation.request("stopped by SIGTERM")
    with pytest.raises(Cancelled, match="stopped by SIGTERM"):
        run(shell(f"touch {tmp_path}/started"), cancellation=cancellation)
    assert not (tmp_path / "started").exists()


def test_an_error_of_the_reader_stops_the_program(tmp_path: Path) -> None:
    """A crash of ours leaves no program behind."""

    def crash(line: str) -> None:
        (tmp_path / "pid").write_text(line)
        raise RuntimeError("the renderer broke")

    with pytest.raises(RuntimeError, match="the renderer broke"):
        run(shell("echo $$; exec sleep 60"), on_line=crash)
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_the_first_reason_of_a_cancellation_stays() -> None:
    """Later failures are consequences."""
    cancellation = Cancellation()
    cancellation.request("the lint gate failed")
    cancellation.request("the build was stopped")
    assert cancellation.reason == "the lint gate failed"


def test_a_cancellation_runs_each_stopper_once() -> None:
    """A second request finds nothing left to do."""
    cancellation = Cancellation()
    calls: list[str] = []
    with cancellation.stopping(lambda: calls.append("stopped")):
        cancellation.request("a")
        cancellation.request("b")
    assert calls == ["stopped"]


def test_what_has_ended_is_not_stopped() -> None:
    """A stopper is forgotten when its block ends."""
    cancellation = Cancellation()
    calls: list[str] = []
    with cancellation.stopping(lambda: calls.append("stopped")):
        pass
    cancellation.request("late")
    assert calls == []


def test_stoppers_run_side_by_side() -> None:
    """Each waits for the other here: one after the other they would never meet."""
    cancellation = Cancellation()
    meeting = threading.Barrier(2, timeout=10)
    met: list[int] = []
    with (
        cancellation.stopping(lambda: met.append(meeting.wait())),
        cancellation.stopping(lambda: met.append(meeting.wait())),
    ):
        cancellation.request("stop")
    assert sorted(met) == [0, 1]


def test_a_stopper_that_fails_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the engine is away: whoever is stopped tells how that ended. The others are stopped."""
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)

    def fail() -> None:
        raise ReleaseError("remove the container 0123", "no program listens there")

    cancellation, calls = Cancellation(), list[str]()
    with cancellation.stopping(fail), cancellation.stopping(lambda: calls.append("stopped")):
        cancellation.request("enough")
    assert (raised, calls) == ([], ["stopped"])


def test_work_is_checked_against_the_cancellation() -> None:
    """Nothing happens before the request; after it every check raises."""
    cancellation = Cancellation()
    cancellation.check()
    cancellation.request("stop")
    with pytest.raises(Cancelled, match="stop"):
        cancellation.check()


def test_the_output_of_a_short_program_has_no_white_space_around_it() -> None:
    """As a value that can be compared."""
    assert output_of(("sh", "-c", 'echo " x "')) == "x"


def test_a_program_leads_a_group_of_its_own() -> None:
    """A signal to it does not reach us."""
    group = run(python("import os; print(os.getpgrp() == os.getpid(), os.getpgrp())")).output.split()
    assert group[0] == "True"
    assert int(group[1]) != os.getpgrp()


def test_a_pause_ends_when_the_work_is_cancelled() -> None:
    """At once, however long it was to be; without a cancellation it ends by itself."""
    cancellation = Cancellation()
    cancellation.pause(0.01)
    threading.Timer(0.05, cancellation.request, ["a signal"]).start()
    before = time.monotonic()
    with pytest.raises(Cancelled, match="a signal"):
        cancellation.pause(120)
    assert time.monotonic() - before < 60


def test_a_long_line_is_whole_in_the_output_and_short_elsewhere(tmp_path: Path) -> None:
    """The log and the output have all of it; what people see of it, and an error's last lines, are short."""
    seen: list[str] = []
    log = tmp_path / "log"
    code = "print('x' * 5_000_000); raise SystemExit(1)"
    done = run(Command(argv=(sys.executable, "-c", code)), log=log, on_line=seen.append, check=False)
    assert len(done.output) == 5_000_001
    assert log.stat().st_size >= 5_000_000
    assert [len(line) < 3000 for line in (*seen, *done.tail)] == [True, True]
    with pytest.raises(CommandFailed) as caught:
        run(Command(argv=(sys.executable, "-c", code)))
    assert max(map(len, caught.value.tail)) < 3000
