"""`[tool.release.limits]`: how large an image and its memory may become."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from release.scalars import Value, parse_size

Size = Annotated[
    int,
    BeforeValidator(parse_size, json_schema_input_type=int | str),
    Field(ge=1, description='a size, as "500m" (b, k, m or g)'),
]


def _size(text: str) -> int:
    """Return a size in bytes. Raise ValueError for another text."""
    size = parse_size(text)
    if not isinstance(size, int):
        raise ValueError(f'{text!r} is not a size, as "50m", and not a part, as "20%"')  # noqa: TRY004
    return size


def _a_growth(text: str) -> str:
    """Return the text. Raise ValueError if it is neither a part nor a size."""
    if re.fullmatch(r"[0-9]{1,4}%", text) is None:
        _size(text)
    return text


class Limits(Value):
    """`[tool.release.limits]`: limits of the values that the smoke run measures."""

    max_size: Size | None = None
    """Largest size of the image, as the engine reports it."""
    max_size_growth: Annotated[str, AfterValidator(_a_growth)] | None = None
    """Growth of the image from the release before, as "20%" of its size or as "50m"."""
    max_memory: Size | None = None
    """Peak memory of the smoke run, with its page cache; `smoke.memory` limits the container itself."""
    max_memory_growth: Annotated[str, AfterValidator(_a_growth)] | None = None
    """Growth of this peak from the release before, as "50%" or as "64m"."""


def largest_allowed(growth: str, size: int) -> int:
    """Return the largest size (bytes) allowed after `size`. `growth` has the form of `Limits`."""
    return size + (size * int(growth[:-1]) // 100 if growth.endswith("%") else _size(growth))
