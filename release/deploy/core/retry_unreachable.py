"""An engine that is away for seconds, as while an upgrade restarts it, is asked again for a limited time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from release.errors import EngineUnreachable
from release.events import Emit, Notice
from release.programs.cancellation import Cancellation
from release.retry import RetryPolicy

T = TypeVar("T")

_PAUSE_MS: Final = 500
_SHORTEST_MS: Final = 250
"""Pauses are spread by a half."""


def until_back(
    call: Callable[[], T], *, milliseconds: int, emit: Emit, cancellation: Cancellation | None = None
) -> T:
    """Return the result of the call. While the engine does not answer, call again.

    Raises:
        EngineUnreachable: the engine did not answer for this time.
        Cancelled: at once when the work is cancelled.
    """
    try:
        return call()
    except EngineUnreachable as error:
        emit(Notice(text=f"{error.attempted}: {error.found}; waiting at most {milliseconds / 1000:g} s"))
    patience = RetryPolicy(
        attempts=1 + -(-milliseconds // _SHORTEST_MS),
        first=_PAUSE_MS / 1000,
        longest=_PAUSE_MS / 1000,
        timeout=milliseconds / 1000,
    )
    return patience.trying(
        call, lambda error, _left: isinstance(error, EngineUnreachable), cancellation or Cancellation()
    )
