"""Signals, as Dockerfiles name them."""

from __future__ import annotations

import signal
import sys

import pytest

from release.programs.signals import TERM, caught_signals, read_signal, stop_signal


@pytest.mark.parametrize(
    ("text", "name", "number"),
    [
        ("SIGTERM", "SIGTERM", 15),
        ("SIGINT", "SIGINT", 2),
        ("INT", "SIGINT", 2),
        ("sigquit", "SIGQUIT", 3),
        ("10", "SIGUSR1", 10),
        ("SIGRTMIN", "SIGRTMIN", 34),
        ("SIGRTMIN+3", "SIGRTMIN+3", 37),
        ("RTMAX-14", "SIGRTMIN+16", 50),
        ("64", "SIGRTMIN+30", 64),
        ("33", "signal 33", 33),
        ("SIGPOLL", "SIGIO", 29),
    ],
)
def test_a_signal_is_named_or_numbered(text: str, name: str, number: int) -> None:
    """Its exit status is 128 and its number."""
    found = read_signal(text)
    assert found is not None
    assert (str(found), found.number, found.exit_status) == (name, number, 128 + number)


@pytest.mark.parametrize("text", ["", "0", "65", "SIGFOO", "SIGRTMIN+31", "SIGRTMAX+1", "-9", "1e3"])
def test_what_is_no_signal_is_none(text: str) -> None:
    """The engine refuses it too; what it then sends is SIGTERM."""
    assert read_signal(text) is None
    assert stop_signal(text) == TERM


@pytest.mark.skipif(sys.platform != "linux", reason="the numbers of Linux")
def test_the_numbers_are_those_of_linux() -> None:
    """As this machine counts them."""
    known = [each for each in signal.Signals if each.value < signal.SIGRTMIN]
    assert all((found := read_signal(each.name)) is not None and found.number == each for each in known)


def test_the_signals_that_a_process_handles_are_read() -> None:
    """From a mask (proc(5)); one that is not there says nothing."""
    status = "Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000004002\n"
    assert caught_signals(status) == frozenset({2, 15})
    assert caught_signals("SigCgt:\t0000000000000000\n") == frozenset()
    assert caught_signals("") is None
