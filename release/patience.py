"""Trying again: so often, with pauses that grow, and every pause ends with the work that it belongs to."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Final, TypeVar

from release.frozen import Struct
from release.process import Cancellation

T = TypeVar("T")

Again = Callable[[Exception, int], "bool | float"]
"""Decides after a failure whether to try once more, told how many attempts are left (1 or more): no, yes,
or yes after so many seconds."""

_SPREAD: Final = 0.5
"""A pause is longer or shorter by up to this part of it: many that failed together do not return together."""

logging.getLogger("stamina").addHandler(logging.NullHandler())  # else each pause is a line on standard error


class Patience(Struct, frozen=True, kw_only=True):
    """How often something is tried.

    Args:
        attempts: at most so many.
        first: seconds between the first two; each later pause is twice as long.
        longest: seconds of a pause at most, where nobody names another time.
        timeout: seconds after which no further attempt begins; None: the attempts alone count.
    """

    attempts: int
    first: float
    longest: float
    timeout: float | None = None

    def trying(self, call: Callable[[], T], again: Again, cancellation: Cancellation) -> T:
        """What the call returns; what it raises at last.

        Raises:
            Cancelled: at once when the work is cancelled, also in the middle of a pause.
        """
        import stamina  # a rollback to bytes that are here does not wait for it

        def decide(error: Exception) -> bool | float:
            cancellation.check()
            left = self.attempts - attempt.num
            pause = again(error, left) if left > 0 else False
            if pause is False:
                return False
            cancellation.pause(_spread(attempt.next_wait) if pause is True else pause)
            return 0.0  # the pause is over: stamina's own could not be ended

        for attempt in stamina.retry_context(
            decide,
            attempts=self.attempts,
            timeout=self.timeout,
            wait_initial=self.first,
            wait_max=self.longest,
        ):
            with attempt:
                return call()
        raise AssertionError("the last attempt returns or raises")


def _spread(seconds: float) -> float:
    return seconds * random.SystemRandom().uniform(1 - _SPREAD, 1 + _SPREAD)
