"""Retries with growing pauses; a cancellation ends every pause."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from release.programs.cancellation import Cancellation
from release.values import Struct

T = TypeVar("T")

Again = Callable[[Exception, int], "bool | float"]
"""Function from an error and the remaining attempts to: no, yes, or a pause in seconds."""

_SPREAD: Final = 0.5
"""Largest random change of a pause, as a part of it, so that many clients do not retry together."""


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """Number of attempts and their pauses.

    Args:
        attempts: largest number of attempts.
        first: seconds of the first pause; each later pause is twice as long.
        longest: longest pause in seconds, unless the server asks for another time.
        timeout: seconds after which no further attempt begins; None: the attempts alone count.
    """

    attempts: int
    first: float
    longest: float
    timeout: float | None = None

    def trying(self, call: Callable[[], T], again: Again, cancellation: Cancellation) -> T:
        """Call the function until it succeeds, and return its result. Raise its last error.

        Raises:
            Cancelled: at once when the work is cancelled, also in the middle of a pause.
        """
        begun, pause = time.monotonic(), self.first
        for left in range(self.attempts - 1, -1, -1):
            try:
                return call()
            except Exception as error:
                cancellation.check()
                wish = again(error, left) if left and not self._is_late(begun) else False
                if wish is False:
                    raise
            cancellation.pause(_spread(pause) if wish is True else wish)
            pause = min(2 * pause, self.longest)
        raise AssertionError("the last attempt returns or raises")

    def _is_late(self, begun: float) -> bool:
        return self.timeout is not None and time.monotonic() - begun >= self.timeout


def _spread(seconds: float) -> float:
    return seconds * random.SystemRandom().uniform(1 - _SPREAD, 1 + _SPREAD)
