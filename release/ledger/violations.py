"""Violations of a ledger, with stable names, and the report of a verification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from release.ledger.commit_stream import FILE, Change, Step
from release.values import Struct, plain

KINDS: Final = {
    "rewound": "the branch no longer contains a commit that it contained before",
    "damaged": "git cannot read the history, or an object of it",
    "merge": "a commit has more than one parent",
    "changed": "a commit changes a file",
    "deleted": "a commit deletes a file",
    "mode": "a file is executable, a link, a submodule, or became one",
    "foreign-path": "a file is at a path that the ledger does not have",
    "format": "the file `format` is missing in the first commit, has other content, or is added again",
    "no-records": "a commit adds no record and completes no index",
    "commit-time": "a commit's time is before its parent's, or is not that of its records",
    "record-name": "a record's file is not named by the hash of its content",
    "record-unreadable": "a record is not JSON, or its kind or schema is not known to this version",
    "record-later": "a later version of the library wrote a record; this one cannot judge it",
    "record-not-canonical": "a record's bytes are not the canonical ones (RFC 8785 and a newline)",
    "seq-gap": "numbers are missing before a record",
    "seq-repeated": "a record has the number of an earlier record",
    "prev": "a record does not name its predecessor",
    "index-missing": "a record has no entry in an index",
    "index-wrong": "an index entry names another record than it should",
    "index-unfounded": "an index has an entry that no record implies",
    "event-time": "an event is in the index at another time than its record has",
    "version-twice": "a version is released a second time",
    "digest-twice": "a digest is released under a second version",
    "healthy-twice": "a deployment is recorded as healthy a second time",
    "foreign-ledger": "a record is bound to another ledger, or to another repository",
    "foreign-service": "a record of a service that this ledger and this repository do not have",
    "history-cut": "a commit does not follow its predecessor: the history is cut off or was replaced",
    "tag-missing": "a release's git tag does not exist",
    "tag-moved": "a release's git tag is on another commit than the recorded one",
    "image-tag-missing": "a release's tag does not exist in the registry",
    "image-tag-moved": "a release's tag in the registry or engine names another image",
    "unsigned": "a commit is not signed",
    "bad-signature": "a commit's signature is of another commit",
    "unknown-signer": "a commit is signed by a key that is not allowed",
}
"""All kinds of violations, with their meanings."""


OF_SIGNATURES: Final = frozenset({"unsigned", "bad-signature", "unknown-signer"})
"""Kinds that a later signer may vouch for."""


class Violation(Struct, frozen=True, kw_only=True):
    """Violation of one rule, in one place.

    Raises:
        ValueError: the kind is not one of `KINDS`.
    """

    kind: str
    commit: str | None
    """Commit of the ledger; None if the violation is not in a commit."""
    path: str
    """File of the ledger, git reference, or image reference; empty for a whole commit."""
    found: str
    expected: str

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind."""
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not a kind of violation")

    def __str__(self) -> str:
        """Return the violation as one line."""
        where = " ".join(part for part in ((self.commit or "")[:12], self.path) if part)
        return f"{self.kind}  {where}: {self.found}; expected {self.expected}".replace("\n", " ")

    def to_json(self) -> dict[str, Any]:
        """Return the value as JSON data."""
        return plain(self)


class Report(Struct, frozen=True, kw_only=True):
    """Result of the verification of one ledger."""

    ledger: str
    """Branch of the ledger, as git writes it."""
    head: str | None
    """Last commit that was read; None for an empty ledger."""
    commits: int
    records: int
    releases: int
    violations: tuple[Violation, ...]
    unchecked: tuple[str, ...]
    """Parts that could not be checked, and why."""

    def to_json(self) -> dict[str, Any]:
        """Return the value as JSON data."""
        return plain(self)


def commit_violation(step: Step, kind: str, found: str, expected: str, path: str = "") -> Violation:
    """Return a violation of a commit, or of one path in it."""
    return Violation(kind=kind, commit=step.commit, path=path, found=found, expected=expected)


def change_violation(step: Step, change: Change, kind: str, found: str, expected: str) -> Violation:
    """Return a violation by a commit's change of one path."""
    return commit_violation(step, kind, found, expected, change.path)


def append_only_violations(step: Step) -> Iterator[Violation]:
    """Yield a violation for each change of a commit that is not the addition of a plain file."""
    for change in step.changes:
        if change.letter == "D":
            yield change_violation(step, change, "deleted", "deleted", f"the content {change.old}")
        elif change.letter != "A" and change.object != change.old:
            yield change_violation(
                step, change, "changed", f"the content {change.object}", f"{change.old}, unchanged"
            )
        if change.letter != "D" and change.mode != FILE:
            yield change_violation(step, change, "mode", f"mode {change.mode}", f"mode {FILE}")
