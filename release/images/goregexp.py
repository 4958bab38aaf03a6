"""Translation of Go's regular expressions into Python's, for patterns of an ignore file.

Go reads classes, escapes and the end of a text in its own way (Go, package regexp/syntax). So an expression
is parsed by Go's grammar, and each part is written in a form that both read alike.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Final

_Ranges = list[tuple[int, int]]
"""Ranges of code points: first and last."""

_END: Final = sys.maxunicode

_PERL: Final[dict[str, _Ranges]] = {
    "d": [(0x30, 0x39)],
    "s": [(0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)],
    "w": [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
}
_POSIX: Final[dict[str, _Ranges]] = {
    "alnum": [(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)],
    "alpha": [(0x41, 0x5A), (0x61, 0x7A)],
    "ascii": [(0x00, 0x7F)],
    "blank": [(0x09, 0x09), (0x20, 0x20)],
    "cntrl": [(0x00, 0x1F), (0x7F, 0x7F)],
    "digit": [(0x30, 0x39)],
    "graph": [(0x21, 0x7E)],
    "lower": [(0x61, 0x7A)],
    "print": [(0x20, 0x7E)],
    "punct": [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
    "space": [(0x09, 0x0D), (0x20, 0x20)],
    "upper": [(0x41, 0x5A)],
    "word": _PERL["w"],
    "xdigit": [(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
}
_CONTROL: Final = {"a": 0x07, "f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}
_SAME: Final = {".": r"[^\n]", "^": r"\A", "$": r"\Z", "|": "|"}
_PLACES: Final = {"A": r"\A", "b": r"\b", "B": r"\B", "z": r"\Z"}
_REPEATED: Final = re.compile(
    r"\*|\{(?P<least>0|[1-9][0-9]*)(?P<more>,(?P<most>0|[1-9][0-9]*)?)?\}", re.ASCII
)
_MOST_REPEATED: Final = 1000
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_OCTAL: Final = frozenset("01234567")


class BadExpression(ValueError):
    """Error for an expression that Go does not compile."""


def compile_go_regexp(expression: str) -> re.Pattern[str]:
    """Return Go's expression compiled for Python's `search`. Raise BadExpression."""
    parser = _Parser(expression)
    while parser.rest:
        parser.step()
    return re.compile("".join(parser.parts), re.ASCII)


class _Parser:
    """Parser of Go's syntax."""

    def __init__(self, expression: str) -> None:
        """Set the expression; parse nothing yet."""
        self.rest = expression
        self.parts = list[str]()
        """Parts in Python's syntax; a repetition applies to the last part."""
        self._is_repeated = False

    def step(self) -> None:
        """Parse the next part and append it."""
        repeated = _REPEATED.match(self.rest)
        if repeated is not None:
            self._repeat(repeated)
        elif self.rest.startswith("(.*/)?"):
            self._add("(?:[^\\n]*/)?", len("(.*/)?"))
            self._is_repeated = True
        elif self.rest[0] == "[":
            self._add(self._class())
        elif self.rest[0] == "\\":
            self._escaped()
        else:
            self._add(_SAME.get(self.rest[0]) or re.escape(self.rest[0]), 1)

    def _add(self, part: str, length: int = 0) -> None:
        self.parts.append(part)
        self.rest = self.rest[length:]
        self._is_repeated = False

    def _repeat(self, found: re.Match[str]) -> None:
        least, most = int(found["least"] or 0), int(found["most"] or 0)
        if self._is_repeated or not self.parts or self.parts[-1] == "|":
            raise BadExpression(f"{found[0]} repeats nothing, or repeats a repetition")
        if max(least, most) > _MOST_REPEATED or (found["most"] and least > most):
            raise BadExpression(f"{found[0]} is out of range")
        self._add(f"(?:{self.parts.pop()}){found[0]}", len(found[0]))
        self._is_repeated = True

    def _escaped(self) -> None:
        kind = self.rest[1:2]
        if kind == "Q":
            literal, _, self.rest = self.rest[2:].partition(r"\E")
            self.parts += map(re.escape, literal)
            self._is_repeated = False
        elif kind in _PLACES:
            self._add(_PLACES[kind], 2)
        else:
            group = self._group()
            self._add(_written(group) if group is not None else re.escape(chr(self._escape())))

    def _group(self) -> _Ranges | None:
        r"""Return the ranges of a class of Perl or Unicode, as `\d` and `\pL`; None if none comes next."""
        if self.rest[0] != "\\":
            return None
        kind = self.rest[1:2]
        if kind.lower() in _PERL and kind:
            self.rest = self.rest[2:]
            return _inverted(_PERL[kind.lower()]) if kind.isupper() else _PERL[kind]
        if kind in ("p", "P"):
            ranges = _category(self.rest[2:3])
            self.rest = self.rest[3:]
            return _inverted(ranges) if kind == "P" else ranges
        return None

    def _escape(self) -> int:
        """Return the code point of an escaped character."""
        char, self.rest = self.rest[1:2], self.rest[2:]
        if char.isascii() and char and not char.isalnum():
            return ord(char)
        if char in _CONTROL:
            return _CONTROL[char]
        if char == "x" and len(self.rest) > 1 and _HEX.issuperset(self.rest[:2]):
            return int(self._taken(2), 16)
        if char == "0" or (char in _OCTAL and char and self.rest[:1] in _OCTAL and self.rest):
            more = next((n for n in (0, 1) if self.rest[n : n + 1] not in _OCTAL), 2)
            return int(char + self._taken(more), 8)
        raise BadExpression(f"\\{char} is not an escape of Go")

    def _taken(self, count: int) -> str:
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def _class(self) -> str:
        self.rest = self.rest[1:]
        negated = self.rest.startswith("^")
        self.rest = self.rest[negated:]
        ranges, first = list[tuple[int, int]](), True
        while first or not self.rest.startswith("]"):
            first = False
            ranges += self._member()
        self.rest = self.rest[1:]
        return _written(_inverted(ranges) if negated else ranges)

    def _member(self) -> _Ranges:
        named = self._named() if self.rest.startswith("[:") and len(self.rest) > 2 else None
        if named is None and self.rest:
            named = self._group()
        if named is not None:
            return named
        low = high = self._char()
        if self.rest.startswith("-") and self.rest[1:2] not in ("", "]"):
            self.rest = self.rest[1:]
            high = self._char()
        if high < low:
            raise BadExpression(f"{chr(low)}-{chr(high)} is not a range")
        return [(low, high)]

    def _named(self) -> _Ranges | None:
        """Return the ranges of a POSIX class, as `[:alpha:]`; None if its end is missing."""
        name, end, rest = self.rest[2:].partition(":]")
        if not end:
            return None
        if name.removeprefix("^") not in _POSIX:
            raise BadExpression(f"[:{name}:] is not a class")
        self.rest = rest
        ranges = _POSIX[name.removeprefix("^")]
        return _inverted(ranges) if name.startswith("^") else ranges

    def _char(self) -> int:
        if not self.rest:
            raise BadExpression("a class has no end")
        return self._escape() if self.rest[0] == "\\" else ord(self._taken(1))


@cache
def _categories() -> dict[str, _Ranges]:
    """Return the ranges of all Unicode categories, by the first letter of the category."""
    found = dict[str, _Ranges]()
    for code in range(_END + 1):
        category = unicodedata.category(chr(code))
        if category != "Cn":
            found.setdefault(category[0], []).append((code, code))
    return found


def _category(letter: str) -> _Ranges:
    try:
        return _categories()[letter]
    except KeyError:
        raise BadExpression(f"\\p{letter} is not a class") from None


def _joined(ranges: Iterable[tuple[int, int]]) -> _Ranges:
    joined = list[tuple[int, int]]()
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def _inverted(ranges: Iterable[tuple[int, int]]) -> _Ranges:
    inverted, begin = list[tuple[int, int]](), 0
    for low, high in _joined(ranges):
        if begin < low:
            inverted.append((begin, low - 1))
        begin = high + 1
    return [*inverted, (begin, _END)] if begin <= _END else inverted


def _written(ranges: Iterable[tuple[int, int]]) -> str:
    """Return a character class in Python's syntax; an empty class matches nothing."""
    parts = [f"\\U{low:08x}-\\U{high:08x}" for low, high in _joined(ranges)]
    return f"[{''.join(parts)}]" if parts else "(?!)"
