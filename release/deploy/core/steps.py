"""Steps of a deployment, as events tell them, and the words of an error in a summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from release.errors import DeploymentFailed, ReleaseError
from release.events import Emit, Failed, Finished, Started


@contextmanager
def step(emit: Emit, name: str) -> Iterator[Callable[[str], None]]:
    """Emit the begin and the end of a step; the block may set a short result."""
    began, said = time.monotonic(), [""]
    emit(Started(name=name))
    try:
        yield said.append
    except BaseException as error:
        emit(Failed(name=name, duration_ms=elapsed_ms(began), summary=reason(error)))
        raise
    emit(Finished(name=name, duration_ms=elapsed_ms(began), summary=said[-1]))


def elapsed_ms(began: float) -> int:
    """Return the milliseconds since a reading of the monotonic clock."""
    return round((time.monotonic() - began) * 1000)


def reason(error: BaseException) -> str:
    """Return why the attempt failed, without the parts that only a whole message needs."""
    return error.found if isinstance(error, ReleaseError) else type(error).__name__


def tail_of(error: BaseException) -> tuple[str, ...]:
    """Return the last lines that a container wrote, if the error has them."""
    return error.tail if isinstance(error, DeploymentFailed) else ()
