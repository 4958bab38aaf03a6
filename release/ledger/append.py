"""Appends to a ledger: objects first, a reference last. If another writer was faster, append again."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from release.errors import LedgerError, VersionTaken
from release.ledger.branch import Branch
from release.ledger.git_objects import TagRequest, Writer, commit_message, git_seconds
from release.ledger.record_numbering import Placing, Stamp
from release.ledger.ref_updates import Move, Tag, pause_for_other_writers
from release.ledger.snapshot import Snapshot
from release.programs.cancellation import Cancellation
from release.records import Actor, Body, Draft, Record, Release

T = TypeVar("T")

LIMIT_SECONDS: Final = 60.0
"""Limit for an append against other writers."""

_BULK: Final = 3
_BULK_SECONDS: Final = 10.0
"""So many appends in so short a time are bulk work, which can wait; a deployment makes two."""


class Appender:
    """The writer of one ledger in one process."""

    def __init__(self, branch: Branch, snapshot: Snapshot, stamp: Stamp, writer: Writer) -> None:
        """Keep the arguments; write nothing."""
        self._branch = branch
        self._snapshot = snapshot
        self._stamp = stamp
        self._writer = writer
        self._written_at = 0
        self._landings: deque[float] = deque(maxlen=_BULK)
        self._lost_at: float | None = None

    def append(
        self,
        drafts: Sequence[Draft[Body]],
        tag: TagRequest | None,
        cancellation: Cancellation,
        *,
        rebuilt: bool = False,
    ) -> tuple[Record[Body], ...]:
        """Append records, and return the records. See `Ledger.append`."""
        return self._won(lambda: self._attempt(drafts, tag), cancellation, begins=rebuilt)

    def add_index(self, missing: Callable[[], Mapping[str, bytes]], actor: Actor, at: str) -> int:
        """Add index files and return their number. See `Ledger.add_index`."""

        def attempt() -> int | None:
            files = missing()
            if not files:
                return 0
            commit = self._commit(files, f"{len(files)} index entries rebuilt from the records\n", actor, at)
            return (
                len(files)
                if self._landed(Move(base=self._snapshot.head, commit=commit, tag=None), ())
                else None
            )

        return self._won(attempt, Cancellation())

    def _won(
        self, attempt_once: Callable[[], T | None], cancellation: Cancellation, *, begins: bool = False
    ) -> T:
        """Return the result of the first attempt that wins. Raise LedgerError after a minute."""
        deadline = time.monotonic() + LIMIT_SECONDS
        self._snapshot.look()
        if self._snapshot.head is None:
            self._snapshot.refresh()
        if self._snapshot.head is None and self._snapshot.unproven is None and not begins:
            self._stamp.policies.policy.home.check_beginning(str(self._branch))
        self._let_others_in()
        for attempt in itertools.count():
            if self._snapshot.unproven is not None:
                raise self._snapshot.unproven
            begin = time.monotonic()
            landed = attempt_once()
            if landed is not None:
                return landed
            self._lost_at = time.monotonic()
            if self._lost_at > deadline:
                break
            pause_for_other_writers(attempt, self._lost_at - begin, cancellation.pause)
            self._snapshot.look()
        raise LedgerError(
            f"append to the ledger {self._branch}",
            f"other writers were faster for {LIMIT_SECONDS:g} s",
            "nothing was recorded; run the command again",
        )

    def _attempt(
        self, drafts: Sequence[Draft[Body]], tag: TagRequest | None
    ) -> tuple[Record[Body], ...] | None:
        """Return the records after one attempt on the present head; None if another writer was faster."""
        placing = Placing(self._snapshot, self._stamp.on(self._snapshot.state))
        records = tuple(placing.place(draft) for draft in drafts)
        wanted = self._wanted(tag, records[0], again=not placing.new) if tag is not None and records else None
        commit = self._recorded(placing) if placing.new else None
        if commit is None and wanted is None:
            return records
        return (
            records
            if self._landed(Move(base=self._snapshot.head, commit=commit, tag=wanted), placing.new)
            else None
        )

    def _move(self, commit: str | None, tag: Tag | None) -> Move:
        return Move(base=self._snapshot.head, commit=commit, tag=tag)

    def _landed(self, move: Move, records: Sequence[Record[Body]] = ()) -> bool:
        """Publish the move and return whether it landed. If it landed, read the ledger from its commit."""
        if not self._branch.publish(move):
            return False
        self._landings.append(time.monotonic())
        if move.commit is not None:
            self._snapshot.extend(move.base, move.commit, self._written_at, records)
        self._snapshot.look()
        return True

    def _let_others_in(self) -> None:
        """Wait, so that other writers can append too."""
        since = time.monotonic() - _BULK_SECONDS
        busy = len(self._landings) == _BULK and self._landings[0] > since
        if busy and self._lost_at is not None and self._lost_at > since:
            pause_for_other_writers(2, 0.1, time.sleep)

    def _recorded(self, placing: Placing) -> str:
        """Write a commit of the new records, with actor and time of the last record. Return the commit id."""
        last = placing.new[-1].envelope
        message = commit_message(placing.new, self._snapshot)
        return self._commit(placing.files, message, last.actor, last.recorded_at)

    def _commit(self, files: Mapping[str, bytes], message: str, actor: Actor, moment: str) -> str:
        """Write blobs, trees and the commit, and return the commit id. Move no reference."""
        tree = self._snapshot.grown(files)
        self._written_at = max(self._snapshot.seconds, git_seconds(moment))
        return self._writer.commit(tree, self._snapshot.head, message, actor, self._written_at)

    def restore_tag(self, request: TagRequest, record: Record[Release]) -> None:
        """Create a missing tag again. See `Ledger.restore_tag`."""

        def attempt() -> bool | None:
            tag = self._wanted(request, record, again=False)
            landed = tag is None or self._landed(self._move(None, tag))
            return True if landed else None

        self._won(attempt, Cancellation())

    def _wanted(self, request: TagRequest, record: Record[Body], *, again: bool) -> Tag | None:
        """Return the tag to push with the record. Raise VersionTaken if the tag is on another commit.

        A local tag is pushed again with a new record, because somebody may have created it by hand.
        """
        known = self._branch.tag(request.name)
        if known is None:
            return Tag(name=request.name, commit=request.commit, object=self._writer.tag(request, record))
        oid, commit = known
        if commit != request.commit:
            raise VersionTaken(
                f"make the git tag {request.name} on commit {request.commit}",
                f"this clone has a tag of this name on commit {commit}",
                f"show the tag: git show {request.name}; then release another version, or, if "
                f"the tag is a mistake: git tag -d {request.name}",
            )
        if again or self._branch.remote is None:
            return None
        return Tag(name=request.name, commit=commit, object=oid)
