"""Text of others as data: it commands no terminal, no CI system, no page and no program that reads JSON.

Everything that is shown or logged passes `inert`. It removes control sequences (ECMA-48), control characters,
characters that turn the direction of text, characters that cannot be seen (Unicode 16, property
"Default_Ignorable_Code_Point"), and line separators other than the new line. It puts a blank into what a CI
system reads as a command: `::name::` and `##[name]` (GitHub), `##vso[` (Azure), `##teamcity[`,
`section_start:1:name` (GitLab). Scripts, accents and emoji stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

ESCAPES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|\x9b[0-?]*[ -/]*[@-~]"
)
"""Terminal control sequences (ECMA-48, 5.4 and 8.3; ECMA-35, 13.2), and xterm's, which end by BEL or ST."""

_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e0fff]"
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_PICTURE: Final = "\u203c-\u3299\U0001f000-\U0001faff"
_JOINING: Final = "\u0620-\u0dff"
"""Scripts whose words need joiners: Arabic to Sinhala."""

_JOINER: Final = re.compile(
    f"(?P<kept>(?<=[{_PICTURE}\ufe0f])\u200d(?=[{_PICTURE}])"
    f"|(?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}])"
    f"|(?<=[0-9#*\xa9\xae{_PICTURE}])[\ufe0e\ufe0f]"
    "|(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)"
    "|[\u200c\u200d\ufe0e\ufe0f\U000e0020-\U000e007f]"
)
"""Joiners, variants and tags: kept inside of an emoji or of a word that needs them (UTS 51; RFC 5892, A)."""

_COMMAND: Final = re.compile(
    r"^(?P<line>[^\S\n]*:)(?=:)|(?P<old>##)(?=[\w.-]{0,40}\[)|(?P<section>section_(?:start|end):)(?=\d)",
    re.MULTILINE,
)
"""A runner trims blanks from the beginning of a line. It finds the form with `##` anywhere in a line."""

_IN_JSON: Final = re.compile(r"\x7f|##(?=[\w.-]{0,40}\[)|section_(?:start|end):(?=\d)")
LONGEST_LINE: Final = 65_536
"""Characters of a line in a log; a new line follows where a line is longer."""


def inert(text: str) -> str:
    """Return the text without control sequences; new lines and tabs stay."""
    seen = _UNSEEN.sub("", ESCAPES.sub("", text))
    return _COMMAND.sub(r"\g<0> ", _JOINER.sub(_kept, _SURROGATE.sub("\ufffd", seen)))


def _kept(found: re.Match[str]) -> str:
    return found["kept"] or ""


def inert_line(text: str) -> str:
    """Return the text without control sequences on one line."""
    return " ".join(inert(text).split("\n"))


def inert_lines(lines: Iterable[str]) -> str:
    """Return the lines without control sequences, joined to a text with as many lines."""
    return "\n".join(map(inert_line, lines))


def indent_continuation(text: str) -> str:
    """Return the text with its lines after the first indented."""
    return re.sub(r"\n(?=\S)", "\n  ", text)


def json_text(data: Any, *, indent: int | None = 2, clean: Callable[[str], str] = str) -> str:
    """Return JSON in ASCII. Control and invisible characters are escaped, lone surrogates become U+FFFD.

    Args:
        data: the document.
        indent: as `json.dumps` has it.
        clean: applied to each text first, to mask secrets.
    """
    text = json.dumps(_whole(data, lambda text: clean(_SURROGATE.sub("\ufffd", text))), indent=indent)
    return _IN_JSON.sub(lambda found: f"{found[0][:-1]}\\u{ord(found[0][-1]):04x}", text)


def _whole(data: Any, clean: Callable[[str], str]) -> Any:
    match data:
        case str():
            return clean(data)
        case Mapping():
            return {_whole(key, clean): _whole(value, clean) for key, value in data.items()}
        case list() | tuple():
            return [_whole(value, clean) for value in data]
    return data


class InertStream:
    """Filter of control sequences for text that comes in pieces, line by line."""

    def __init__(self) -> None:
        """Keep nothing back yet."""
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the complete lines; keep an incomplete last line."""
        text = self._held + text
        settled, end, self._held = text.rpartition("\n")
        while len(self._held) >= LONGEST_LINE:
            settled, end = f"{settled}{end}{self._held[:LONGEST_LINE]}", "\n"
            self._held = self._held[LONGEST_LINE:]
        return inert(settled + end)

    def end(self) -> str:
        """Return the incomplete last line."""
        rest, self._held = self._held, ""
        return inert(rest)
