"""Signals to `nox -s release`: how it ends, what it leaves, and what the shell sees."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.test_release import nothing_happened, released
from tests.engine.service import IDENTITY, Ran, Service

RELEASE = (sys.executable, "-m", "nox", "-s", "release")
SLOW = {"test.py": "import time; time.sleep(300)"}


def until_tests_run(engine: Engine, service: Service) -> None:
    """The chain is in the middle of everything."""
    mine = {"release.service": service.name, "release.role": "test"}
    lab.eventually(lambda: engine.containers(mine), what="the tests", seconds=60)


@pytest.mark.parametrize(
    ("signum", "to_group"), [(signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGHUP, True)]
)
def test_a_signal_stops_everything_and_releases_nothing(
    make: Make, engine: Engine, signum: signal.Signals, *, to_group: bool
) -> None:
    """As CI cancels, through pipes: 128 and the signal's number, no record, no tag, no container."""
    service = make(files=SLOW)
    with service.start(*RELEASE, new_session=True) as process:
        until_tests_run(engine, service)
        os.killpg(process.pid, signum) if to_group else process.send_signal(signum)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + signum, "")
    assert f"{signum.name} arrived: nothing was released" in err
    nothing_happened(service, engine)


def test_a_signal_before_the_stages_ends_the_run_as_well(make: Make, engine: Engine, tmp_path: Path) -> None:
    """While the git server is asked for the ledger."""
    flag = tmp_path / "asked"
    silent = f"touch {flag}; sleep 300"
    service = make()
    service.git("remote", "add", "origin", f"ext::sh -c {silent.replace(' ', '% ')}")
    service.git("config", "protocol.ext.allow", "always")
    service.configure(ledger={"remote": "origin"})
    service.commit("feat: a ledger with a server")
    with service.start(*RELEASE) as process:
        lab.eventually(flag.exists, what="git to ask", seconds=60)
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "SIGTERM arrived: nothing was released" in err


class Terminal:
    """A release that runs in a terminal of its own."""

    def __init__(self, service: Service) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            RELEASE,
            cwd=service.folder,
            env={**os.environ, **IDENTITY, "TERM": "xterm", "CI": ""},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - one system call, then exec
        )
        os.close(slave)
        self.shown = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self.master, 65536):
                self.shown += data
        except OSError:  # the other side is gone (Linux: EIO)
            return

    def press_ctrl_c(self) -> None:
        os.write(self.master, b"\x03")

    def end(self) -> int:
        status = self.process.wait(60)
        self._reader.join(20)
        os.close(self.master)
        return status

    @property
    def cursor_is_shown(self) -> bool:
        return self.shown.rfind(b"\x1b[?25l") <= self.shown.rfind(b"\x1b[?25h")


def _take_terminal() -> None:
    """Make standard input the terminal of this session, so that Ctrl-C signals its foreground group."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_ctrl_c_in_a_terminal(make: Make, engine: Engine) -> None:
    """The terminal signals the group: status 130, the cursor is there, nothing is left."""
    service = make(files=SLOW)
    terminal = Terminal(service)
    until_tests_run(engine, service)
    terminal.press_ctrl_c()
    assert terminal.end() == 130, terminal.shown
    assert terminal.cursor_is_shown
    assert b"nothing was released" in terminal.shown
    nothing_happened(service, engine)


STUBBORN = "sh -c 'trap : TERM; while true; do sleep 1; done'"


def test_a_second_ctrl_c_ends_it_at_once(make: Make, engine: Engine) -> None:
    """What will not stop is not waited for; the cursor is back; the next run tidies up."""
    service = make(files=SLOW, lint={"commands": [STUBBORN]})
    terminal = Terminal(service)
    until_tests_run(engine, service)
    terminal.press_ctrl_c()
    lab.eventually(lambda: b"test" in terminal.shown and b"stopped" in terminal.shown, what="the first")
    time.sleep(0.5)
    begin = time.monotonic()
    terminal.press_ctrl_c()
    assert terminal.end() == 130, terminal.shown
    assert time.monotonic() - begin < 4.0  # a program is given 5 s to stop
    assert terminal.cursor_is_shown
    assert service.records() == []
    assert service.git("tag") == ""
    service.configure()
    service.commit("fix: tests that end", {"test.py": "print('1 passed')"})
    released(service.nox("release"))
    assert engine.containers({"release.service": service.name}) == []


def test_a_signal_that_arrives_twice_is_one(make: Make, engine: Engine) -> None:
    """A wrapper passes on what its group got as well: everything is tidied up all the same."""
    service = make(files=SLOW)
    with service.start(*RELEASE) as process:
        until_tests_run(engine, service)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing was released" in err
    nothing_happened(service, engine)


def test_a_signal_at_the_commit_point_is_told_apart(make: Make, bare_remote: Path, tmp_path: Path) -> None:
    """The push is on its way when it arrives: it lands, the run says so, and the next one completes it."""
    begun, go_on = tmp_path / "begun", tmp_path / "go-on"
    service = make(remote=bare_remote)
    hook = bare_remote / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\ntouch {begun}\nuntil test -e {go_on}; do sleep 0.1; done\n")
    hook.chmod(0o755)
    with service.start(*RELEASE) as process:
        lab.eventually(begun.exists, what="the push", seconds=60)
        process.terminate()
        time.sleep(0.5)
        go_on.touch()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "0.1.0 is released: the signal arrived after the commit point. No action needed." in err
    assert "nothing was released" not in err
    again: Ran = service.nox("release")
    assert released(again)["version"] == "0.1.0"
