"""The ledger as a git branch: append with compare-and-swap, read by path.

Layout and rules: docs/reference/ledger.md. Objects are written first and a reference moved last, so a writer
that dies leaves the ledger as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pydantic import TypeAdapter, ValidationError

from release.config import GitName, Slug
from release.errors import (
    LedgerError,
    LedgerRewritten,
    LedgerUnproven,
    LedgerUnreachable,
)
from release.events import ignore_text
from release.git.source import Source
from release.ledger.append import Appender
from release.ledger.branch import Branch
from release.ledger.events import Events
from release.ledger.git_objects import TagRequest, Writer
from release.ledger.outbox import Outbox
from release.ledger.proof import Policies, Prover
from release.ledger.record_numbering import Stamp
from release.ledger.snapshot import Snapshot
from release.ledger.verified_head import Memory
from release.programs.cancellation import Cancellation
from release.records import Actor, Body, Draft, Record, Release

_SLUG: Final = TypeAdapter[str](Slug)
_GIT_NAME: Final = TypeAdapter[str](GitName)


class Ledger:
    """Ledger of one repository."""

    def __init__(
        self,
        source: Source,
        branch: Branch,
        *,
        sign: bool,
        policies: Policies,
        tell: Callable[[str], None] = ignore_text,
    ) -> None:
        """Keep the arguments. Callers use `open`."""
        self._branch = branch
        signers = policies.policy.signers
        memory = Memory(source.git_dir, branch.remote, branch.name, policies.policy)
        prover = Prover(source.git, str(branch), memory, policies)
        self.snapshot = Snapshot(source.git, branch, prover)
        """Ledger up to its verified head."""
        writer = Writer(
            source.git, str(branch), sign=sign or signers is not None, signers=signers, memory=memory
        )
        self._appender = Appender(branch, self.snapshot, Stamp(policies=policies), writer)
        self._events = Events(self, Outbox(source.git_dir, tell), tell)
        self._tell = tell
        self.silence: LedgerUnreachable | None = None
        """Reason why the last refresh got no answer; None if the remote answered."""
        self.skipped: dict[str, str] = {}
        """Index entries with unreadable records, and the reasons. Lists of records skip these entries."""

    @classmethod
    def open(
        cls,
        source: Source,
        *,
        branch: str,
        remote: str | None,
        sign: bool = False,
        policies: Policies | None = None,
        tell: Callable[[str], None] = ignore_text,
    ) -> Ledger:
        """Open the ledger of a repository; an absent branch is an empty ledger.

        Args:
            source: the repository.
            branch: branch of the ledger.
            remote: git remote of the ledger; None: the ledger stays in this clone.
            sign: whether git signs each commit, as the committer's own git settings say.
            policies: conditions for the use of the ledger; required signatures also mean `sign`.
            tell: called with a sentence for each waiting event of another clone, which is moved away.

        Raises:
            NotALedger: the branch is not a ledger.
            LedgerError: the branch or remote has an impossible name, the remote does not exist, or the local
                and the server's branch diverged.
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
        """Return the commit that the ledger is read from; None for an empty ledger."""
        return self.snapshot.head

    @property
    def unproven(self) -> LedgerUnproven | LedgerRewritten | None:
        """Return the reason why commits after the verified head are not read; None if there are none."""
        return self.snapshot.unproven

    @property
    def remote(self) -> str | None:
        """Return the git remote of the ledger; None if the ledger stays in this clone."""
        return self._branch.remote

    def __str__(self) -> str:
        """Return the branch as git writes it: `origin/release-ledger`, or the branch name alone."""
        return str(self._branch)

    def refresh(self, seconds: float | None = None) -> bool:
        """Fetch from the remote, if there is one. Return False if the remote does not answer.

        Args:
            seconds: time limit for all answers of the remote; None: a limit for each answer, which allows
                minutes for many commits.

        Raises:
            NotALedger: the branch is not a ledger.
            LedgerRewritten: the remote's branch was rewound or deleted.
        """
        self.silence = None
        try:
            self.snapshot.refresh(seconds)
        except LedgerUnreachable as error:
            self.silence = error
            self.snapshot.look()
        return self.silence is None

    def stay(self, error: LedgerRewritten) -> None:
        """Continue with the commits of this clone, though the server lost them. Appends are refused then."""
        self.snapshot.look()
        self.snapshot.unproven = self.snapshot.unproven or error

    def check_address(self) -> None:
        """Check that git fetches and pushes the same ledger.

        Raises:
            LedgerError: the addresses hold different ledgers.
            LedgerUnreachable: one of the addresses does not answer.
        """
        self._branch.check_address()

    def look_again(self) -> None:
        """Read from the present commit of the branch in this clone; ask no remote. Raise LedgerError."""
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
        """Add records in one commit, with the tag in the same atomic push: the commit point of a release.

        If a draft is recorded already (same version, digest and commit, or same event), the existing record
        is returned, and a missing tag is created. A cancellation ends the pause after another writer was
        faster; nothing is recorded then. `rebuilt`: these records begin a ledger that replaces a lost one.

        Returns:
            The records, in the order of the drafts.

        Raises:
            Cancelled: the command was cancelled in the pause.
            LedgerMissing: the ledger is lost, as the configuration or a git tag shows.
            VersionTaken: the version, the digest or the tag belongs to another release or commit.
            LedgerRejected: the server refuses the push. LedgerUnreachable: the server does not answer.
            LedgerError: other writers were faster for a minute, or git cannot read or write the clone.
        """
        _check_drafts(drafts, tag)
        return self._appender.append(drafts, tag, cancellation or Cancellation(), rebuilt=rebuilt)

    def add_index(self, missing: Callable[[], Mapping[str, bytes]], *, actor: Actor, at: str) -> int:
        """Add missing index files in one commit. Return the number of files.

        Args:
            missing: returns paths and contents; called again if another writer was faster.
            actor: actor of the commit.
            at: time of the commit (RFC 3339, UTC, milliseconds).

        Raise as `append`.
        """
        return self._appender.add_index(missing, actor, at)

    def restore_tag(self, request: TagRequest, record: Record[Release]) -> None:
        """Create the missing git tag of a recorded release again, in this clone and on the server.

        Raise VersionTaken if the tag is on another commit; LedgerRejected, LedgerUnreachable, LedgerError.
        """
        _check_drafts([], request)
        self._appender.restore_tag(request, record)

    # events

    def append_events(
        self, drafts: Sequence[Draft[Body]], *, publish: bool = True, keep: bool = True
    ) -> tuple[Record[Body], ...] | None:
        """Append events after the waiting ones. See `Events.append`."""
        return self._events.append(drafts, publish=publish, keep=keep)

    def unsynced(self) -> tuple[Draft[Body], ...]:
        """Return the events of this clone that are not in the ledger yet, oldest first."""
        return self._events.unsynced()

    def sync(self) -> int:
        """Publish the waiting events in one append. Return their number. Raise as `append`."""
        return len(self._events.published())

    def skip(self, path: str, error: LedgerError) -> None:
        """Note a record that cannot be read, and warn once for each path."""
        if path not in self.skipped:
            self._tell(f"the record at {path} is skipped: {error.found}")
            self.skipped[path] = error.found

    # reading, all on the head that `refresh` or `append` last saw

    def read(self, path: str) -> bytes | None:
        """Return the content of a file in the ledger; None if missing. Raise LedgerError if damaged."""
        return self.snapshot.read(path)

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the sorted names in a folder of the ledger; empty if the folder does not exist."""
        return self.snapshot.names(folder)

    def record(self, record: str) -> Record[Body]:
        """Return the record with this id. Raise LedgerError if the record is missing or damaged."""
        return self.snapshot.record(record)


def _check_names(branch: str, remote: str | None) -> None:
    for name in (branch, *([remote] if remote is not None else [])):
        _checked(_GIT_NAME, name, "use a name that `git check-ref-format` accepts")


def _check_drafts(drafts: Sequence[Draft[Body]], tag: TagRequest | None) -> None:
    """Raise LedgerError for names in drafts and tag that cannot be paths or references."""
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
