"""A stop that another command asked for: it is waited for, because a start before its end does nothing."""

from __future__ import annotations

from release.events import Emit, Notice
from release.images.engine import Engine


def await_stop(engine: Engine, container: str, *, grace: int, emit: Emit) -> None:
    """Wait until a stop under way is over. Does nothing if there is none. Raises EngineError.

    Args:
        engine: the engine of the container.
        container: name or id.
        grace: milliseconds until the container is killed.
        emit: gets a notice if there is something to wait for.
    """
    state = engine.state(container)
    if state is not None and engine.is_stopping(state):
        emit(Notice(text=f"waiting for the stop of {state.name} that was under way"))
        engine.stop(container, grace=grace)
