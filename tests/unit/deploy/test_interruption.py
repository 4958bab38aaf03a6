"""Signals: at once before anything is touched, after the restoration once something is."""

from __future__ import annotations

import os
import signal
import time

import pytest

from release.deploy.interruption import SIGNALS, Interrupted, Interruption


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_work_at_once(number: signal.Signals) -> None:
    """Where nothing needs to be put back."""
    interruption = Interruption()
    with pytest.raises(Interrupted), interruption.listening():
        signal.raise_signal(number)
    assert interruption.signal is number


def test_while_held_a_signal_only_asks_for_a_cancellation() -> None:
    """The work ends where it can be put back; a second signal changes nothing."""
    interruption = Interruption()
    with interruption.listening(), interruption.held():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 5
        while interruption.cancellation.reason is None and time.monotonic() < deadline:
            time.sleep(0.01)
    assert interruption.cancellation.reason == "SIGTERM arrived"
    assert interruption.signal is signal.SIGTERM


def test_the_handlers_are_put_back() -> None:
    """After the block signals do what they did before."""
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interruption().listening():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in SIGNALS] == before
