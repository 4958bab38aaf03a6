"""Parser of untrusted TOML with limits of size, depth and numbers.

`tomllib` recurses for each bracket, and takes a number of any length, NaN and infinity.
"""

from __future__ import annotations

import math
import tomllib
from typing import Any, Final

LARGEST: Final = 1024 * 1024
"""Bytes of a pyproject.toml."""
LARGEST_LOCK: Final = 64 * 1024 * 1024
"""Bytes of a lockfile in TOML."""
DEEPEST: Final = 32
"""Tables and arrays inside each other."""


def read(text: bytes | str, most: int = LARGEST) -> dict[str, Any]:
    """Return the table of a TOML text in UTF-8, also after a byte order mark.

    Raise ValueError with a sentence for anything else.
    """
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(content) > most:
        raise ValueError(f"it has {len(content)} bytes; the limit is {most}")
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"not TOML: it is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError as error:  # TOMLDecodeError, and numbers that Python does not convert
        raise ValueError(f"not TOML: {error}"[:300]) from None
    _check_depth(document)
    return document


_TOO_DEEP: Final = f"it is nested more than {DEEPEST} levels deep"


def _check_depth(document: dict[str, Any]) -> None:
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [inner for each in level for inner in _inside(each) if isinstance(inner, dict | list)]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _inside(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def not_a_number(value: Any, path: str = "") -> str:
    """Return the path of a number that is NaN, infinite, or longer than 64 bits; empty if there is none."""
    waiting = [(path, value)]
    while waiting:
        at, each = waiting.pop()
        if isinstance(each, float) and not math.isfinite(each):
            return at
        if isinstance(each, int) and abs(each) >= 2**63:
            return at
        if isinstance(each, dict):
            waiting += [(f"{at}.{key}" if at else str(key), inner) for key, inner in each.items()]
        if isinstance(each, list):
            waiting += [(f"{at}[{number}]", inner) for number, inner in enumerate(each)]
    return ""
