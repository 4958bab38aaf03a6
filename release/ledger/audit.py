"""Rules of a ledger's commits, checked one commit after the other.

Each rule states what the writer of this library would have done. `verify --ledger` lists every violation;
`release.ledger.proof` stops at the first one, on the way of every command.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, cast

from release.errors import LedgerError, LedgerShallow, ReleaseError
from release.git.runner import Git
from release.ledger import layout
from release.ledger.commit_stream import Change, Step, has_parent
from release.ledger.genesis import Lineage
from release.ledger.index_check import INDEX, Entries, text_of
from release.ledger.record_files import RecordFile, read_record_file
from release.ledger.signing import Signers, is_signed
from release.ledger.tree import Trees
from release.ledger.violations import Violation, append_only_violations, change_violation, commit_violation
from release.records import SCHEMA, Body, Deployment, Record, Release, parse
from release.values import Struct, field

_WHOLE: Final = "a commit that can be read whole"
_RECORD: Final = re.compile(r"records/(?P<folder>[0-9a-f]{2})/(?P<id>(?P=folder)[0-9a-f]{62})\.json")


class LedgerState(Struct, frozen=True, kw_only=True):
    """State of a ledger at a commit, as the rules for the next commit need it."""

    commit: str | None = None
    """None: before the first commit."""
    seconds: int | None = None
    """Committer time of the commit."""
    last: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Number and id of each service's last record."""
    lineage: Lineage = field(default_factory=Lineage)
    judged: tuple[str, str] | None = None
    """Last commit whose signature was checked, and the first commit without an allowed signature."""
    start: str | None = None
    """First commit of this clone, taken without proof; None: all commits are proven from the first one."""


class Audit:
    """Check of one ledger's commits, in order."""

    def __init__(
        self,
        git: Git,
        *,
        signers: Signers | None = None,
        all_signed: bool = False,
        before: LedgerState | None = None,
    ) -> None:
        """Begin after a commit that is proven, or before the first commit.

        Args:
            plumbing: the repository.
            signers: allowed signers; None: signatures are not checked.
            all_signed: whether commits before the first signed one must be signed too.
            before: the state at the commit before the first that is checked.
        """
        before = before or LedgerState()
        self._git = git
        self._signers = signers
        self._all_signed = all_signed
        self._commit, self._seconds = before.commit, before.seconds
        self._last = dict(before.last)
        self._lineage = before.lineage
        self._root, self._start = before.commit, before.start
        self._healthy: set[str] = set()
        self._entries = Entries(self._content)
        self._unsigned: list[str] = []
        self._any_signed = False
        self.commits = self.records = self.releases = 0
        self.vouches = False
        """True: a record of the last commit names that commit's parent as verified head."""

    @property
    def state(self) -> LedgerState:
        """Return the state after the last checked commit."""
        return LedgerState(
            commit=self._commit,
            seconds=self._seconds,
            last=dict(self._last),
            lineage=self._lineage,
            start=self._start,
        )

    def step(self, step: Step) -> tuple[list[Violation], list[Record[Release]]]:
        """Check the next commit. Return the violations in the commit, and the releases that it records."""
        files = list(self._record_files(step))
        found = [each.record for each in files if each.record is not None]
        releases = [cast("Record[Release]", record) for record in found if isinstance(record.body, Release)]
        self.commits += 1
        self.records += len(files)
        self.releases += len(releases)
        vouched = {record.envelope.verified_head for record in found} - {None}
        self.vouches = bool(vouched) and vouched == set(step.parents)
        violations = list(self._violations(step, files))
        self._commit, self._seconds = step.commit, step.seconds
        return violations, releases

    def _violations(self, step: Step, files: Sequence[RecordFile]) -> Iterator[Violation]:
        records = [each.record for each in files if each.record is not None and each.problem is None]
        added = {change.path: change for change in step.changes if change.letter == "A"}
        yield from self._order(step)
        yield from append_only_violations(step)
        yield from _misplaced_files(step, added)
        yield from self._format(step, added)
        yield from (each.problem for each in files if each.problem is not None)
        yield from self._chain(step, files)
        yield from self._entries.violations(step, self._commit, added, files)
        yield from self._time(step, records)
        yield from self._healthy_at_most_once(step, records)
        for record in records:
            yield from self._lineage.violations(step, record)
            self._lineage = self._lineage.with_record(record)
        yield from self._signature(step)

    def rest(self) -> Iterator[Violation]:
        """Yield the violations that are certain only after the last commit."""
        yield from self._entries.rest()
        if not self._any_signed:
            yield from map(_unsigned, self._unsigned)

    @property
    def unsigned_before(self) -> int:
        """Return the number of commits before the first signed commit."""
        return len(self._unsigned) if self._any_signed else 0

    # the commit

    def _order(self, step: Step) -> Iterator[Violation]:
        if len(step.parents) > 1:
            others = ", ".join(step.parents[1:])
            yield commit_violation(step, "merge", f"it also has the parent {others}", "one parent")
        parent = step.parents[0] if step.parents else None
        try:
            is_cut = parent is None and has_parent(self._git, step.commit)
        except ReleaseError as error:
            yield commit_violation(step, "damaged", error.found, _WHOLE)
            return
        if is_cut:
            raise LedgerShallow(
                "prove the ledger from its first commit",
                f"this clone's history begins at {step.commit}, which has a parent",
                "fetch the rest: git fetch --unshallow",
            )
        if parent != self._commit:
            found = f"its parent is {parent or 'missing'}"
            yield commit_violation(step, "history-cut", found, f"the parent {self._commit}")

    def _format(self, step: Step, added: dict[str, Change]) -> Iterator[Violation]:
        """Yield a violation unless the first commit, and no other, adds `format`."""
        change = added.get(layout.FORMAT_PATH)
        expected = f"release-ledger {SCHEMA}"
        if self._commit is not None:
            if change is not None:
                yield change_violation(step, change, "format", "it comes again", "only in the first commit")
            return
        if change is None:
            found = "the first commit has no such file"
            yield commit_violation(step, "format", found, expected, layout.FORMAT_PATH)
            return
        content = self._content(change.object) or b""
        version = layout.format_version(content)
        if version is None or content != f"release-ledger {version}\n".encode():
            yield change_violation(step, change, "format", text_of(content), expected)
        elif version.partition(".")[0] != SCHEMA.partition(".")[0]:
            found = f"the ledger has the format {version}, but this library reads {SCHEMA}"
            raise LedgerError("prove the ledger", found, "upgrade the release library")

    def _time(self, step: Step, records: Sequence[Record[Body]]) -> Iterator[Violation]:
        """Yield a violation if a commit's time is not a record's time, or is before its parent's time."""
        before = self._seconds
        if before is not None and step.seconds < before:
            yield commit_violation(step, "commit-time", _moment(step.seconds), f"{_moment(before)} or later")
            return
        known = {_seconds(record.envelope.recorded_at) for record in records} | {before}
        if records and step.seconds not in known:
            times = sorted(seconds for seconds in known if seconds is not None)
            expected = " or ".join(map(_moment, times))
            yield commit_violation(step, "commit-time", _moment(step.seconds), expected)

    def _signature(self, step: Step) -> Iterator[Violation]:
        signers, signature = self._signers, step.signature
        if signers is None:
            return
        try:
            is_unsigned = signature.letter == "N" and not is_signed(self._git, step.commit)
        except ReleaseError as error:
            yield commit_violation(step, "damaged", error.found, _WHOLE)
            return
        if is_unsigned:
            if self._any_signed or self._all_signed:
                yield _unsigned(step.commit)
            else:
                self._unsigned.append(step.commit)
            return
        self._any_signed = True
        if not signers.allow(signature):
            kind = "bad-signature" if signature.letter == "B" else "unknown-signer"
            yield commit_violation(step, kind, signers.found(signature), "a signature of an allowed signer")

    # records

    def _record_files(self, step: Step) -> Iterator[RecordFile]:
        """Return the record files that the commit adds, sorted by service and number; damaged files last."""
        found = [
            read_record_file(step, change, match["id"], self._content(change.object))
            for change in step.changes
            if change.letter == "A" and change.mode.startswith("100")
            for match in [_RECORD.fullmatch(change.path)]
            if match is not None
        ]
        yield from sorted(found, key=lambda each: each.place[:2])

    def _chain(self, step: Step, files: Sequence[RecordFile]) -> Iterator[Violation]:
        """Yield violations of numbers and predecessors. Continue with the values that were found."""
        for each in files:
            service, seq, prev = each.place
            if seq == 0:
                continue
            path = layout.record_path(each.id)
            number, before = self._last.get(service, (0, None))
            if seq != number + 1:
                kind = "seq-gap" if seq > number + 1 else "seq-repeated"
                found, expected = (f"{service} number {count}" for count in (seq, number + 1))
                yield commit_violation(step, kind, found, expected, path)
            if prev != before:
                expected = before or "none, as it is the first"
                yield commit_violation(step, "prev", prev or "none", expected, path)
            self._last[service] = (seq, each.id)

    def _healthy_at_most_once(self, step: Step, records: Collection[Record[Body]]) -> Iterator[Violation]:
        """Yield a violation if a deployment is recorded healthy a second time."""
        for record in records:
            body, service = record.body, record.envelope.service
            if not isinstance(body, Deployment) or body.status != "healthy":
                continue
            key = f"{service}/{body.deployment}"
            if key in self._healthy or (self._root is not None and self._healthy_before(service, body)):
                found = f"the deployment {body.deployment} was healthy before"
                yield commit_violation(step, "healthy-twice", found, "one end", layout.record_path(record.id))
            self._healthy.add(key)

    def _healthy_before(self, service: str, body: Deployment) -> bool:
        """Return whether the tree at the audit's first commit has the deployment as healthy."""
        trees, folder = Trees(self._git), layout.deployment_folder(service, body.deployment)
        tree = trees.tree_of(self._root or "")
        for name in trees.names(tree, folder):
            if name.startswith(f"{body.deployment}-"):
                path = layout.record_path(text_of(trees.read(tree, f"{folder}/{name}") or b""))
                found = parse(trees.read(tree, path) or b"", path).body
                if isinstance(found, Deployment) and found.status == "healthy":
                    return True
        return False

    def _content(self, name: str) -> bytes | None:
        """Return the content of a git blob; None if the blob is missing or damaged."""
        try:
            found = self._git.object(name) if "\n" not in name else None
        except ReleaseError:
            return None
        return found[1] if found is not None and found[0] == "blob" else None


def _misplaced_files(step: Step, added: dict[str, Change]) -> Iterator[Violation]:
    """Yield a violation for each file outside the layout of a ledger."""
    for path, change in added.items():
        if path != layout.FORMAT_PATH and not path.startswith(INDEX) and not _RECORD.fullmatch(path):
            expected = "only records, indexes and `format`"
            yield change_violation(step, change, "foreign-path", "a file", expected)


def _unsigned(commit: str) -> Violation:
    return Violation(
        kind="unsigned",
        commit=commit,
        path="",
        found="no signature",
        expected="a signature of an allowed signer",
    )


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


def _moment(seconds: int) -> str:
    """Return a commit's time as text."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, OSError, ValueError):
        return f"{seconds} seconds after 1970"
