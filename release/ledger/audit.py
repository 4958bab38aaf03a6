"""The commits of a ledger, one after the other, held against what a writer of ours would have made.

What is kept between commits is one number and one id for each service, so memory does not grow with the
ledger.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from release.errors import LedgerError, ReleaseError
from release.frozen import Struct
from release.ledger import layout
from release.ledger.signing import Signers, is_signed
from release.ledger.violations import Violation
from release.ledger.walk import FILE, Change, Step
from release.plumbing import Plumbing
from release.records import SCHEMA, Body, Record, Release, parse

_RECORD: Final = re.compile(r"records/(?P<folder>[0-9a-f]{2})/(?P<id>(?P=folder)[0-9a-f]{62})\.json")
_INDEX: Final = "index/"
_TWICE: Final = {"version": "version-twice", "digest": "digest-twice"}
"""Kinds of index where a second record is a violation of its own."""


class Entry(Struct, frozen=True, kw_only=True):
    """An index entry that is missing: the record that implies it, and the commit that should have it."""

    record: str
    commit: str


class Filed(Struct, frozen=True, kw_only=True):
    """A record's file: the id that it is named by, what it says where it can be read, and what is wrong."""

    id: str
    record: Record[Body] | None = None
    problem: Violation | None = None

    @property
    def place(self) -> tuple[str, int]:
        """Where it belongs in the order of a commit."""
        known = self.record.envelope if self.record is not None else None
        return (known.service, known.seq) if known is not None else ("~", 0)


class Audit:
    """The verification of one ledger's commits, in order."""

    def __init__(self, plumbing: Plumbing, *, signers: Signers | None, all_signed: bool) -> None:
        """Nothing is seen yet.

        Args:
            plumbing: the repository.
            signers: who may sign; None where signatures do not matter.
            all_signed: whether commits before the first signed one must be signed too.
        """
        self._git = plumbing
        self._signers = signers
        self._all_signed = all_signed
        self._last: dict[str, tuple[int, str]] = {}
        self._missing: dict[str, Entry] = {}
        self._before: Step | None = None
        self._unsigned: list[str] = []
        self._any_signed = False
        self.commits = self.records = self.releases = 0

    def step(self, step: Step) -> tuple[list[Violation], list[Record[Release]]]:
        """What is wrong with the next commit, and the releases that it records."""
        filed = list(self._filed(step))
        releases = [
            Record(envelope=each.record.envelope, body=each.record.body)
            for each in filed
            if each.record is not None and isinstance(each.record.body, Release)
        ]
        self.commits += 1
        self.records += len(filed)
        self.releases += len(releases)
        violations = list(self._violations(step, filed))
        self._before = step
        return violations, releases

    def _violations(self, step: Step, filed: Sequence[Filed]) -> Iterator[Violation]:
        records = [each.record for each in filed if each.record is not None and each.problem is None]
        added = {change.path: change for change in step.changes if change.letter == "A"}
        yield from self._lineage(step)
        yield from _growth(step)
        yield from _places(step, added)
        yield from self._format(step, added)
        yield from (each.problem for each in filed if each.problem is not None)
        yield from self._chain(step, filed)
        missing = len(self._missing)
        yield from self._indexes(step, added, filed)
        if not filed and len(self._missing) >= missing:
            yield _of_commit(step, "no-records", "it adds no record", "one record or more in each commit")
        yield from self._time(step, records)
        yield from self._signature(step)

    def rest(self) -> Iterator[Violation]:
        """What is still wrong after the last commit."""
        for path, entry in self._missing.items():
            yield Violation(
                kind="index-missing",
                commit=entry.commit,
                path=path,
                found="no such file",
                expected=f"the record {entry.record}",
            )
        if not self._any_signed:
            yield from map(_unsigned, self._unsigned)

    @property
    def unsigned_before(self) -> int:
        """How many commits are unsigned because signing began later."""
        return len(self._unsigned) if self._any_signed else 0

    # the commit

    def _lineage(self, step: Step) -> Iterator[Violation]:
        if len(step.parents) > 1:
            others = ", ".join(step.parents[1:])
            yield _of_commit(step, "merge", f"it also has the parent {others}", "one parent")
        if self._before is None and _has_parent(self._git, step.commit):
            raise LedgerError(
                "prove the ledger from its first commit on",
                f"this clone's history begins at {step.commit}, which has a parent",
                "fetch the rest: git fetch --unshallow",
            )

    def _format(self, step: Step, added: dict[str, Change]) -> Iterator[Violation]:
        """The first commit has the file, and no other one."""
        change = added.get(layout.FORMAT_PATH)
        expected = f"release-ledger {SCHEMA}"
        if self._before is not None:
            if change is not None:
                yield _of_change(step, change, "format", "it comes again", "only in the first commit")
            return
        if change is None:
            yield _of_commit(
                step, "format", "the first commit has no such file", expected, layout.FORMAT_PATH
            )
            return
        content = self._content(change.object) or b""
        version = layout.format_version(content)
        if version is None or content != f"release-ledger {version}\n".encode():
            yield _of_change(step, change, "format", _text(content), expected)
        elif version.partition(".")[0] != SCHEMA.partition(".")[0]:
            found = f"its format is {version}, and this version reads {SCHEMA}"
            raise LedgerError("prove the ledger", found, "upgrade the release library")

    def _time(self, step: Step, records: Sequence[Record[Body]]) -> Iterator[Violation]:
        """A writer gives a commit the time of its record, and never one before the commit before."""
        before = self._before.seconds if self._before is not None else None
        if before is not None and step.seconds < before:
            yield _of_commit(step, "commit-time", _moment(step.seconds), f"{_moment(before)} or later")
            return
        known = {_seconds(record.envelope.recorded_at) for record in records} | {before}
        if records and step.seconds not in known:
            times = sorted(seconds for seconds in known if seconds is not None)
            yield _of_commit(step, "commit-time", _moment(step.seconds), " or ".join(map(_moment, times)))

    def _signature(self, step: Step) -> Iterator[Violation]:
        signers, signature = self._signers, step.signature
        if signers is None:
            return
        if signature.letter == "N" and not is_signed(self._git, step.commit):
            if self._any_signed or self._all_signed:
                yield _unsigned(step.commit)
            else:
                self._unsigned.append(step.commit)
            return
        self._any_signed = True
        if not signers.allow(signature):
            kind = "bad-signature" if signature.letter == "B" else "unknown-signer"
            yield _of_commit(step, kind, signers.found(signature), "a signature of an allowed signer")

    # records

    def _filed(self, step: Step) -> Iterator[Filed]:
        """The record files that the commit adds, by service and number; last those that tell neither."""
        found = [
            self._read(step, change, match["id"])
            for change in step.changes
            if change.letter == "A" and change.mode.startswith("100")
            for match in [_RECORD.fullmatch(change.path)]
            if match is not None
        ]
        yield from sorted(found, key=lambda each: each.place)

    def _read(self, step: Step, change: Change, record: str) -> Filed:
        content = self._content(change.object)
        if content is None:
            found = f"git's object {change.object} is missing or damaged"
            return Filed(id=record, problem=_of_change(step, change, "damaged", found, "the record"))
        name = hashlib.sha256(content).hexdigest()
        if name != record:
            found = f"its content hashes to {name}"
            return Filed(id=record, problem=_of_change(step, change, "record-name", found, "that name"))
        try:
            read = parse(content, change.path)
        except LedgerError as error:
            expected = f"a record of schema {SCHEMA}"
            problem = _of_change(step, change, "record-unreadable", error.found, expected)
            return Filed(id=record, problem=problem)
        if read.id != record:
            found = f"{len(content)} bytes that say the record {read.id}"
            problem = _of_change(step, change, "record-not-canonical", found, "that record's own bytes")
            return Filed(id=record, record=read, problem=problem)
        return Filed(id=record, record=read)

    def _chain(self, step: Step, filed: Sequence[Filed]) -> Iterator[Violation]:
        """Numbers and predecessors. After a fault it goes on from what was found."""
        for each in filed:
            if each.record is None:
                continue
            place, path = each.record.envelope, layout.record_path(each.id)
            number, before = self._last.get(place.service, (0, None))
            if place.seq != number + 1:
                kind = "seq-gap" if place.seq > number + 1 else "seq-repeated"
                found, expected = (f"{place.service} number {count}" for count in (place.seq, number + 1))
                yield _of_commit(step, kind, found, expected, path)
            if place.prev != before:
                found = place.prev or "none"
                yield _of_commit(step, "prev", found, before or "none, as it is the first", path)
            self._last[place.service] = (place.seq, each.id)

    # indexes

    def _indexes(self, step: Step, added: dict[str, Change], filed: Sequence[Filed]) -> Iterator[Violation]:
        """Every entry that the records imply, and no other; an entry that was missing may come later."""
        for change in step.changes:
            if change.letter == "D" and change.path.startswith(_INDEX):
                lost = _text(self._content(change.old) or b"")
                self._missing[change.path] = Entry(record=lost, commit=step.commit)
        entries = {path: change for path, change in added.items() if path.startswith(_INDEX)}
        implied: dict[str, str] = {}
        for each in filed:
            if each.record is not None and each.problem is None:
                yield from self._implied(step, each.record, entries, implied)
        for path, record in implied.items():
            yield from self._entry(step, path, record, entries)
        ids = {each.id for each in filed}
        of_problems = {_blob(each.id, len(step.commit)) for each in filed if each.problem is not None}
        for path, change in entries.items():
            if path not in implied and change.object not in of_problems:
                yield from self._unimplied(step, change, ids)

    def _implied(
        self, step: Step, record: Record[Body], entries: dict[str, Change], implied: dict[str, str]
    ) -> Iterator[Violation]:
        """Note a record's entries; two records of one commit may want the same."""

        def taken(path: str) -> bool:
            return path in implied or (path not in entries and self._earlier(path) is not None)

        for path in layout.paths_of(record, taken):
            if path in implied:
                yield from self._twice(step, path, record.id, implied[path])
            implied.setdefault(path, record.id)

    def _earlier(self, path: str) -> str | None:
        """What an entry holds in the tree before this commit; None when it is not there."""
        if self._before is None:
            return None
        content = self._content(f"{self._before.commit}:{path}")
        return _text(content) if content is not None else None

    def _entry(self, step: Step, path: str, record: str, entries: dict[str, Change]) -> Iterator[Violation]:
        """One entry that must be there."""
        change = entries.get(path)
        waiting = self._missing.get(path)
        if change is None:
            holder = self._earlier(path)
            if holder is None:
                self._missing[path] = Entry(record=record, commit=step.commit)
            else:
                yield from self._twice(step, path, record, holder)
        elif change.object != _blob(record, len(change.object)):
            found = _text(self._content(change.object) or b"")
            yield _of_change(step, change, "index-wrong", found, record)
        elif waiting is not None:
            yield from self._twice(step, path, record, waiting.record)

    def _twice(self, step: Step, path: str, record: str, holder: str) -> Iterator[Violation]:
        """Two records want one path."""
        if record == holder:
            return
        kind = _TWICE.get(path.split("/")[2], "index-wrong")
        expected = f"only the record {holder}" if kind != "index-wrong" else record
        found = f"also the record {record}" if kind != "index-wrong" else holder
        yield _of_commit(step, kind, found, expected, path)

    def _unimplied(self, step: Step, change: Change, ids: Collection[str]) -> Iterator[Violation]:
        """An entry without a record in its commit: one that was missing, or one without a reason."""
        found = _text(self._content(change.object) or b"")
        waiting = self._missing.get(change.path)
        if waiting is not None and change.object == _blob(waiting.record, len(change.object)):
            del self._missing[change.path]
            return
        event = next((path for path in self._missing if _is_same_event(change, path, ids)), None)
        if event is not None:
            del self._missing[event]
            yield _of_change(step, change, "event-time", "an event at this time", event)
            return
        yield _of_change(
            step, change, "index-unfounded", f"it names {found}", "no entry: no record implies it"
        )

    def _content(self, name: str) -> bytes | None:
        """The content of a file; None when it is missing or damaged."""
        try:
            found = self._git.object(name) if "\n" not in name else None
        except ReleaseError:
            return None
        return found[1] if found is not None and found[0] == "blob" else None


def _has_parent(plumbing: Plumbing, commit: str) -> bool:
    """Whether the commit itself names a parent; in a shallow clone git's log does not say so."""
    found = plumbing.object(commit)
    return found is not None and b"\nparent " in found[1].partition(b"\n\n")[0]


def _is_same_event(change: Change, path: str, ids: Collection[str]) -> bool:
    """Whether an entry is the missing one of an event of this commit, at another time."""
    folder, record = change.path.split("/")[:4], change.path.rpartition("-")[2]
    missing = path.split("/")[:4], path.rpartition("-")[2]
    return (folder, record) == missing and folder[2:3] == ["environment"] and record in ids


def _growth(step: Step) -> Iterator[Violation]:
    """A commit adds plain files, and does nothing else."""
    for change in step.changes:
        if change.letter == "D":
            yield _of_change(step, change, "deleted", "deleted", f"the content {change.old}")
        elif change.letter != "A" and change.object != change.old:
            yield _of_change(
                step, change, "changed", f"the content {change.object}", f"{change.old}, unchanged"
            )
        if change.letter != "D" and change.mode != FILE:
            yield _of_change(step, change, "mode", f"mode {change.mode}", f"mode {FILE}")


def _places(step: Step, added: dict[str, Change]) -> Iterator[Violation]:
    """Files lie where a ledger has files."""
    for path, change in added.items():
        if path != layout.FORMAT_PATH and not path.startswith(_INDEX) and not _RECORD.fullmatch(path):
            yield _of_change(step, change, "foreign-path", "a file", "only records, indexes and `format`")


def _of_change(step: Step, change: Change, kind: str, found: str, expected: str) -> Violation:
    return _of_commit(step, kind, found, expected, change.path)


def _of_commit(step: Step, kind: str, found: str, expected: str, path: str = "") -> Violation:
    return Violation(kind=kind, commit=step.commit, path=path, found=found, expected=expected)


def _unsigned(commit: str) -> Violation:
    return Violation(
        kind="unsigned",
        commit=commit,
        path="",
        found="no signature",
        expected="a signature of an allowed signer",
    )


def _blob(record: str, width: int) -> str:
    """Git's id of an index entry's file that holds this record's id (git-hash-object), by the id's length."""
    content = f"{record}\n".encode()
    data = b"blob %d\0%s" % (len(content), content)
    if width == 64:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _text(content: bytes) -> str:
    """The beginning of a small file, as one line that can be shown."""
    text = content[:100].decode("utf-8", "replace").removesuffix("\n")
    return text if text.isprintable() and text else repr(text)


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


def _moment(seconds: int) -> str:
    """A git time as text."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
