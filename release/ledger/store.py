"""The ledger as a git branch: append with compare-and-swap, read by path.

Layout and rules: docs/reference/ledger.md. Objects are written first and a reference moved last, so a writer
that dies leaves the ledger as it was.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from release.cancellation import Cancellation
from release.config import GitName, Slug
from release.errors import (
    LedgerError,
    LedgerRewritten,
    LedgerShallow,
    LedgerUnproven,
    LedgerUnreachable,
    NotALedger,
    VersionTaken,
)
from release.ledger import layout
from release.ledger.branch import Branch
from release.ledger.events import Events
from release.ledger.memory import Memory
from release.ledger.moves import Move, Tag, give_way
from release.ledger.outbox import Outbox
from release.ledger.placing import Placing, Stamp
from release.ledger.proof import Policies, Proved, Prover
from release.ledger.tree import Trees
from release.ledger.writer import TagRequest, Writer, message_of, seconds_of
from release.records import SCHEMA, Actor, Body, Draft, Record, Release, parse
from release.source import Source

T = TypeVar("T")

LIMIT_SECONDS: Final = 60.0
"""Limit for an append against other writers."""

_BULK: Final = 3
_BULK_SECONDS: Final = 10.0
"""So many appends in so short a time are bulk work, which can wait; a deployment makes two."""

_SLUG: Final = TypeAdapter[str](Slug)
_GIT_NAME: Final = TypeAdapter[str](GitName)


def _unheard(_text: str) -> None:
    """Tell it to no one."""


class Ledger:
    """The ledger of one repository."""

    def __init__(
        self,
        source: Source,
        branch: Branch,
        *,
        sign: bool,
        policies: Policies,
        tell: Callable[[str], None] = _unheard,
    ) -> None:
        """Use `open`."""
        self._sign = sign or policies.policy.signers is not None
        self._policies = policies
        self._branch = branch
        branch.believe(self._is_proven)
        memory = Memory(source.git_dir, branch.remote, branch.name, policies.policy)
        self._prover = Prover(source.git, str(branch), memory, policies)
        self._stamp = Stamp(policies=policies)
        self._trees = Trees(source.git)
        signers = policies.policy.signers
        self._writer = Writer(source.git, str(branch), sign=self._sign, signers=signers, memory=memory)
        self._events = Events(self, Outbox(source.git_dir, tell), tell)
        self._tell = tell
        self._tip: str | None = None
        self._head: str | None = None
        self._tree: str | None = None
        self._time = self._written_at = 0
        self._landings: deque[float] = deque(maxlen=_BULK)
        self._lost_at: float | None = None
        self.silence: LedgerUnreachable | None = None
        """Reason why the last refresh got no answer; None if it did."""
        self.skipped: dict[str, str] = {}
        """Index entries whose records could not be read, and why; who lists records went on without them."""
        self.unproven: LedgerUnproven | LedgerRewritten | None = None
        """Reason why the ledger is read up to its verified head only; None if that is its last commit."""

    @classmethod
    def open(
        cls,
        source: Source,
        *,
        branch: str,
        remote: str | None,
        sign: bool = False,
        policies: Policies | None = None,
        tell: Callable[[str], None] = _unheard,
    ) -> Ledger:
        """Open it; an absent branch is an empty ledger.

        Args:
            source: the repository.
            branch: its branch.
            remote: where it is pushed to; None keeps it here.
            sign: whether git signs each commit, as the committer's own git settings say.
            policies: what the ledger must fulfil to be believed; required signatures also mean `sign`.
            tell: called with a sentence for each waiting event that is not this clone's and is put aside.

        Raises:
            NotALedger: the branch holds something else.
            LedgerError: the branch or remote has an impossible name, there is no such remote, or the local
                branch and the server's have gone different ways.
        """
        _check_names(branch, remote)
        if remote is not None and source.remote_url(remote) is None:
            raise LedgerError(
                f"open the ledger {branch} of the git remote {remote}",
                "there is no such remote in this clone",
                f"add it: git remote add {remote} <address>, or change `ledger.remote`",
            )
        believed = policies or Policies()
        signed = believed.policy.signers is not None
        there = Branch(source.git, branch=branch, remote=remote, signed=signed)
        ledger = cls(source, there, sign=sign, policies=believed, tell=tell)
        ledger._look_at(ledger._branch.head())
        return ledger

    @property
    def head(self) -> str | None:
        """The commit that is read from; None for an empty ledger."""
        return self._head

    @property
    def remote(self) -> str | None:
        """The git remote that it is pushed to; None where it stays here."""
        return self._branch.remote

    def __str__(self) -> str:
        """As git writes the branch: `origin/release-ledger`, or the branch alone."""
        return str(self._branch)

    def refresh(self, seconds: float | None = None) -> bool:
        """Fetch from the remote, if there is one; False when it does not answer (what is here is read on).

        Args:
            seconds: how long the remote may take in all to say and send what it has; None: minutes, where
                it has much to send.

        Raises:
            NotALedger: the branch holds something else.
            LedgerError: the remote was rewound, or lost the branch.
        """
        self.silence = None
        try:
            self._look_at(self._branch.refresh(seconds))
        except LedgerUnreachable as error:
            self.silence = error
            self._look_at(self._branch.head())
        return self.silence is None

    def stay(self, error: LedgerRewritten) -> None:
        """Go on reading what this clone knows, though the server has lost it; nothing is appended then."""
        self._look_at(self._branch.head())
        self.unproven = self.unproven or error

    def check_address(self) -> None:
        """Refuse a remote that is read from one repository and pushed to another, before anything is built.

        Raises:
            LedgerError: the addresses hold different ledgers.
            LedgerUnreachable: one of them does not answer.
        """
        self._branch.check_address()

    def look_again(self) -> None:
        """Read from where the branch stands in this clone now; no remote is asked. Raises LedgerError."""
        self._look_at(self._branch.head())

    def _look_at(self, tip: str | None) -> None:
        """Read from this commit, or from the last one before it that is proven. Raises as `Prover.prove`."""
        if tip is not None and tip == self._tip:
            return
        try:
            proved = self._proved(tip)
        except LedgerRewritten:
            newest = self._branch.head()
            if newest == tip:
                raise
            self._look_at(newest)  # another process of this clone went on between two looks
            return
        self._tip, self.unproven, head = tip, proved.error, proved.head
        if head is None:
            self._head = self._tree = None
            if tip is not None:  # nothing of it is proven: it may be no ledger at all
                self._check_format(self._trees.tree_of(tip))
            return
        self._time, self._head = self._prover.state.seconds or 0, head
        self._tree = self._trees.tree_of(head)
        self._check_format(self._tree)
        if self._branch.verified != head:
            self._branch.advance(head)

    def _proved(self, tip: str | None) -> Proved:
        """Prove the ledger up to a commit; a shallow or partial clone fetches what it lacks first."""
        if tip is not None and self._branch.verified is None:
            self._branch.fill(tip)
        try:
            return self._prover.prove(tip, self._branch.verified)
        except LedgerShallow:
            self._branch.deepen()
            return self._prover.prove(tip, self._branch.verified)

    def _is_proven(self, commit: str) -> bool:
        """Return whether a commit would be proven, though the server does not have it any more."""
        return self._prover.prove(commit, self._branch.verified).head == commit

    def _check_format(self, tree: str) -> None:
        content = self._trees.read(tree, layout.FORMAT_PATH)
        version = layout.format_version(content) if content is not None else None
        attempted = f"open the ledger {self._branch}"
        if version is None:
            raise NotALedger(
                attempted,
                f"the branch exists, but is not a ledger: it has no file `{layout.FORMAT_PATH}`",
                "set another branch in `ledger.branch`",
            )
        if version.partition(".")[0] != SCHEMA.partition(".")[0]:
            raise LedgerError(
                attempted,
                f"its format is {version}, and this version reads {SCHEMA}",
                "upgrade the release library",
            )

    # appending

    def append(
        self,
        drafts: Sequence[Draft[Body]],
        *,
        tag: TagRequest | None = None,
        cancellation: Cancellation | None = None,
    ) -> tuple[Record[Body], ...]:
        """Add records in one commit, with the tag in the same atomic push. The commit point of a release.

        A release that is recorded already - same version, digest and commit - is given back as it was
        recorded; so is a deployment event. A tag that is missing then is made. A cancellation ends a pause
        after another writer came first: nothing has landed then.

        Returns:
            The records, in the order of the drafts.

        Raises:
            Cancelled: in such a pause.
            VersionTaken: the version, the digest or the tag is taken by something else.
            LedgerRejected: the server refuses. LedgerUnreachable: it does not answer.
            LedgerError: other writers kept winning for a minute, or the clone cannot be read or written.
        """
        _check_drafts(drafts, tag)
        return self._won(lambda: self._attempt(drafts, tag), cancellation or Cancellation())

    def add_index(self, missing: Callable[[], Mapping[str, bytes]], *, actor: Actor, at: str) -> int:
        """Add index files that the ledger lacks, in one commit; the number of files.

        Args:
            missing: reads this ledger and gives paths and contents; called again when others came first.
            actor: who signs the commit.
            at: the moment (RFC 3339, UTC, milliseconds).

        Raises as `append`.
        """

        def attempt() -> int | None:
            files = missing()
            if not files:
                return 0
            commit = self._commit(files, f"{len(files)} index entries rebuilt from the records\n", actor, at)
            return len(files) if self._landed(Move(base=self._head, commit=commit, tag=None), ()) else None

        return self._won(attempt, Cancellation())

    def _won(self, attempt_once: Callable[[], T | None], cancellation: Cancellation) -> T:
        """Attempt on the newest head until no other writer comes first. Raises LedgerError after a minute."""
        deadline = time.monotonic() + LIMIT_SECONDS
        self._look_at(self._branch.head())
        if self._head is None:
            self._look_at(self._branch.refresh())
        self._let_others_in()
        for attempt in itertools.count():
            if self.unproven is not None:
                raise self.unproven
            begin = time.monotonic()
            landed = attempt_once()
            if landed is not None:
                return landed
            self._lost_at = time.monotonic()
            if self._lost_at > deadline:
                break
            give_way(attempt, self._lost_at - begin, cancellation.pause)
            self._look_at(self._branch.head())
        raise LedgerError(
            f"append to the ledger {self._branch}",
            f"other writers were faster for {LIMIT_SECONDS:g} s",
            "nothing was recorded; run the command again",
        )

    def _attempt(
        self, drafts: Sequence[Draft[Body]], tag: TagRequest | None
    ) -> tuple[Record[Body], ...] | None:
        """Try once on the present head; None when another writer came first."""
        placing = Placing(self, self._stamp.on(self._prover.state))
        records = tuple(placing.place(draft) for draft in drafts)
        wanted = self._wanted(tag, records[0], again=not placing.new) if tag is not None and records else None
        commit = self._recorded(placing) if placing.new else None
        if commit is None and wanted is None:
            return records
        return (
            records if self._landed(Move(base=self._head, commit=commit, tag=wanted), placing.new) else None
        )

    def _landed(self, move: Move, records: Sequence[Record[Body]]) -> bool:
        """Return whether the move landed before another writer's; then it is read from."""
        if not self._branch.publish(move):
            return False
        self._landings.append(time.monotonic())
        if move.commit is not None:
            self._prover.extend(move.base, move.commit, self._written_at, records)
        self._look_at(self._branch.head())
        return True

    def _let_others_in(self) -> None:
        """Wait, so that other writers can append too: this one alone knows the newest head."""
        since = time.monotonic() - _BULK_SECONDS
        busy = len(self._landings) == _BULK and self._landings[0] > since
        if busy and self._lost_at is not None and self._lost_at > since:
            give_way(2, 0.1, time.sleep)

    def _recorded(self, placing: Placing) -> str:
        """A commit of the new records; the last one's actor and time are its own."""
        last = placing.new[-1].envelope
        message = message_of(placing.new, self)
        return self._commit(placing.files, message, last.actor, last.recorded_at)

    def _commit(self, files: Mapping[str, bytes], message: str, actor: Actor, moment: str) -> str:
        """Write blobs, trees and the commit; no reference moves."""
        first = {layout.FORMAT_PATH: layout.FORMAT} if self._tree is None else {}
        tree = self._trees.grown(self._tree, first | dict(files))
        self._written_at = max(self._time, seconds_of(moment))
        return self._writer.commit(tree, self._head, message, actor, self._written_at)

    def restore_tag(self, request: TagRequest, record: Record[Release]) -> None:
        """Make the git tag of a recorded release again, here and on the server, where it is missing.

        Raises VersionTaken: it stands on another commit; LedgerRejected, LedgerUnreachable, LedgerError.
        """
        _check_drafts([], request)

        def attempt() -> bool | None:
            tag = self._wanted(request, record, again=False)
            landed = tag is None or self._landed(Move(base=self._head, commit=None, tag=tag), ())
            return True if landed else None

        self._won(attempt, Cancellation())

    def _wanted(self, request: TagRequest, record: Record[Body], *, again: bool) -> Tag | None:
        """The tag that is to land with the record. Raises VersionTaken: it stands on another commit.

        A tag that is here lands once more on the server with a new record: somebody may have made it by hand.
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

    # events

    def append_event(self, draft: Draft[Body], *, publish: bool = True) -> Record[Body] | None:
        """Add one event, after those that wait; None when the remote does not answer. See `append_events`."""
        records = self.append_events([draft], publish=publish)
        return records[0] if records is not None else None

    def append_events(
        self, drafts: Sequence[Draft[Body]], *, publish: bool = True, keep: bool = True
    ) -> tuple[Record[Body], ...] | None:
        """Add deployment events and words, after those that wait: see `Events.append`."""
        return self._events.append(drafts, publish=publish, keep=keep)

    def unsynced(self) -> tuple[Draft[Body], ...]:
        """Events that are kept here and not yet in the ledger, oldest first."""
        return self._events.unsynced()

    def sync(self) -> int:
        """Publish what is unsynced, in one append; the number of events. Raises as `append`."""
        return len(self._events.published())

    def skip(self, path: str, error: LedgerError) -> None:
        """Note a record that cannot be read, and warn once."""
        if path not in self.skipped:
            self._tell(f"the record at {path} is skipped: {error.found}")
            self.skipped[path] = error.found

    # reading, all on the head that `refresh` or `append` last saw

    def read(self, path: str) -> bytes | None:
        """One file of the ledger's tree; None when it is not there. Raises LedgerError: damaged."""
        return self._trees.read(self._tree, path) if self._tree is not None else None

    def names(self, folder: str) -> tuple[str, ...]:
        """Names in a folder of the ledger's tree, sorted; empty when there is no such folder."""
        return self._trees.names(self._tree, folder) if self._tree is not None else ()

    def record(self, record: str) -> Record[Body]:
        """The record of this id. Raises LedgerError: absent, or damaged."""
        path = layout.record_path(record)
        content = self.read(path)
        hint = f"show its history: git log {self._branch} -- {path}"
        if content is None:
            raise LedgerError(
                f"read the record {path} of the ledger {self._branch}", "the branch has no such file", hint
            )
        found = hashlib.sha256(content).hexdigest()
        if found != record:
            raise LedgerError(
                f"read the record {path} of the ledger {self._branch}",
                f"it was edited: its content hashes to {found}",
                hint,
            )
        return parse(content, path)


def _check_names(branch: str, remote: str | None) -> None:
    for name in (branch, *([remote] if remote is not None else [])):
        _checked(_GIT_NAME, name, "use a name that `git check-ref-format` accepts")


def _check_drafts(drafts: Sequence[Draft[Body]], tag: TagRequest | None) -> None:
    """Names become paths and references: nothing odd gets in, wherever it comes from."""
    for draft in drafts:
        environment = getattr(draft.body, "environment", None)
        for name in (draft.service, environment if environment is not None else draft.service):
            _checked(_SLUG, name, "lower-case letters, digits and - between, at most 40")
    if tag is not None:
        _checked(_GIT_NAME, tag.name, "use a name that `git check-ref-format` accepts")


def _checked(rule: TypeAdapter[str], name: str, hint: str) -> None:
    try:
        rule.validate_python(name)
    except ValidationError as error:
        raise LedgerError(f"use the name {name!r} in the ledger", "the name is not allowed", hint) from error
