"""Results of a run's stages, by type."""

from __future__ import annotations

import threading
from typing import TypeVar

T = TypeVar("T")


class Products:
    """Results of stages, by type. Each stage returns one value of a type of its own."""

    def __init__(self) -> None:
        """Start without products."""
        self._made: dict[type, object] = {}
        self._lock = threading.Lock()

    def add(self, product: object) -> None:
        """Add a product."""
        with self._lock:
            self._made[type(product)] = product

    def has(self, kind: type) -> bool:
        """Return whether there is a product of this type."""
        return kind in self._made

    def get(self, kind: type[T]) -> T:
        """Return the product of this type.

        Raises KeyError: an earlier stage is missing in the table of stages.
        """
        with self._lock:
            product = self._made[kind]
        assert isinstance(product, kind)  # noqa: S101 - `add` keyed it by its type
        return product

    def find(self, kind: type[T]) -> T | None:
        """Return the product of this type; None if there is none."""
        with self._lock:
            product = self._made.get(kind)
        assert product is None or isinstance(product, kind)  # noqa: S101 - `add` keyed it by its type
        return product
