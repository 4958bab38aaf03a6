"""Values that are made once in a run."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from release.chain.once import SharedValues
from release.errors import GateFailed


def test_a_value_is_made_once_for_all_that_ask() -> None:
    """The second caller waits for the first one."""
    once, made, begun, go = SharedValues(), list[int](), threading.Event(), threading.Event()

    def make() -> int:
        made.append(1)
        begun.set()
        go.wait(10)
        return 5

    with ThreadPoolExecutor() as pool:
        first = pool.submit(once.get_or_compute, "x", make)
        begun.wait(10)
        second = pool.submit(once.get_or_compute, "x", make)
        go.set()
    assert (first.result(), second.result(), made) == (5, 5, [1])


def test_a_second_caller_gets_the_first_ones_error() -> None:
    """What failed is not tried again, and is never taken for made."""
    once = SharedValues()

    def fail() -> int:
        raise GateFailed("build", "half way")

    for make in (fail, lambda: 1):
        with pytest.raises(GateFailed, match="half way"):
            once.get_or_compute("x", make)
    assert once.get_or_compute("y", lambda: 1) == 1
