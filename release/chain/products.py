"""Results of a run's stages, by type."""

from __future__ import annotations

import threading
from typing import TypeVar

T = TypeVar("T")


class Products:
    """Results of stages, by type. Each stage returns one value of a type of its own."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self._made: dict[type, object] = {}
        self._lock = threading.Lock()

    def add(self, product: object) -> None:
        """Keep a product."""
        with self._lock:
            self._made[type(product)] = product

    def has(self, kind: type) -> bool:
        """Return whether there is a product of this type."""
        return kind in self._made

    def get(self, kind: type[T]) -> T:
        """The product of this type. A missing one is an error in the table of stages: KeyError."""
        with self._lock:
            product = self._made[kind]
        assert isinstance(product, kind)  # noqa: S101 - `add` keyed it by its type
        return product

    def find(self, kind: type[T]) -> T | None:
        """The product of this type, if there is one."""
        with self._lock:
            product = self._made.get(kind)
        assert product is None or isinstance(product, kind)  # noqa: S101 - `add` keyed it by its type
        return product
