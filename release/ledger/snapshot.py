"""The commit that a ledger is read from: the last one that is proven, and its tree."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from release.errors import LedgerError, LedgerRewritten, LedgerShallow, LedgerUnproven, NotALedger
from release.git import Git
from release.ledger import layout
from release.ledger.audit import Before
from release.ledger.branch import Branch
from release.ledger.proof import Proved, Prover
from release.ledger.tree import Trees
from release.records import SCHEMA, Body, Record, parse


class Snapshot:
    """A ledger's branch as far as it is proven, read by path."""

    def __init__(self, git: Git, branch: Branch, prover: Prover) -> None:
        """Look at nothing yet: `look` does."""
        self._branch = branch
        self._prover = prover
        self._trees = Trees(git)
        self._tip: str | None = None
        self._tree: str | None = None
        self.head: str | None = None
        """The commit that is read from; None for an empty ledger."""
        self.seconds = 0
        """Time of the newest record, in seconds of Unix time."""
        self.unproven: LedgerUnproven | LedgerRewritten | None = None
        """Reason why the ledger is read up to its verified head only; None if that is its last commit."""
        branch.believe(self._is_proven)

    @property
    def state(self) -> Before:
        """The rules' state after the commits that are proven."""
        return self._prover.state

    def look(self) -> None:
        """Read from where the branch stands in this clone now; no remote is asked. Raises LedgerError."""
        self._look_at(self._branch.head())

    def refresh(self, seconds: float | None = None) -> None:
        """Ask the remote first. Raises as `Branch.refresh`."""
        self._look_at(self._branch.refresh(seconds))

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
            self.head = self._tree = None
            if tip is not None:  # nothing of it is proven: it may be no ledger at all
                self._check_format(self._trees.tree_of(tip))
            return
        self.seconds, self.head = self._prover.state.seconds or 0, head
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

    def extend(self, base: str | None, commit: str, seconds: int, records: Sequence[Record[Body]]) -> None:
        """Take a commit that this process made on a proven one as proven."""
        self._prover.extend(base, commit, seconds, records)

    def grown(self, files: Mapping[str, bytes]) -> str:
        """Write a tree that has these files more, and return it; a new ledger gets its format too."""
        first = {layout.FORMAT_PATH: layout.FORMAT} if self._tree is None else {}
        return self._trees.grown(self._tree, first | dict(files))

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
