"""Version bump by commit messages: Conventional Commits 1.0.0, footers and reverts.

Source: the specification, items 1, 5 and 8-16. The text of a footer may begin on the next line (item 10). A
footer counts in every paragraph, because a squashed commit joins several messages.
`release.versioning.commit_evaluation` names the lines that are nearly right.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final

from release.values import Struct


class Bump(IntEnum):
    """Part of the version that grows; the largest among the commits counts."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3


class Message(Struct, frozen=True, kw_only=True):
    """Commit message with the commits that it reverts."""

    text: str
    id: str = ""
    undone: tuple[str, ...] = ()
    """For a revert, the full ids of the unreleased commits that the revert takes back."""
    released: bool = False
    """For a revert, whether the reverted commit is released."""

    @property
    def subject(self) -> str:
        """Return the first line."""
        return self.text.partition("\n")[0].rstrip("\r")


BUMPS: Final = {"feat": Bump.MINOR, "fix": Bump.PATCH, "perf": Bump.PATCH, "revert": Bump.PATCH}
"""The types that move a version."""

HEADER: Final = re.compile(r"(?P<type>[a-zA-Z][\w-]*)(?:\([^()\r\n]*\))?(?P<breaking>!)?: +\S")
"""The beginning of a subject that follows the convention."""

_TRAILER: Final = r"(?:[A-Z]\w*(?:-\w+)+|Refs?|Closes?|Fixes|Resolves|Cc|Link|See|Issue)(?:: | #)"
_FOOTER = re.compile(
    rf"^BREAKING[ -]CHANGE(?:[ \t]*:(?:[ \t]*+\S|[ \t]*+\n\s*+(?!{_TRAILER})\S)|[ \t]+#\S)", re.MULTILINE
)
_SQUASHED = re.compile(
    r"^commit [0-9a-f]{40,64}\n(?:[A-Z][A-Za-z]*: .*\n)+\n((?:(?: {4}.*)?(?:\n|\Z))+?)(?=^commit |\Z)",
    re.MULTILINE,
)
_REVERT = re.compile(r'(?:Revert|Reapply) "(?P<subject>.*)"(?: \([#!]\d+\))?')
_RE: Final = ("re", "Re", "RE", "rE")
_REVERT_TYPE = re.compile(r"revert(?:\([^()\r\n]*\))?!?: +(?P<subject>\S.*)", re.IGNORECASE)
_REVERTED = re.compile(
    r"\breverts?\s+commits?\s+([0-9a-f]{7,64}\b(?:(?:,|\s|\band\b)+[0-9a-f]{7,64}\b)*)", re.IGNORECASE
)
_REFS = re.compile(r"^Refs?(?::| #)(.*)$", re.MULTILINE | re.IGNORECASE)
_ID = re.compile(r"\b[0-9a-f]{7,64}\b")


def bump_of(text: str) -> Bump:
    """Return the bump that a message asks for; none for a message that does not follow the convention."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    header, _, body = text.partition("\n")
    match = HEADER.match(header)
    if (match is not None and match["breaking"]) or has_footer(body):
        return Bump.MAJOR
    if match is not None:
        own = BUMPS.get(match["type"].lower(), Bump.NONE)
    else:
        own = Bump.PATCH if is_revert(header) else Bump.NONE
    return max([own, *map(bump_of, squashed_messages(body))]) if "commit " in body else own


def has_footer(body: str) -> bool:
    """Return whether a footer declares a breaking change."""
    return "BREAKING" in body and _FOOTER.search(body) is not None


def squashed_messages(body: str) -> Iterator[str]:
    """Yield the messages in the body of a squash merge (`git merge --squash`)."""
    yield from (textwrap.dedent(match[1]).strip() for match in _SQUASHED.finditer(body))


def is_revert(header: str) -> bool:
    """Return whether a subject is that of a revert, in the form of git, a forge or the convention."""
    return header[:2] in _RE and _subject_of_revert(header) is not None


def _subject_of_revert(header: str) -> str | None:
    """Return the subject of the commit that a revert takes back, if it names one."""
    match = _REVERT.fullmatch(header) or _REVERT_TYPE.fullmatch(header)
    if match is None:
        return None
    subject = match["subject"]
    return f'Revert "{subject}"' if header.startswith("Reapply") else subject


def reverted_commits(text: str) -> tuple[str, ...]:
    """Return the ids of reverted commits, maybe abbreviated; none for other messages."""
    header, _, body = text.partition("\n")
    if not is_revert(header.rstrip("\r")):
        return ()
    found = [oid for match in _REVERTED.finditer(body) for oid in _ID.findall(match[1])]
    if not found and _REVERT_TYPE.match(header):
        found = [oid for match in _REFS.finditer(body) for oid in _ID.findall(match[1])]
    return tuple(dict.fromkeys(found))


def without_reverted(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return the messages without each unreleased commit that was reverted, and without its revert.

    Args:
        messages: all since a version, newest first.

    Returns:
        The others in the same order: among them each revert of something that was released.
    """
    if not any(message.text[:2] in _RE and is_revert(message.subject) for message in messages):
        return tuple(messages)
    gone: set[int] = set()
    for place, message in enumerate(messages):
        if place in gone or not is_revert(message.subject):
            continue
        targets = _targets(message, place, messages, gone)
        gone |= targets
        if targets and not message.released:
            gone.add(place)
    return tuple(message for place, message in enumerate(messages) if place not in gone)


def _targets(revert: Message, place: int, messages: Sequence[Message], gone: set[int]) -> set[int]:
    """Return the places of the unreleased commits that a revert takes back: by id, else by subject."""
    older = (each for each in range(place + 1, len(messages)) if each not in gone)
    if revert.undone or revert.released:
        return {each for each in older if messages[each].id in revert.undone}
    subject = _subject_of_revert(revert.subject)
    newest = next((each for each in older if messages[each].subject == subject), None)
    return {newest} if newest is not None else set()
