"""Migration files of commits, and the differences between two releases. Nothing is read here.

A migration is identified by its path. Editing a migration is no difference; removing or renaming one is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final

from release.records import Migrations
from release.values import Struct

HEAD: Final = "{head}"
"""In a down command: the last migration that stays."""

_PARTS = re.compile(r"\*\*/|\*\*|\*|\?")
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def matching_files(files: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    """Return the files that match a pattern: `*` and `?` stay in a folder, `**/` crosses folders."""
    rules = [_rule(pattern) for pattern in patterns]
    return {path: oid for path, oid in sorted(files.items()) if any(rule.fullmatch(path) for rule in rules)}


def unmatched_pattern_warnings(files: Iterable[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """Return a warning for each pattern that no file matches."""
    paths = tuple(files)
    return tuple(
        f"migrations.paths: {pattern!r} matches no file, so it protects no migration; correct the pattern"
        for pattern in patterns
        if not any(map(_rule(pattern).fullmatch, paths))
    )


def _rule(pattern: str) -> re.Pattern[str]:
    written, place = "", 0
    for part in _PARTS.finditer(pattern):
        written += re.escape(pattern[place : part.start()]) + _MEANING[part[0]]
        place = part.end()
    return re.compile(written + re.escape(pattern[place:]))


def summarise_migrations(files: Mapping[str, str]) -> Migrations:
    """Return the migrations that a release records, from git ids of the matching files by path."""
    lines = "".join(f"{path}\0{oid}\n" for path, oid in sorted(files.items()))
    return Migrations(
        count=len(files), head=max(files, default=""), sha256=hashlib.sha256(lines.encode()).hexdigest()
    )


class Crossing(Struct, frozen=True, kw_only=True):
    """Migrations between the running release and the target release."""

    undone: tuple[str, ...] = ()
    """Paths that only the running release has: the data is ahead of the target's code."""
    added: tuple[str, ...] = ()
    """Paths that only the target release has."""
    head: str = ""
    """Last path of the target release."""
    unknown: str = ""
    """Reason why the difference is unknown, which counts as a downgrade; empty if it is known."""

    @property
    def goes_back(self) -> bool:
        """Return whether migrations of the running release are missing in the target."""
        return bool(self.undone or self.unknown)

    def command(self, words: Iterable[str], base: str | None) -> tuple[str, ...]:
        """Return the words of a downgrade command with their placeholders replaced.

        If the target has no migration, `base` is its head; without `base`, `{head}` is not replaced.
        """
        head = PurePosixPath(self.head).stem or base or HEAD
        known = {"{count}": str(len(self.undone)), HEAD: head}
        return tuple(_filled(word, known) for word in words)

    def __str__(self) -> str:
        """Return the differences as text for people."""
        return self.unknown or f"{len(self.undone)} undone: {', '.join(self.undone)}"


def _filled(word: str, known: Mapping[str, str]) -> str:
    for mark, value in known.items():
        word = word.replace(mark, value)
    return word


def migrations_between(running: Mapping[str, str], target: Mapping[str, str]) -> Crossing:
    """Return the migrations between two releases, from their git ids by path."""
    return Crossing(
        undone=tuple(path for path in running if path not in target),
        added=tuple(path for path in target if path not in running),
        head=max(target, default=""),
    )
