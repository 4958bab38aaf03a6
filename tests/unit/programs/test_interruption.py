"""What a signal does to a session or a task: interrupt, cancel, or - the second time - end it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from release.errors import Cancelled
from release.programs.interruption import SIGNALS, Interrupted, Interruption


@pytest.fixture(autouse=True)
def _listening_to_ctrl_c() -> Iterator[None]:
    """A shell starts what runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send(signum: signal.Signals) -> None:
    """To this process; it is handled before this returns."""
    signal.raise_signal(signum)


@pytest.mark.parametrize("signum", SIGNALS)
def test_where_nothing_is_held_a_signal_interrupts(signum: signal.Signals) -> None:
    """What waits for a server is not waited for."""
    interruption = Interruption()
    with pytest.raises(Interrupted), interruption.listening():
        send(signum)
    assert interruption.arrived == signum


@pytest.mark.parametrize("signum", SIGNALS)
def test_while_held_a_signal_cancels(signum: signal.Signals) -> None:
    """Nothing is torn in the middle; who holds a container or a connection is told."""
    interruption, stopped = Interruption(), threading.Event()
    with (
        interruption.listening(),
        interruption.held(),
        suppress(Cancelled),
        interruption.cancellation.stopping(stopped.set),
    ):
        send(signum)
        assert stopped.wait(20)
    assert interruption.cancellation.reason == f"{signum.name} arrived"


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_block_inside_of_a_held_block_leaves_it_held(signum: signal.Signals) -> None:
    """A stop at the end of a group's rollback has a block of its own; the record that follows is not torn."""
    interruption, stopped = Interruption(), threading.Event()
    with (
        interruption.listening(),
        interruption.held(),
        suppress(Cancelled),
        interruption.cancellation.stopping(stopped.set),
    ):
        with interruption.held():
            pass
        send(signum)
        assert stopped.wait(20)
    assert interruption.cancellation.reason == f"{signum.name} arrived"


def test_the_handlers_of_before_come_back() -> None:
    """The process is left as it was."""
    before = [signal.getsignal(signum) for signum in SIGNALS]
    with Interruption().listening():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


def test_an_ignored_signal_stays_ignored() -> None:
    """nohup(1) is heeded."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption().listening():
            send(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_same_signal_twice_at_once_is_one() -> None:
    """A wrapper passes on what its whole group got."""
    interruption = Interruption(at_once=lambda: os._exit(1))
    with interruption.listening(), interruption.held():
        send(signal.SIGINT)
        send(signal.SIGINT)
        send(signal.SIGTERM)
    assert interruption.arrived == signal.SIGINT


SECOND = """
import signal, subprocess, sys, threading, time
from pathlib import Path
from release.programs import process
from release.programs.interruption import SAME_SECONDS, Interruption
interruption = Interruption(at_once=lambda: print("leaving", flush=True))
begun = threading.Event()
stubborn = process.Command(argv=("sh", "-c", "trap '' TERM; echo $$; while true; do sleep 1; done"))
def tell(line):
    print(line, flush=True)
    begun.set()
def run():
    process.run(stubborn, cancellation=interruption.cancellation, on_line=tell)
with interruption.listening(), interruption.held():
    threading.Thread(target=run).start()
    begun.wait()
    signal.raise_signal(signal.SIGTERM)
    time.sleep(SAME_SECONDS * 2)
    signal.raise_signal(signal.SIGINT)
    print("never")
"""


def test_a_second_signal_leaves_at_once_and_takes_programs_along() -> None:
    """Its number decides the status; a program that ignores SIGTERM does not outlive us."""
    argv = [sys.executable, "-c", SECOND]
    ran = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    pid, leaving = ran.stdout.split()
    assert (ran.returncode, leaving) == (130, "leaving"), ran.stderr
    for _ in range(1000):  # a signal takes its time to be delivered
        if is_dead(pid):
            break
        time.sleep(0.01)
    assert is_dead(pid)


def is_dead(pid: str) -> bool:
    """Gone, or waiting to be collected (proc(5), state Z)."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"
