"""Evaluation of commit messages: the requested version bump, and lines with a mistake."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Final

from release.values import Struct
from release.versioning.conventional_commits import (
    BUMPS,
    HEADER,
    Bump,
    Message,
    bump_of,
    has_footer,
    is_revert,
    without_reverted,
)

_LENGTH: Final = 72
"""Most characters of a line."""

_SHOWN: Final = 3
"""Most lines."""


class UncountedLine(Struct, frozen=True, kw_only=True):
    """Line that does not count, with a proposed text that would count."""

    line: str
    instead: str
    bump: Bump

    def __str__(self) -> str:
        """Return the line and its correction, as "`feat:x` (write `feat: x` for a minor version)"."""
        write = f"write `{_short(self.instead)}`{self._difference} for a {self.bump.name.lower()} version"
        return f"`{_short(self.line)}` ({write})"

    @property
    def _difference(self) -> str:
        """Return the difference of two similar lines in words; empty if it is visible."""
        if _seen(self.line) != self.instead:
            return ""
        unseen = dict.fromkeys(f"U+{ord(each):04X}" for each in _INVISIBLE.findall(self.line))
        return f" without the invisible {', '.join(unseen)}" if unseen else " at the beginning of its line"


class Reading(Struct, frozen=True, kw_only=True):
    """Result for all commits since a version."""

    bump: Bump = Bump.NONE
    near: tuple[UncountedLine, ...] = ()
    """Lines that would have moved the version in another form."""
    other: tuple[str, ...] = ()
    """Subjects that follow no convention."""
    cased: tuple[str, ...] = ()
    """Subjects that count, with capital letters in their type."""
    cancelled: int = 0
    """Commits that do not count, because an unreleased commit and its revert cancel out."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return sentences on which the reader should act."""
        if not self.near:
            return ()
        lines = [str(each) for each in self.near]
        return (
            (
                f"not read as Conventional Commits: {_listed(lines)}; if the version is wrong, give "
                "--bump or --version"
            ),
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """Return sentences on which the reader need not act."""
        found = []
        if self.cased:
            found.append(f"a type in capital letters counts as in lower case: {_listed(_quoted(self.cased))}")
        if self.other:
            found.append(
                f"these subjects follow no convention and do not count: {_listed(_quoted(self.other))}"
            )
        if self.cancelled:
            found.append(f"{self.cancelled} unreleased commits and reverts cancel out and do not count")
        return tuple(found)


_ALIASES: Final = (
    dict.fromkeys(("feature", "features", "feats", "enhancement", "new"), "feat")
    | dict.fromkeys(("fixes", "fixed", "bugfix", "hotfix", "bug", "patch"), "fix")
    | dict.fromkeys(("performance", "optimize", "optimise"), "perf")
    | dict.fromkeys(("reverts", "reverted"), "revert")
    | dict.fromkeys(("breaking", "breaking-change", "breaking_change", "major"), "feat!")
)
_MAYBE_HEADER: Final = re.compile(r"[:;\uff1a\]]| [-\u2013\u2014] ")
_KNOWN: Final = (
    *BUMPS,
    "build",
    "chore",
    "ci",
    "deps",
    "docs",
    "refactor",
    "style",
    "test",
    "release",
    "wip",
)
_DECORATION: Final = r"(?::\w+:|\[[^\]]*\]|[A-Z][A-Z0-9]*-\d+|[^\w\[]|\d+|_)*+"
"""An emoji, a number, a ticket before the type. It gives nothing back, so its time is linear."""

_NEAR_HEADER = re.compile(
    rf"{_DECORATION}(?P<type>[A-Za-z][A-Za-z_-]*)\s?(?P<early>!)?\s?(?P<scope>\([^:\n]*\)|\[[^\]]*\])?\s?(?P<late>!)?"
    r"\s?(?:[:;\uff1a]|(?<=\s)[-\u2013\u2014](?=\s))(?P<text>.*)"
)
_BRACKETS = re.compile(
    r"\W*?\[(?P<type>[A-Za-z]+)(?P<early>!)?\](?P<scope>\([^()]*\))?(?P<late>!)?[\s:]*(?P<text>.*)"
)
_NO_COLON = re.compile(
    r"(?P<type>feat|FEAT|Feat)(?P<early>!)?(?P<scope>\([^()]*\))?(?P<late>!)?\s(?P<text>.+)"
)
_NEAR_FOOTER = re.compile(
    r"^[\s>*#_+`-]*+breaking(?:"
    r"[ _-]*changes?(?:[*_`]|\([^()\n]*\)|!)*\s?(?:[:#\uff1a;]|[-\u2013\u2014](?=\s)|$)"
    r"|(?:[*_`]|\([^()\n]*\)|!)*\s?[:\uff1a])"
    r"[*_`]*[ \t]*(?P<text>.*)$",
    re.MULTILINE | re.IGNORECASE,
)
_TWO_LINES = re.compile(
    r"(?:^[ \t>*#_+`-]*+(?i:breaking)|\bBREAKING)[ \t\r-]*\n(?:[ \t]*\r?\n)?"
    r"[ \t>*]*(?i:changes?)[ \t]?[:#\uff1a](?P<text>.*)$",
    re.MULTILINE,
)
"""The two words on two lines, as an editor wraps them."""
_NO_SEPARATOR = re.compile(r"^BREAKING[ -]CHANGES?[ \t]+(?P<text>\w.*)$", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*[*-] (?P<text>[a-zA-Z][\w-]*(?:\([^()\r\n]*\))?!: +\S.*)$", re.MULTILINE)
_NOTHING: Final = frozenset({"", "no", "none", "n/a", "na", "nothing", "false", "-"})
"""Answers of a template to the question for breaking changes."""

_INVISIBLE: Final = re.compile("[\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]")
"""Spaces other than the plain one, and characters that have no width."""

_IGNORED: Final = ("Merge ", "fixup! ", "squash! ", "amend! ")


def evaluate_messages(messages: Sequence[Message]) -> Reading:
    """Return the bump and the mistakes of all messages since a version, newest first."""
    kept = without_reverted(messages)
    near: dict[UncountedLine, None] = {}
    other: list[str] = []
    cased: list[str] = []
    bump = Bump.NONE
    for text in [message.text for message in kept]:
        found, subject = bump_of(text), text.partition("\n")[0].rstrip()
        if found > bump:
            bump = found
        match = HEADER.match(subject)
        kind = match["type"] if match is not None else ""
        if found is not Bump.MAJOR and (close := _nearly(subject, kind, text)):
            near |= dict.fromkeys(close)
        elif match is None and subject and not (subject.startswith(_IGNORED) or is_revert(subject)):
            other.append(subject)
        elif found is not Bump.NONE and kind != kind.lower():
            cased.append(subject)
    return Reading(
        bump=bump,
        near=tuple(near),
        other=tuple(other),
        cased=tuple(cased),
        cancelled=len(messages) - len(kept),
    )


def _nearly(subject: str, kind: str, text: str) -> list[UncountedLine]:
    """Return the lines of a message that are nearly right. Most messages are known to have none at once."""
    found = list(_near_invisible(text)) if _INVISIBLE.search(text) else []
    if found:
        return found
    if kind not in _KNOWN and (_MAYBE_HEADER.search(subject) or subject[:4].lower() == "feat"):
        found += _near_header(subject)
    if "reaking" in text or "REAKING" in text or "!: " in text:
        found += _near_footers(text)
    return found


def _seen(line: str) -> str:
    """Return a line without invisible characters, and with plain spaces."""
    return _INVISIBLE.sub(lambda match: " " if match[0].isspace() else "", line).strip()


def _near_invisible(text: str) -> Iterator[UncountedLine]:
    """Yield the lines of a message that count without their invisible characters."""
    subject, *body = text.split("\n")
    if bump_of(_seen(subject)) > bump_of(subject):
        yield UncountedLine(line=subject, instead=_seen(subject), bump=bump_of(_seen(subject)))
    for line in body:
        if has_footer(_seen(line)) and not has_footer(line):
            yield UncountedLine(line=line, instead=_seen(line), bump=Bump.MAJOR)


def _near_header(subject: str) -> Iterator[UncountedLine]:
    """Yield corrected subjects for a subject that almost has a type that moves the version."""
    match = HEADER.match(subject)
    if (match is not None and match["type"].lower() in _KNOWN) or subject.startswith(_IGNORED):
        return
    if is_revert(subject):
        return
    found = _NEAR_HEADER.match(subject) or _BRACKETS.match(subject) or _NO_COLON.match(subject)
    kind = _meant(found["type"].lower()) if found is not None else None
    if found is None or kind is None:
        return
    scope = _scope(found["scope"] or "")
    breaking = bool(found["early"] or found["late"]) or kind.endswith("!")
    bump = Bump.MAJOR if breaking else BUMPS.get(kind, Bump.NONE)
    if bump is not Bump.NONE:
        text = found["text"].strip() or "description"
        instead = f"{kind.removesuffix('!')}{scope}{'!' if breaking else ''}: {text}"
        yield UncountedLine(line=subject, instead=instead, bump=bump)


def _scope(written: str) -> str:
    """Return a scope in one pair of parentheses."""
    inner = re.sub(r"[()\[\]\s]+", " ", written).strip()
    return f"({inner})" if written else ""


def _meant(kind: str) -> str | None:
    """Return the type that a word is nearly, as "feat" for "feature" and "faet"."""
    if kind in _KNOWN:
        return kind
    if kind in _ALIASES:
        return _ALIASES[kind]
    close = difflib.get_close_matches(kind, _KNOWN, n=1, cutoff=0.75)
    return close[0] if close and len(kind) > 2 else None


def _near_footers(text: str) -> Iterator[UncountedLine]:
    """Yield the lines of a message that are nearly a footer of a breaking change."""
    for pattern in (_NEAR_FOOTER, _TWO_LINES, _NO_SEPARATOR):
        for match in pattern.finditer(text):
            yield from _near_footer(match)
    for match in _BULLET.finditer(text.partition("\n")[2]):
        instead = f"BREAKING CHANGE: {match['text'].partition(':')[2].strip()}"
        yield UncountedLine(line=match[0].strip(), instead=instead, bump=Bump.MAJOR)


def _near_footer(match: re.Match[str]) -> Iterator[UncountedLine]:
    """Yield the line of a footer, unless it says that nothing breaks."""
    line, text = re.sub(r"\s*\n\s*", r"\\n", match[0].strip()), match["text"].strip()
    if not text:
        text = match.string[match.end() :].strip().partition("\n")[0].strip()
        if text.startswith("#") or (not text and line.startswith("#")):
            return  # an empty section of a template
    if text and text.lower().strip(".*_` ") in _NOTHING:
        return
    start = "feat!" if match.start() == 0 else "BREAKING CHANGE"
    yield UncountedLine(line=line, instead=f"{start}: {text or 'description'}", bump=Bump.MAJOR)


def _short(line: str) -> str:
    return line if len(line) <= _LENGTH else f"{line[: _LENGTH - 1]}…"


def _quoted(lines: Sequence[str]) -> list[str]:
    return [f"`{_short(line)}`" for line in lines]


def _listed(lines: Sequence[str]) -> str:
    rest = len(lines) - _SHOWN
    return ", ".join(lines[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
