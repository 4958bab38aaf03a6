"""Control of Python's garbage collector, to start and end faster."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pause_collection(module: str) -> Iterator[None]:
    """Switch the garbage collector off while the block imports a module for the first time.

    What is imported stays. Looking through it again and again, as it grows, was a sixth of the time until a
    command began to work; frozen, it is not looked through later either (gc, "gc.freeze").
    """
    if module in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def skip_collection_at_exit() -> None:
    """Freeze all objects at exit, so that the garbage collector does not check them again.

    The interpreter collects garbage several times while it ends; with this library's imports in memory that
    took 60 ms.
    """
    atexit.register(gc.freeze)
