"""How long a service may take to start: wall time and processor time together. No time passes here."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from release.chain.smoking.starting import MOST, StartClock


class Machine:
    """A container that gets a part of one processor, and a clock that is moved on."""

    def __init__(self, share: Callable[[float], float | None]) -> None:
        self.now, self.used, self.share = 1000.0, 0.0, share
        self.looks = 0

    def usage(self) -> float | None:
        self.looks += 1
        return None if self.share(self.now) is None else self.used

    def ends_after(self, timeout: float) -> float:
        """Seconds of wall time until the clock says that it is over."""
        clock = StartClock(timeout, self.usage, clock=lambda: self.now)
        while not clock.is_over():
            self.now += 0.1
            self.used += 0.1 * (self.share(self.now) or 0)
        self.said = str(clock)
        return clock.elapsed


@pytest.mark.parametrize(
    ("share", "ends"),
    [
        (1.0, 30),  # it has the processor, and does not answer
        (2.0, 30),  # two of them
        (0.0, 30),  # it waits for something
        (0.02, 30),  # it asks for something again and again
        (0.5, 60),  # half of what it wants: it gets its 30 s of processor time
        (0.25, 120),
        (0.1, 30 * MOST),  # the stated cap
        (None, 30),  # the engine does not tell
    ],
)
def test_a_starved_container_gets_the_processor_time_of_its_timeout(share: float | None, ends: float) -> None:
    """As long as it computes, and at most five times the timeout in wall time."""
    machine = Machine(lambda _: share)
    assert machine.ends_after(30) == pytest.approx(ends, abs=2.5)


def test_a_container_that_stops_computing_is_not_waited_for() -> None:
    """It was starved for a while; then it waits for something else."""
    assert Machine(lambda now: 0.2 if now < 1050 else 0.0).ends_after(30) == pytest.approx(54, abs=3)


def test_a_pause_in_computing_is_no_end() -> None:
    """One look that finds it idle, between two that do not."""
    machine = Machine(lambda now: 0.0 if 1035 < now < 1037 else 0.5)
    assert machine.ends_after(30) > 50


def test_the_engine_is_not_asked_before_the_timeout_is_near() -> None:
    """Each look costs the engine what the service needs."""
    machine = Machine(lambda _: 0.5)
    clock = StartClock(30, machine.usage, clock=lambda: machine.now)
    machine.now += 27
    assert not clock.is_over()
    assert machine.looks == 0


def test_both_times_are_told() -> None:
    """Where the container was waited for longer than its timeout."""
    machine = Machine(lambda _: 0.5)
    machine.ends_after(30)
    assert re.fullmatch("6[0-3] s, of which it had the processor for 3[01] s", machine.said)
    machine = Machine(lambda _: 1.0)
    machine.ends_after(30)
    assert machine.said == "30 s"
