"""Parser of untrusted JSON with limits: size, depth, number of values, numbers, names and text.

Every reader of JSON that came from outside calls `read` or `read_object`. Both raise ValueError with one
sentence, and nothing else: no RecursionError, no MemoryError, no infinite number.

Source: RFC 8259; RFC 7493 (I-JSON) for the numbers, names and text that are refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from release.values import Struct


class Bounds(Struct, frozen=True, kw_only=True):
    """Limits of a JSON text."""

    size: int = 4 * 1024 * 1024
    """Bytes."""
    depth: int = 64
    """Arrays and objects inside each other."""
    values: int = 200_000
    """Upper estimate of array items and object members."""
    largest: int = 2**53 - 1
    """Largest whole number, without its sign (RFC 7493, 2.2)."""


USUAL: Final = Bounds()
"""For a record, a manifest, an answer of a registry."""

_LONGEST_NUMBER: Final = 32
"""Characters. The largest whole number has 16 digits; a float needs 24."""
_TEXT: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
"""A text, or the rest after a quote without its partner: a search for the partner of each would not end."""
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_BRACKETS: Final = bytes.maketrans(b"[]{}", b"()()")
_ALL_BUT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


def read(content: bytes | str, bounds: Bounds = USUAL) -> Any:
    """Return the value of a JSON text. Raise ValueError for any other text, and for one beyond the limits.

    Args:
        content: the text, as UTF-8.
        bounds: the limits.
    """
    raw = _encoded(content)
    if len(raw) > bounds.size:
        raise ValueError(f"it has {len(raw)} bytes; the limit is {bounds.size}")
    check_shape(raw, bounds)
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_members,
            parse_int=_whole_number(bounds.largest),
            parse_float=_number,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} (line {error.lineno})") from None
    except RecursionError:
        raise ValueError(_too_deep(bounds)) from None
    if _SURROGATE.search(raw):
        _check_text(value)
    return value


def read_object(content: bytes | str, bounds: Bounds = USUAL) -> dict[str, Any]:
    """Return a JSON object. Raise ValueError as `read` does, and for any other JSON value."""
    value = read(content, bounds)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - one type for all
    return value


def _encoded(content: bytes | str) -> bytes:
    if isinstance(content, bytes):
        return content
    try:
        return content.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(_HALF) from None


def check_shape(raw: bytes, bounds: Bounds) -> None:
    """Check size, number of values and depth of a JSON text before a parser reads it.

    Raise ValueError beyond the limits. For a text that another library parses.
    """
    openings = raw.count(b"[") + raw.count(b"{")
    if openings <= bounds.depth and raw.count(b",") + openings <= bounds.values:
        return
    bare = _TEXT.sub(b"", raw)
    values = bare.count(b",") + bare.count(b"[") + bare.count(b"{")
    if values > bounds.values:
        raise ValueError(f"it has more than {bounds.values} values")
    left = bare.translate(_BRACKETS, _ALL_BUT_BRACKETS)
    for _ in range(bounds.depth):  # each round takes the innermost pairs away
        before, left = len(left), left.replace(b"()", b"")
        if len(left) == before:
            break
    if b"()" in left or left.count(b"(") > bounds.depth:
        raise ValueError(_too_deep(bounds))


def _too_deep(bounds: Bounds) -> str:
    return f"it is nested more than {bounds.depth} levels deep"


def _members(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object. Two of one name mean different things to different readers."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {name[:80]!r} stands twice in one object")
        found[name] = value
    return found


def _whole_number(largest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if len(text) > _LONGEST_NUMBER or abs(number := int(text)) > largest:
            raise ValueError(f"the whole number {text[:_LONGEST_NUMBER]} is larger than {largest}")
        return number

    return parse


def _number(text: str) -> float:
    if len(text) > _LONGEST_NUMBER or not math.isfinite(number := float(text)):
        raise ValueError(f"the number {text[:_LONGEST_NUMBER]} is too long or too large")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"it holds {text}, which is not a JSON number")


_HALF: Final = "it holds half of a character (a lone surrogate)"


def _check_text(value: Any) -> None:
    """Raise ValueError if a name or a text has no form in UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(_HALF) from None
