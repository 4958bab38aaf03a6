"""Trying again, and the end of it."""

from __future__ import annotations

import threading
import time

import pytest

from release.errors import Cancelled
from release.programs.cancellation import Cancellation
from release.retry import RetryPolicy

FAST = RetryPolicy(attempts=3, first=0.001, longest=0.002)


class Fails:
    """Something that fails so often."""

    def __init__(self, times: int) -> None:
        self.times, self.calls = times, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise OSError(self.calls)
        return "done"


def test_what_fails_is_tried_again_while_it_is_worth_it() -> None:
    """The caller is told how many attempts are left."""
    seen: list[tuple[str, int]] = []

    def again(error: Exception, left: int) -> bool:
        seen.append((str(error), left))
        return True

    assert FAST.trying(Fails(2), again, Cancellation()) == "done"
    assert seen == [("1", 2), ("2", 1)]


def test_the_last_failure_is_raised() -> None:
    """After it nobody is asked, and no time is lost."""
    failing = Fails(9)
    with pytest.raises(OSError, match="3"):
        FAST.trying(failing, lambda _error, _left: True, Cancellation())
    assert failing.calls == 3


def test_what_is_not_worth_it_is_raised_at_once() -> None:
    """A permanent error stays one."""
    failing = Fails(9)
    with pytest.raises(OSError, match="1"):
        FAST.trying(failing, lambda _error, _left: False, Cancellation())


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("named", [True, 3600.0], ids=["our own", "named"])
def test_every_pause_ends_with_the_work(named: bool | float) -> None:
    """Ctrl-C, or another gate that failed: nobody waits for the rest of an hour."""
    cancellation, paused = Cancellation(), threading.Event()

    def again(_error: Exception, _left: int) -> bool | float:
        paused.set()
        return named

    def stop() -> None:
        paused.wait()
        time.sleep(0.05)
        cancellation.request("Ctrl-C")

    stopping = threading.Thread(target=stop)
    stopping.start()
    failing = Fails(9)
    with pytest.raises(Cancelled):
        RetryPolicy(attempts=3, first=3600.0, longest=3600.0).trying(failing, again, cancellation)
    stopping.join()
    assert failing.calls == 1


def test_nothing_is_tried_again_after_the_work_was_cancelled() -> None:
    """What failed, failed because it was stopped."""
    cancellation = Cancellation()

    def call() -> None:
        cancellation.request("Ctrl-C")
        raise OSError

    with pytest.raises(Cancelled):
        FAST.trying(call, lambda _error, _left: True, cancellation)


def test_no_attempt_begins_after_the_time_is_over() -> None:
    """The last failure is raised, and nobody is told of another attempt."""
    failing, asked = Fails(9), list[int]()

    def again(_error: Exception, left: int) -> float:
        asked.append(left)
        return 0.06

    with pytest.raises(OSError, match="2"):
        RetryPolicy(attempts=9, first=0.0, longest=0.0, timeout=0.05).trying(failing, again, Cancellation())
    assert asked == [8]


@pytest.mark.usefixtures("pauses")
def test_pauses_grow_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is twice as long as the one before, to the longest; no two are the same."""
    made: list[float] = []
    cancellation = Cancellation()
    monkeypatch.setattr(cancellation, "pause", made.append)
    RetryPolicy(attempts=6, first=1.0, longest=5.0).trying(Fails(5), lambda *_: True, cancellation)
    assert all(0.5 * whole <= each <= 1.5 * whole for each, whole in zip(made, (1, 2, 4, 5, 5), strict=True))
    assert len(set(made)) == 5


def test_trying_again_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """The caller tells it, with its own words."""
    FAST.trying(Fails(2), lambda *_: True, Cancellation())
    assert capfd.readouterr() == ("", "")
