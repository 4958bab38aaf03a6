"""Commit that a ledger is read from: the verified head, and its tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from release.errors import LedgerError, LedgerRewritten, LedgerShallow, LedgerUnproven, NotALedger
from release.git.runner import Git
from release.ledger import layout
from release.ledger.audit import LedgerState
from release.ledger.branch import Branch
from release.ledger.commit_stream import DEPTHS, oldest_here
from release.ledger.contents import Contents
from release.ledger.proof import Proved, Prover
from release.ledger.shallow_clone import index_paths_to_prefetch, record_paths
from release.ledger.tree import Trees
from release.records import SCHEMA, Body, Record

_BULK: Final = 100
"""Number of records in one fetch request."""


class Snapshot:
    """Ledger up to its verified head, read by path."""

    def __init__(self, git: Git, branch: Branch, prover: Prover) -> None:
        """Keep the arguments; `look` reads the branch."""
        self._branch = branch
        self._prover = prover
        self._git = git
        self._trees = Trees(git)
        self._tip: str | None = None
        self._contents = Contents(self._trees, None, str(branch))
        self.head: str | None = None
        """The commit that is read from; None for an empty ledger."""
        self.seconds = 0
        """Time of the newest record, in seconds of Unix time."""
        self.unproven: LedgerUnproven | LedgerRewritten | None = None
        """Reason why commits after the verified head are not read; None if there are none."""
        branch.believe(self._is_proven)

    @property
    def state(self) -> LedgerState:
        """Return the rules' state at the verified head."""
        return self._prover.state

    def look(self) -> None:
        """Read from the present commit of the branch in this clone; ask no remote. Raise LedgerError."""
        self._look_at(self._branch.head())

    def refresh(self, seconds: float | None = None) -> None:
        """Fetch from the remote, then read from the newest commit. Raise as `Branch.refresh`."""
        self._look_at(self._branch.refresh(seconds))

    def _look_at(self, tip: str | None) -> None:
        """Read from this commit, or from the last proven commit before it. Raise as `Prover.prove`."""
        if tip is not None and tip == self._tip:
            return
        if tip is None and self._branch.remote is None:
            self._refuse_deleted()
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
            self.head, self._contents = None, self._contents_of(None)
            if tip is not None:  # nothing of it is proven: it may be no ledger at all
                self._check_format(self._trees.tree_of(tip))
            return
        self.seconds, self.head = self._prover.state.seconds or 0, head
        tree = self._trees.tree_of(head)
        self._check_format(tree)
        self._contents = self._contents_of(tree)
        if self._branch.verified != head:
            self._branch.advance(head)

    def _proved(self, tip: str | None) -> Proved:
        """Prove the ledger up to a commit. A shallow or partial clone fetches missing objects first."""
        if tip is not None and self._branch.verified is None:
            self._fetch_files(tip)
        depths = iter(DEPTHS[1:])
        while True:
            try:
                return self._prover.prove(tip, self._branch.verified)
            except LedgerShallow:
                depth = next(depths, None) if self._prover.policy.tip else None
                if depth is None:
                    self._branch.complete(tip or "")
                    break
                self._branch.deepen(depth)
        self._prover.prove_whole()
        return self._prover.prove(tip, self._branch.verified)

    def _refuse_deleted(self) -> None:
        """Raise LedgerRewritten if this clone had a ledger of its own, and its branch was deleted."""
        last = self._branch.verified
        if last is not None and self._git.run("cat-file", "-e", f"{last}^{{commit}}").status == 0:
            raise LedgerRewritten(
                f"read the ledger {self._branch}",
                f"this clone proved the ledger up to {last}, but the branch does not exist any more",
                f"restore it: git branch {self._branch.name} {last}",
                seen=last,
                now=None,
            )

    def complete(self) -> None:
        """Fetch and prove the whole ledger, if this clone has only the newest commits. Raise as `look`."""
        if self._tip is not None and self._prover.state.start is not None:
            self._branch.complete(self._tip)
            self._prover.prove_whole()
            tip, self._tip = self._tip, None
            self._look_at(tip)

    def _contents_of(self, tree: str | None) -> Contents:
        return Contents(self._trees, tree, str(self._branch))

    def _fetch_files(self, tip: str) -> None:
        """Fetch the files that the first fetch left out: those that are read soon, or all files."""
        if not self._prover.policy.tip or oldest_here(self._git, tip) is None:
            self._branch.fill(tip)
            return
        tree = self._trees.tree_of(tip)
        contents = self._contents_of(tree)
        entries = index_paths_to_prefetch(contents, self._prover.policy.home.services)
        self._branch.bring(tree, (layout.FORMAT_PATH, *entries))
        with suppress(LedgerError):  # the proof finds what is wrong with an entry
            self._branch.bring(tree, record_paths(contents, entries))

    def ahead(self, paths: Iterable[str]) -> Iterator[str]:
        """Yield the same paths of index entries. Fetch in bulk the records that this clone lacks."""
        tree = self._contents.tree
        if self._prover.state.start is None or tree is None:
            yield from paths
            return
        rest = iter(paths)
        while chunk := tuple(islice(rest, _BULK)):
            with suppress(LedgerError):  # who reads them meets the same error, and names the record
                self._branch.bring(tree, chunk)
                self._branch.bring(tree, record_paths(self._contents, chunk))
            yield from chunk

    def _is_proven(self, commit: str) -> bool:
        """Return whether a commit, which the server lost, passes the proof."""
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
                f"the ledger has the format {version}, but this library reads {SCHEMA}",
                "upgrade the release library",
            )

    def extend(self, base: str | None, commit: str, seconds: int, records: Sequence[Record[Body]]) -> None:
        """Make `commit` the verified head, because this process made it on a proven commit."""
        self._prover.extend(base, commit, seconds, records)

    def grown(self, files: Mapping[str, bytes]) -> str:
        """Write a tree with additional files, and return its id. A new ledger also gets `format`."""
        tree = self._contents.tree
        first = {layout.FORMAT_PATH: layout.FORMAT} if tree is None else {}
        return self._trees.grown(tree, first | dict(files))

    def read(self, path: str) -> bytes | None:
        """Return the content of a file in the ledger; None if missing. Raise LedgerError if damaged."""
        return self._contents.read(path)

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the sorted names in a folder of the ledger; empty if the folder does not exist."""
        return self._contents.names(folder)

    def record(self, record: str) -> Record[Body]:
        """Return the record with this id. Raise LedgerError if the record is missing or damaged."""
        return self._contents.record(record)
