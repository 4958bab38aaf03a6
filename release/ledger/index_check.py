"""Index entries of a ledger's commits, compared with the records that they follow from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from release.errors import LedgerError
from release.ledger import layout
from release.ledger.commit_stream import Change, Step
from release.ledger.record_files import RecordFile
from release.ledger.violations import Violation, change_violation, commit_violation
from release.records import Body, Record, parse
from release.values import Struct

INDEX: Final = "index/"
_TWICE: Final = {"version": "version-twice", "digest": "digest-twice"}
"""Kinds of index in which a second record for a path has its own kind of violation."""


class MissingEntry(Struct, frozen=True, kw_only=True):
    """An index entry that is missing: the record that implies it, and the commit that should have it."""

    record: str
    commit: str


class Entries:
    """Check of the index of one ledger, commit by commit."""

    def __init__(self, content: Callable[[str], bytes | None]) -> None:
        """Keep `content`, which returns a file by `<commit>:<path>`, or None if the file is missing."""
        self._content = content
        self._missing: dict[str, MissingEntry] = {}

    def violations(
        self, step: Step, before: str | None, added: dict[str, Change], files: Sequence[RecordFile]
    ) -> Iterator[Violation]:
        """Yield differences between a commit's entries and records. A later commit may add a missing entry.

        Args:
            step: the commit.
            before: the commit before it.
            added: added files, by path.
            files: its records.
        """
        self._note_deleted(step)
        entries = {path: change for path, change in added.items() if path.startswith(INDEX)}
        implied: dict[str, str] = {}
        for each in files:
            if each.record is not None and each.problem is None:
                yield from self._implied(step, before, each.record, entries, implied)
        for path, record in implied.items():
            yield from self._entry(step, before, path, record, entries)
        width = len(step.commit)
        damaged = {blob_id(each.id, width) for each in files if each.problem and not each.later_kind}
        later = {blob_id(each.id, width): each for each in files if each.later_kind}
        ids = {each.id for each in files}
        completed = 0
        for path, change in entries.items():
            if path not in implied and change.object not in damaged and not _is_of_later(later, change):
                found = list(self._unimplied(step, before, change, ids))
                completed += not found
                yield from found
        if not files and not completed:
            yield commit_violation(
                step, "no-records", "it adds no record", "one record or more in each commit"
            )

    def rest(self) -> Iterator[Violation]:
        """Yield a violation for each entry that is missing after the last commit."""
        for path, entry in self._missing.items():
            yield Violation(
                kind="index-missing",
                commit=entry.commit,
                path=path,
                found="no such file",
                expected=f"the record {entry.record}",
            )

    def _note_deleted(self, step: Step) -> None:
        for change in step.changes:
            if change.letter == "D" and change.path.startswith(INDEX):
                lost = text_of(self._content(change.old) or b"")
                self._missing[change.path] = MissingEntry(record=lost, commit=step.commit)

    def _implied(
        self,
        step: Step,
        before: str | None,
        record: Record[Body],
        entries: dict[str, Change],
        implied: dict[str, str],
    ) -> Iterator[Violation]:
        """Note the entries of a record in `implied`. Yield a violation if two records imply the same path."""

        def taken(path: str) -> bool:
            return path in implied or (path not in entries and self._earlier(before, path) is not None)

        for path in layout.index_paths(record, taken):
            if path in implied:
                yield from self._twice(step, path, record.id, implied[path])
            implied.setdefault(path, record.id)

    def _earlier(self, before: str | None, path: str) -> str | None:
        """Return the content of an entry in the tree before this commit; None if it is missing."""
        content = self._content(f"{before}:{path}") if before is not None else None
        return text_of(content) if content is not None else None

    def _entry(
        self, step: Step, before: str | None, path: str, record: str, entries: dict[str, Change]
    ) -> Iterator[Violation]:
        """Yield a violation if an implied entry is missing or wrong."""
        change = entries.get(path)
        waiting = self._missing.get(path)
        if change is None:
            holder = self._earlier(before, path)
            if holder is None:
                self._missing[path] = MissingEntry(record=record, commit=step.commit)
            else:
                yield from self._twice(step, path, record, holder)
        elif change.object != blob_id(record, len(change.object)):
            found = text_of(self._content(change.object) or b"")
            yield change_violation(step, change, "index-wrong", found, record)
        elif waiting is not None:
            yield from self._twice(step, path, record, waiting.record)

    def _twice(self, step: Step, path: str, record: str, holder: str) -> Iterator[Violation]:
        """Yield a violation for a path that two records imply."""
        if record == holder:
            return
        kind = _TWICE.get(path.split("/")[2], "index-wrong")
        expected = f"only the record {holder}" if kind != "index-wrong" else record
        found = f"also the record {record}" if kind != "index-wrong" else holder
        yield commit_violation(step, kind, found, expected, path)

    def _unimplied(
        self, step: Step, before: str | None, change: Change, ids: Collection[str]
    ) -> Iterator[Violation]:
        """Yield a violation for an entry that no record implies. An entry may complete an earlier commit."""
        waiting = self._missing.get(change.path)
        if waiting is not None and change.object == blob_id(waiting.record, len(change.object)):
            del self._missing[change.path]
            return
        event = next((path for path in self._missing if _is_same_event(change, path, ids)), None)
        if event is not None:
            del self._missing[event]
            yield change_violation(step, change, "event-time", "an event at this time", event)
            return
        found = text_of(self._content(change.object) or b"")
        if not self._completes(before, change, found):
            expected = "no entry, because no record implies it"
            yield change_violation(step, change, "index-unfounded", f"it names {found}", expected)

    def _completes(self, before: str | None, change: Change, record: str) -> bool:
        """Return whether the entry names an earlier record that implies it, as `ledger-rebuild` adds it."""
        if before is None or change.object != blob_id(record, len(change.object)):
            return False
        path = layout.record_path(record)
        content = self._content(f"{before}:{path}")
        try:
            return content is not None and layout.implies(parse(content, path), change.path)
        except LedgerError:
            return False


def _is_of_later(later: Mapping[str, RecordFile], change: Change) -> bool:
    """Return whether an entry may belong to a record of this commit that a later version wrote."""
    newer = later.get(change.object)
    if newer is None:
        return False
    service, seq, _ = newer.place
    return layout.may_imply(service, seq, newer.later_kind, change.path)


def _is_same_event(change: Change, path: str, ids: Collection[str]) -> bool:
    """Return whether an entry is the missing one of an event of this commit, at another time."""
    folder, record = change.path.split("/")[:4], change.path.rpartition("-")[2]
    missing = path.split("/")[:4], path.rpartition("-")[2]
    return (folder, record) == missing and folder[2:3] == ["environment"] and record in ids


def blob_id(record: str, width: int) -> str:
    """Return git's id of an index entry's file that holds this record's id (git-hash-object).

    Args:
        record: the id.
        width: digits of a git id: 40 (SHA-1) or 64 (SHA-256).
    """
    content = f"{record}\n".encode("utf-8", "surrogateescape")
    data = b"blob %d\0%s" % (len(content), content)
    if width == 64:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def text_of(content: bytes) -> str:
    """Return the beginning of a small file, as one line that can be shown."""
    text = content[:100].decode("utf-8", "replace").removesuffix("\n")
    return text if text.isprintable() and text else repr(text)
