"""A look at the images of several releases at a target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from release.records import Image
from release.values import Struct


class ImageState(Struct, frozen=True, kw_only=True):
    """State of an image at a target."""

    places: tuple[Literal["engine", "nodes"], ...] = ()
    """Places that have the whole image."""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class ImageSurvey(Protocol):
    """A look at several images, over connections that are opened once."""

    def look(self, image: Image, *, deep: bool, check: Callable[[], None]) -> ImageState:
        """Return the places of an image. Raises EngineError.

        Args:
            image: the released image.
            deep: whether every blob is exported and hashed.
            check: called repeatedly; raises an error to stop the work.
        """
