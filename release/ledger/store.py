"""The ledger as a git branch: append with compare-and-swap, read by path.

Layout and rules: docs/reference/ledger.md. Objects are written first and a reference moved last, so a writer
that dies leaves the ledger as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pydantic import TypeAdapter, ValidationError

from release.cancellation import Cancellation
from release.config import GitName, Slug
from release.errors import (
    LedgerError,
    LedgerRewritten,
    LedgerUnproven,
    LedgerUnreachable,
)
from release.ledger.appending import Appender
from release.ledger.branch import Branch
from release.ledger.events import Events
from release.ledger.memory import Memory
from release.ledger.outbox import Outbox
from release.ledger.placing import Stamp
from release.ledger.proof import Policies, Prover
from release.ledger.snapshot import Snapshot
from release.ledger.writer import TagRequest, Writer
from release.records import Actor, Body, Draft, Record, Release
from release.source import Source

_SLUG: Final = TypeAdapter[str](Slug)
_GIT_NAME: Final = TypeAdapter[str](GitName)


def _ignore(_text: str) -> None:
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
        tell: Callable[[str], None] = _ignore,
    ) -> None:
        """Use `open`."""
        self._branch = branch
        signers = policies.policy.signers
        memory = Memory(source.git_dir, branch.remote, branch.name, policies.policy)
        prover = Prover(source.git, str(branch), memory, policies)
        self.snapshot = Snapshot(source.git, branch, prover)
        """The ledger as far as it is proven, and what this clone has of it."""
        writer = Writer(
            source.git, str(branch), sign=sign or signers is not None, signers=signers, memory=memory
        )
        self._appender = Appender(branch, self.snapshot, Stamp(policies=policies), writer)
        self._events = Events(self, Outbox(source.git_dir, tell), tell)
        self._tell = tell
        self.silence: LedgerUnreachable | None = None
        """Reason why the last refresh got no answer; None if it did."""
        self.skipped: dict[str, str] = {}
        """Index entries whose records could not be read, and why; who lists records went on without them."""

    @classmethod
    def open(
        cls,
        source: Source,
        *,
        branch: str,
        remote: str | None,
        sign: bool = False,
        policies: Policies | None = None,
        tell: Callable[[str], None] = _ignore,
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
                f"add the remote: git remote add {remote} <address>, or change `ledger.remote`",
            )
        believed = policies or Policies()
        signed = believed.policy.signers is not None
        tip = believed.policy.tip
        there = Branch(source.git, branch=branch, remote=remote, signed=signed, tip=tip)
        ledger = cls(source, there, sign=sign, policies=believed, tell=tell)
        ledger.look_again()
        return ledger

    @property
    def head(self) -> str | None:
        """The commit that is read from; None for an empty ledger."""
        return self.snapshot.head

    @property
    def unproven(self) -> LedgerUnproven | LedgerRewritten | None:
        """Reason why the ledger is read up to its verified head only; None if that is its last commit."""
        return self.snapshot.unproven

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
            self.snapshot.refresh(seconds)
        except LedgerUnreachable as error:
            self.silence = error
            self.snapshot.look()
        return self.silence is None

    def stay(self, error: LedgerRewritten) -> None:
        """Go on reading what this clone knows, though the server has lost it; nothing is appended then."""
        self.snapshot.look()
        self.snapshot.unproven = self.snapshot.unproven or error

    def check_address(self) -> None:
        """Refuse a remote that is read from one repository and pushed to another, before anything is built.

        Raises:
            LedgerError: the addresses hold different ledgers.
            LedgerUnreachable: one of them does not answer.
        """
        self._branch.check_address()

    def look_again(self) -> None:
        """Read from where the branch stands in this clone now; no remote is asked. Raises LedgerError."""
        self.snapshot.look()

    # appending

    def append(
        self,
        drafts: Sequence[Draft[Body]],
        *,
        tag: TagRequest | None = None,
        cancellation: Cancellation | None = None,
        rebuilt: bool = False,
    ) -> tuple[Record[Body], ...]:
        """Add records in one commit, with the tag in the same atomic push. The commit point of a release.

        A release that is recorded already - same version, digest and commit - is given back as it was
        recorded; so is a deployment event. A tag that is missing then is made. A cancellation ends a pause
        after another writer came first: nothing has landed then. `rebuilt`: these records begin a
        ledger in the place of a lost one.

        Returns:
            The records, in the order of the drafts.

        Raises:
            Cancelled: in such a pause.
            LedgerMissing: the configuration or a git tag shows that there was a ledger; it is gone.
            VersionTaken: the version, the digest or the tag is taken by something else.
            LedgerRejected: the server refuses. LedgerUnreachable: it does not answer.
            LedgerError: other writers kept winning for a minute, or the clone cannot be read or written.
        """
        _check_drafts(drafts, tag)
        return self._appender.append(drafts, tag, cancellation or Cancellation(), rebuilt=rebuilt)

    def add_index(self, missing: Callable[[], Mapping[str, bytes]], *, actor: Actor, at: str) -> int:
        """Add index files that the ledger lacks, in one commit; the number of files.

        Args:
            missing: reads this ledger and gives paths and contents; called again when others came first.
            actor: who signs the commit.
            at: the moment (RFC 3339, UTC, milliseconds).

        Raises as `append`.
        """
        return self._appender.add_index(missing, actor, at)

    def restore_tag(self, request: TagRequest, record: Record[Release]) -> None:
        """Make the git tag of a recorded release again, here and on the server, where it is missing.

        Raises VersionTaken: it stands on another commit; LedgerRejected, LedgerUnreachable, LedgerError.
        """
        _check_drafts([], request)
        self._appender.restore_tag(request, record)

    # events

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
        return self.snapshot.read(path)

    def names(self, folder: str) -> tuple[str, ...]:
        """Names in a folder of the ledger's tree, sorted; empty when there is no such folder."""
        return self.snapshot.names(folder)

    def record(self, record: str) -> Record[Body]:
        """The record of this id. Raises LedgerError: absent, or damaged."""
        return self.snapshot.record(record)


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
