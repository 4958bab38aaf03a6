"""One pattern of an ignore file with BuildKit's rules (moby/patternmatcher, `Pattern`)."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Final

from release.images.goregexp import BadExpression, compile_go_regexp

BLANKS: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""White space that Go's strings.TrimSpace removes."""

UNDECODED: Final = re.compile("[\udc80-\udcff]")
"""Byte in a path that is not UTF-8."""

_GLOB: Final = re.compile(r"[*\[\]?^\\]")
_QUOTED: Final = frozenset(".+()$")
"""Characters that are escaped. BuildKit misses `|`, `{` and `}` by an error in its table."""
_ANY, _PARENTS, _NAME, _CHAR = ".*", "(.*/)?", "[^/]*", "[^/]"

Bad = Callable[[str], Exception]
"""Function that returns the error for a text that says what is wrong."""


def clean_path(path: str) -> str:
    """Return the shortest form of a path, as Go's filepath.Clean."""
    return posixpath.normpath(f"/{path.lstrip('/')}" if path.startswith("/") else path)


class Pattern:
    """Pattern of paths: it excludes the paths, or makes an exception for them."""

    def __init__(self, line: str, bad: Bad) -> None:
        """Read a cleaned line of an ignore file.

        Args:
            line: the pattern, with `!` in front of an exception.
            bad: returns the error for a pattern that BuildKit refuses, here or at the first compared path.
        """
        text = clean_path(line.strip(BLANKS))
        self.is_exception = text.startswith("!")
        self.text = text.removeprefix("!")
        self._bad = bad
        self._compiled: Callable[[str], bool] | None = None
        if not self.text:
            raise bad("the exception names no file")
        if found := _syntax_error(self.text):
            raise bad(found)

    @property
    def without_glob(self) -> str:
        """Return the pattern without `/**` or `/*` at its end."""
        return self.text.removesuffix("/**").removesuffix("/*")

    @property
    def is_plain(self) -> bool:
        """Return whether the pattern can only match paths that begin with its text."""
        return not _GLOB.search(self.without_glob)

    def matches(self, path: str) -> bool:
        """Return whether the pattern matches this path itself."""
        if self._compiled is None:
            try:
                self._compiled = _matcher(self.text)
            except BadExpression as error:
                raise self._bad(str(error)) from None
        return self._compiled(path)

    def reaches(self, folder: str) -> bool:
        """Return whether the pattern may match a path below this folder."""
        parts, names = self.text.split("/"), folder.split("/")
        fixed = next((index for index, part in enumerate(parts) if "**" in part), len(parts))
        heads = zip(parts[:fixed], names, strict=False)
        inside = fixed < len(parts) or len(parts) > len(names)
        return inside and all(Pattern(part, self._bad).matches(name) for part, name in heads)


def _syntax_error(pattern: str) -> str:
    """Return the error that Go's filepath.Match finds in a pattern, matched with "."; empty if none.

    It compares piece by piece - the text up to a `*` - and ends at the first that is not in the name. What
    comes later may be wrong all the same.
    """
    rest, name = pattern, "."
    while rest:
        star, piece, rest = _piece(rest)
        if star and not piece:
            return ""
        ends = [_compared(piece, name[skipped:]) for skipped in range(len(name) + 1 if star else 1)]
        if _WRONG in ends:
            return _UNREADABLE
        fitting = [end for end in ends if end is not None and (rest or not end)]
        if not fitting:
            return ""
        name = fitting[0]
    return ""


_WRONG: Final = "wrong"
_UNREADABLE: Final = (
    'a class in [] is empty or has no end, or it has a "-" without a character on both sides (write \\-); or '
    "nothing comes after the last \\"
)


def _piece(pattern: str) -> tuple[bool, str, str]:
    """Return whether stars come first, the text up to the next star, and the rest (`scanChunk`)."""
    text = pattern.lstrip("*")
    at, is_class = 0, False
    while at < len(text) and (is_class or text[at] != "*"):
        at += 2 if text[at] == "\\" else 1
        is_class = text[at - 1] == "[" or (is_class and text[at - 1] != "]") if at <= len(text) else is_class
    return text != pattern, text[:at], text[at:]


def _compared(piece: str, name: str) -> str | None:
    """Return the rest of a name after a piece; None if the name differs; `_WRONG` (`matchChunk`)."""
    fits = True
    while piece:
        char, piece = piece[0], piece[1:]
        fits = fits and bool(name)
        if char == "[":
            after, members = _class(piece)
            if after is None:
                return _WRONG
            fits, piece = fits and members(name[0]), after
        elif char != "?":
            if char == "\\":
                if not piece:
                    return _WRONG
                char, piece = piece[0], piece[1:]
            fits = fits and name[0] == char
        name = name[1:]
    return name if fits else None


def _class(text: str) -> tuple[str | None, Callable[[str], bool]]:
    """Return the rest of a pattern after a class without its `[`, and the members of the class."""
    rest: str | None = text.removeprefix("^")
    ranges = list[tuple[str, str]]()
    while rest is not None and not (ranges and rest.startswith("]")):
        low, rest = _member(rest)
        high = low
        if rest is not None and rest.startswith("-"):
            high, rest = _member(rest[1:])
        ranges.append((low, high))
    negated = text.startswith("^")
    after = rest[1:] if rest is not None else None
    return after, lambda char: any(low <= char <= high for low, high in ranges) != negated


def _member(text: str) -> tuple[str, str | None]:
    """Return a character of a class and the rest; no rest if the class is wrong or ends (`getEsc`)."""
    if text[:1] in ("", "-", "]"):
        return "", None
    escaped = text[0] == "\\"
    return text[escaped : escaped + 1], text[1 + escaped :] or None


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Return the function that matches a path with a pattern. Raise BadExpression."""
    kind, expression = _expression(pattern)
    if kind == "exact":
        return lambda path: path == pattern
    if kind == "prefix":
        prefix = pattern[:-2]
        return lambda path: path.startswith(prefix)
    if kind == "suffix":
        suffix = pattern.encode()[2:]
        return lambda path: _ends(os.fsencode(path), suffix)
    search = compile_go_regexp(expression).search
    return lambda path: search(UNDECODED.sub("\ufffd", path)) is not None


def _ends(path: bytes, suffix: bytes) -> bool:
    return path.endswith(suffix) or (suffix.startswith(b"/") and path == suffix[1:])


def _expression(pattern: str) -> tuple[str, str]:
    """Return how a pattern is compared, and its regular expression in Go's grammar."""
    kind, parts = "exact", list[str]()
    for index, (token, is_last) in enumerate(_tokens(pattern.removeprefix("\ufeff"))):
        if token == "**" and is_last:  # noqa: S105 - part of a pattern
            if kind == "exact":
                kind = "prefix"
            else:
                kind = "regexp"
                parts.append(_ANY)
        elif token == "**":  # noqa: S105
            kind = "regexp"
            parts.append(_PARENTS)
        elif token in ("*", "?"):
            kind = "regexp"
            parts.append(_NAME if token == "*" else _CHAR)  # noqa: S105
        else:
            kind = "regexp" if token[0] in "[]\\" else kind
            parts.append(f"\\{token}" if token in _QUOTED else token)
        if token == "**" and index == 0:  # noqa: S105
            kind = "suffix"
    return kind, f"^{_simplified(parts)}$"


def _simplified(parts: list[str]) -> str:
    """Return the parts as one text; a repeated part with the same meaning is left out."""
    text, last = "", ""
    has_literals = any(part[0] in "[\\" for part in parts if part not in (_NAME, _CHAR))
    for part in parts:
        if part != last or part not in (_PARENTS, _NAME) or has_literals:
            text += part
        last = part
    return text


def _tokens(pattern: str) -> Iterator[tuple[str, bool]]:
    r"""Yield the parts (`**` with a following /, an escape, a character), and whether each is the last."""
    at = 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            token, at = "**", at + 2
            at += pattern.startswith("/", at)
        elif pattern[at] == "\\":
            token, at = pattern[at : at + 2], at + 2
        else:
            token, at = pattern[at], at + 1
        yield token, at >= len(pattern)
