"""Values that are made once in a run, whichever stage asks first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar, cast

T = TypeVar("T")


class Once:
    """Values by name. A second caller waits for the first one, and gets its value or its error."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self._lock = threading.Lock()
        self._made = dict[str, Future[object]]()

    def get(self, name: str, make: Callable[[], T]) -> T:
        """The value of this name. Raises what the first caller's `make` raised."""
        with self._lock:
            found = self._made.get(name)
            mine = self._made.setdefault(name, Future())
        if found is None:
            try:
                mine.set_result(make())
            except BaseException as error:
                mine.set_exception(error)
                raise
        return cast("T", mine.result())
