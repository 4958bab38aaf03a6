"""Tasks that no stage waits for. They run beside the next stages, one after another.

A test image may still have its name while the release is recorded. A failed removal is a warning: the next
run removes the object by the labels of its owner.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from release.errors import ReleaseError
from release.events import Emit, Warned


class BackgroundTasks:
    """Tasks that run in one thread, in the order in which they were added."""

    def __init__(self) -> None:
        """Start without tasks."""
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside")
        self._given: list[Future[object]] = []

    def add(self, action: Callable[[], object]) -> None:
        """Add a task; it runs after the tasks that were added before."""
        self._given.append(self._pool.submit(action))

    def finish(self, emit: Emit) -> None:
        """Wait until all tasks are done; report failures as warnings. Accepts no task afterwards."""
        self._pool.shutdown()
        for each in self._given:
            error = each.exception()
            if isinstance(error, ReleaseError | OSError):
                emit(
                    Warned(
                        text=f"could not clean up: {error}. The next run tries it again. No action needed."
                    )
                )
            elif error is not None:
                raise error
