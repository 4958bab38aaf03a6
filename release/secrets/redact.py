"""Secret values that hide themselves, and their removal from other text."""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NoReturn
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

from release.text.control_characters import ESCAPES
from release.values import Struct, field

MASK: Final = "***"
"""Text in place of a secret."""

SHORTEST: Final = 4
"""Masking a value of three characters would make every text unreadable and hide nothing."""

_SHORTEST_JOINED: Final = 8
"""Shortest value that is also masked across line breaks; shorter values would match by chance."""

_SHORTEST_SLICE: Final = 6
"""Of base64, within a larger text."""

_HEAD: Final = 4

_BREAK: Final = re.compile(rf"[\r\n]+(?:(?:#\d+ )?\d+\.\d+ )?|{ESCAPES.pattern}")
"""Text in the middle of a secret: also what BuildKit's plain output puts before each line, and
what buildx does where it repeats the last lines of an instruction that failed."""
_PARTIAL: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*)?\Z")
_LINE: Final = re.compile(r"[^\r\n]+")
_PERCENT: Final = re.compile("%[0-9A-F]{2}")
_ATTRIBUTE: Final = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#09;"}
"""In the value of an XML attribute (XML 1.0, 2.10 and 3.3.3)."""


_ADDRESS: Final = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:(?P<password>[^/\s@]+)@"
)
"""An address with user and password (RFC 3986, section 3.2.1)."""


def passwords_in(text: str) -> list[str]:
    """Return the passwords in all addresses of a text, as in "https://user:password@host/"."""
    return [match["password"] for match in _ADDRESS.finditer(text)]


class Redacted:
    """Secret value that is hidden in text, repr, JSON and pickle."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        """Keep the value."""
        self.__value = value

    def reveal(self) -> str:
        """Return the secret value; for the code that hands it to the engine."""
        return self.__value

    def __repr__(self) -> str:
        """Return stars."""
        return MASK

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied to another process. Raises TypeError."""
        raise TypeError("a secret is not written anywhere")


class Mask:
    """Remover of secrets from text. A run has one mask, which learns values during the run.

    Found are: the value, each of its lines, how JSON, Python, XML and a URL would write it, and its base64,
    also where it stands in the middle of something larger, as in `Authorization: Basic`. What has eight
    characters and more is found where a line break or a terminal's control sequence was put between, too.
    """

    def __init__(
        self, values: Iterable[Redacted] = (), told: Callable[[Sequence[Redacted]], None] | None = None
    ) -> None:
        """Hide these values.

        Args:
            values: the secrets that are known already.
            told: called with the values that are hidden later, as for a CI system's own mask.
        """
        self._lock = threading.Lock()
        self._forms = _Forms()
        self._learn(tuple(values))
        self._told = told

    def hide(self, values: Iterable[Redacted]) -> None:
        """Mask these values too from now on, in all threads."""
        learned = tuple(values)
        self._learn(learned)
        if self._told is not None and learned:
            self._told(learned)

    def _learn(self, values: Sequence[Redacted]) -> None:
        with self._lock:
            self._forms = self._forms.with_values([value.reveal() for value in values])

    def __call__(self, text: str) -> str:
        """Return the text with stars in place of secrets, and as many lines as before."""
        spans = self._forms.spans(text)
        return _starred(text, spans) if spans else text

    def lines(self, lines: Iterable[str]) -> tuple[str, ...]:
        """Return log lines with secrets masked, also a secret that extends over several lines."""
        return tuple(self("\n".join(lines)).split("\n")) if (lines := tuple(lines)) else ()

    def stream(self) -> MaskedStream:
        """Return a filter for text that comes in pieces."""
        return MaskedStream(self)

    def settled(self, text: str) -> int:
        """Return the number of characters that can be shown; the rest may begin a secret."""
        spans, end = self._forms.spans(text), self._forms.beginning(text)
        return min([end, *(start for start, stop in spans if start < end < stop)])

    def __repr__(self) -> str:
        """Return the class name with the number of masked texts."""
        return f"Mask({len(self._forms.whole)})"


class MaskedStream:
    """Filter that masks secrets in text that comes in pieces, and holds back a possible begin of a secret."""

    def __init__(self, mask: Mask) -> None:
        """Set the mask; hold nothing back yet."""
        self._mask, self._held = mask, ""

    def feed(self, text: str) -> str:
        """Return the text that can be shown now."""
        text = self._held + text
        settled = self._mask.settled(text)
        self._held = text[settled:]
        return self._mask(text[:settled])

    def end(self) -> str:
        """Return the held-back text at the end of the stream."""
        rest, self._held = self._held, ""
        return self._mask(rest)


class _Forms(Struct, frozen=True):
    """Texts to be masked: as they are, and without line breaks, grouped by their beginnings."""

    whole: frozenset[str] = frozenset()
    joined: frozenset[str] = frozenset()
    heads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the first four characters."""
    longest: int = 0

    def with_values(self, values: Iterable[str]) -> _Forms:
        whole = self.whole | {form for value in values for form in _forms(value)}
        joined = frozenset(form for form in map(_joined, whole) if len(form) >= _SHORTEST_JOINED)
        heads: dict[str, tuple[str, ...]] = {}
        for form in set(map(_joined, whole)):
            heads[form[:_HEAD]] = (*heads.get(form[:_HEAD], ()), form)
        return _Forms(whole=whole, joined=joined, heads=heads, longest=max(map(len, whole), default=0))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return start and end of each secret in order, with overlapping ones joined."""
        found = [span for form in self.whole for span in _occurrences(form, text)]
        if self.joined and _BREAK.search(text):
            squeezed = _Squeezed.of(text)
            found += [squeezed.span(*s) for form in self.joined for s in _occurrences(form, squeezed.text)]
        return _united(found)

    def beginning(self, text: str) -> int:
        """Return the position at the end of the text where a secret may begin; else the text's length."""
        if not self.heads:
            return len(text)
        complete = _PARTIAL.sub("", text)
        squeezed = _Squeezed.of(complete)
        end = squeezed.text
        for size in range(min(self.longest - 1, len(end)), 0, -1):
            if self._begins(end[-size:][:_HEAD], end, size):
                return squeezed.place(len(end) - size)
        return len(complete)

    def _begins(self, head: str, end: str, size: int) -> bool:
        if size < _HEAD:
            return any(known.startswith(head) for known in self.heads)
        return any(len(form) > size and end.endswith(form[:size]) for form in self.heads.get(head, ()))


class _Squeezed(Struct, frozen=True):
    """Text without line breaks and control sequences, with the original position of each piece."""

    text: str
    pieces: tuple[tuple[int, int], ...]
    """Beginning of a piece: here, and in the whole text."""

    @classmethod
    def of(cls, text: str) -> _Squeezed:
        kept, pieces, here, there = [], [(0, 0)], 0, 0
        for gap in _BREAK.finditer(text):
            kept.append(text[there : gap.start()])
            here, there = here + gap.start() - there, gap.end()
            pieces.append((here, there))
        return cls("".join([*kept, text[there:]]), tuple(pieces))

    def place(self, position: int) -> int:
        here, there = self.pieces[bisect_right(self.pieces, (position, sys.maxsize)) - 1]
        return there + position - here

    def span(self, start: int, stop: int) -> tuple[int, int]:
        return self.place(start), self.place(stop - 1) + 1


def _joined(text: str) -> str:
    return _BREAK.sub("", text)


def _occurrences(form: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + 1)


def _united(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    united: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if united and start < united[-1][1]:
            united[-1] = (united[-1][0], max(stop, united[-1][1]))
        else:
            united.append((start, stop))
    return united


def _starred(text: str, spans: Sequence[tuple[int, int]]) -> str:
    parts, position = [], 0
    for start, stop in spans:
        parts += [text[position:start], _LINE.sub(MASK, text[start:stop])]
        position = stop
    return "".join([*parts, text[position:]])


def _forms(value: str) -> set[str]:
    """Return all texts in which the value may appear, without those that are too short."""
    plain = {value.strip("\r\n"), value.strip(), *(line.strip() for line in value.splitlines())}
    plain.update(passwords_in(value))
    written = {form for text in plain if len(text) >= SHORTEST for form in _written(text)}
    encoded = {form for text in (value, value.strip()) for form in _in_base64(text.encode())}
    return {form for form in plain | written | encoded if len(form) >= SHORTEST}


def _written(text: str) -> set[str]:
    """Return a text as JSON (RFC 8259), Python, XML and a URL (RFC 3986, 2.1; or a form's body) write it."""
    quoted = {quote(text, safe=""), quote(text), quote_plus(text)}
    small = {_PERCENT.sub(lambda match: match[0].lower(), form) for form in quoted}
    xml = {escape(text), escape(text, {'"': "&quot;"}), escape(text, _ATTRIBUTE)}
    return (
        quoted
        | small
        | xml
        | {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    )


def _in_base64(value: bytes) -> Iterator[str]:
    """Yield the Base64 forms of the value (RFC 4648, 4 and 5), at each offset in a larger text."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(value).decode().rstrip("=")
        for before in range(3):
            encoded = encode(bytes(before) + value).decode()
            sure = encoded[-(-8 * before // 6) : 8 * (before + len(value)) // 6]
            if len(sure) >= _SHORTEST_SLICE:
                yield sure
