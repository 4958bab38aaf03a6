"""Proof of a ledger, from its first commit on: it only grew, and everything in it agrees.

One commit after the other is held against what a writer of ours would have made of its records. What is kept
between commits is one number and one id for each service, so memory does not grow with the ledger. What is
proved, and what cannot be, is told in docs/explanation/ledger.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from release.config import Ledger as Settings
from release.errors import LedgerError, LedgerRewritten, LedgerUnreachable, NotALedger, ReleaseError
from release.ledger import layout
from release.ledger.branch import Branch, transaction
from release.ledger.signing import Signers, is_signed
from release.ledger.violations import Report, Violation
from release.ledger.walk import FILE, Change, Step, walk
from release.records import SCHEMA, Body, Record, Release, parse
from release.source import ANSWER_SECONDS, Plumbing, Source

_RECORD: Final = re.compile(r"records/(?P<folder>[0-9a-f]{2})/(?P<id>(?P=folder)[0-9a-f]{62})\.json")
_INDEX: Final = "index/"
_TWICE: Final = {"version": "version-twice", "digest": "digest-twice"}
"""Kinds of index where a second record is a violation of its own."""


class Witness(Protocol):
    """Somebody outside of git who is asked about each release, as a registry."""

    def ask(self, commit: str, record: Record[Release]) -> Iterable[Violation]:
        """What is otherwise than this record says, which this commit of the ledger added."""

    def rest(self) -> Iterable[Violation]:
        """What can be said only after the last release."""

    def unchecked(self) -> Iterable[str]:
        """What could not be looked at."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An index entry that is missing: the record that implies it, and the commit that should have it."""

    record: str
    commit: str


@dataclass(frozen=True, kw_only=True)
class Filed:
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


# git tags


@dataclass(frozen=True, kw_only=True)
class Tags:
    """The git tags and the commits they stand on."""

    here: dict[str, str]
    there: dict[str, str] | None
    """On the remote; None without one, and when it does not answer."""
    remote: str | None

    def ask(self, commit: str, record: Record[Release]) -> Iterator[Violation]:
        """What the tags say otherwise than a release; one that is only on the remote is not fetched yet."""
        source = record.body.source
        places = {"this clone": self.here.get(source.tag)}
        if self.there is not None:
            places[str(self.remote)] = self.there.get(source.tag)
        for place, found in places.items():
            needed = place != "this clone" or self.remote is None
            if found != source.commit and (found is not None or needed):
                yield Violation(
                    kind="tag-moved" if found is not None else "tag-missing",
                    commit=commit,
                    path=f"refs/tags/{source.tag}",
                    found=f"on {found} in {place}" if found is not None else f"not in {place}",
                    expected=f"on {source.commit}",
                )


def _tags(plumbing: Plumbing, remote: str | None) -> Tags:
    form = "--format=%(objectname) %(*objectname)%09%(refname)"
    here = plumbing.run("for-each-ref", form, "refs/tags")
    there = None
    if remote is not None:
        answer = plumbing.run("ls-remote", "--tags", remote, timeout=ANSWER_SECONDS)
        there = _commits(answer.text) if answer.status == 0 else None
    return Tags(here=_commits(here.text), there=there, remote=remote)


def _commits(listing: str) -> dict[str, str]:
    """Names of tags and their commits; git lists an annotated tag's commit after the tag itself."""
    rows = (line.split("\t") for line in listing.splitlines())
    return {ref.removeprefix("refs/tags/").removesuffix("^{}"): oids.split()[-1] for oids, ref in rows}


# the whole


def verify(source: Source, settings: Settings, *, witness: Witness | None = None) -> Report:
    """Prove the ledger of a repository.

    Args:
        source: the repository.
        settings: of the ledger.
        witness: asked about every release, as a registry.

    Raises:
        NotALedger: the branch holds something else.
        LedgerError: git cannot tell the references, the history is cut off, or the ledger's format or the
            list of signers cannot be read.
    """
    return _Verification(source, settings).report(witness)


class _Verification:
    def __init__(self, source: Source, settings: Settings) -> None:
        self._git, self._settings = source.plumbing, settings
        self._branch = Branch(source.plumbing, branch=settings.branch, remote=settings.remote)
        self._remembered = f"refs/release-verified/{settings.remote or 'local'}/{settings.branch}"
        self._signers = Signers.of(source.root, settings)
        self._violations: list[Violation] = []
        self._unchecked: list[str] = []

    def report(self, witness: Witness | None) -> Report:
        head = self._head()
        self._compare_with_memory(head)
        audit = Audit(self._git, signers=self._signers, all_signed=self._settings.require_signed)
        if head is not None:
            self._check_whether_a_ledger(head)
            self._prove(head, audit, witness)
            self._remember(head)
        return Report(
            ledger=str(self._branch),
            head=head,
            commits=audit.commits,
            records=audit.records,
            releases=audit.releases,
            violations=tuple(self._violations),
            unchecked=tuple(self._unchecked),
        )

    def _head(self) -> str | None:
        """The newest commit that is known; the server's where a fork or a rewind is found."""
        try:
            return self._branch.refresh()
        except LedgerRewritten as error:
            self._violations.append(_rewound(error.seen, error.found))
            return error.seen
        except LedgerUnreachable as error:
            self._unchecked.append(f"what {self._settings.remote} has now: {error.found}")
        try:
            return self._branch.head()
        except LedgerRewritten as error:
            self._violations.append(_rewound(error.seen, error.found))
            return error.seen

    def _compare_with_memory(self, head: str | None) -> None:
        """The last commit that was verified here must be in the history."""
        answer = self._git.run("for-each-ref", "--format=%(objectname)", self._remembered)
        seen = answer.text
        if not seen or seen == head:
            return
        contains = head is not None and self._git.run("merge-base", "--is-ancestor", seen, head).status == 0
        if not contains and not any(violation.kind == "rewound" for violation in self._violations):
            self._violations.append(_rewound(seen, f"the branch is at {head or 'nothing'}, which lacks it"))

    def _remember(self, head: str) -> None:
        """Keep the head of a clean ledger. Where it cannot be written, the next run knows the one before."""
        if not self._violations:
            old = self._git.run("for-each-ref", "--format=%(objectname)", self._remembered).text
            update = {self._remembered: (head, old or None)}
            self._git.run("update-ref", "--stdin", stdin=transaction(update))

    def _check_whether_a_ledger(self, head: str) -> None:
        """Nothing is said commit by commit of a branch that holds something else."""
        answer = self._git.run("ls-tree", "--name-only", "-z", head)
        names = set(answer.text.split("\0"))
        if answer.status == 0 and not names & {layout.FORMAT_PATH, "records", "index"}:
            raise NotALedger(
                f"prove the ledger {self._branch}",
                "the branch holds something else: no `format`, no records",
                "name another branch: `branch` in [tool.release.ledger]",
            )

    def _prove(self, head: str, audit: Audit, witness: Witness | None) -> None:
        tags = _tags(self._git, self._settings.remote)
        if self._settings.remote is not None and tags.there is None:
            self._unchecked.append(f"the git tags of {self._settings.remote}: it does not answer")
        witnesses: list[Tags | Witness] = [tags, *([witness] if witness is not None else [])]
        for step in walk(self._git, head, self._signers, self._trouble):
            violations, releases = audit.step(step)
            self._violations += violations
            asked = ((each, record) for each in witnesses for record in releases)
            self._violations += [one for each, record in asked for one in each.ask(step.commit, record)]
        self._violations += audit.rest()
        if witness is not None:
            self._violations += witness.rest()
            self._unchecked += witness.unchecked()
        if audit.unsigned_before:
            self._unchecked.append(f"{audit.unsigned_before} commits from before the first signed one")

    def _trouble(self, words: str) -> None:
        """Git stopped in the middle of the history."""
        self._violations.append(
            Violation(
                kind="damaged", commit=None, path=str(self._branch), found=words, expected="a whole history"
            )
        )


def _rewound(seen: str, found: str) -> Violation:
    return Violation(
        kind="rewound", commit=seen, path="", found=found, expected="a branch that contains this commit"
    )
