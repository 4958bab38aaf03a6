"""Values that are computed once per run, by the first stage that needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar, cast

T = TypeVar("T")


class SharedValues:
    """Values by name, computed once.

    Later callers wait for the first caller and get its value or its error.
    """

    def __init__(self) -> None:
        """Start without values."""
        self._lock = threading.Lock()
        self._made = dict[str, Future[object]]()

    def get_or_compute(self, name: str, make: Callable[[], T]) -> T:
        """Return the value of this name. Raises the error of the first caller's `make`."""
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
