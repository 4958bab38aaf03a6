"""The ledger as a git branch: append with compare-and-swap, read by path.

Layout and rules: docs/reference/ledger.md. Objects are written first and a reference moved last, so a writer
that dies leaves the ledger as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from release.records import Body, Draft, Record
from release.source import Source


@dataclass(frozen=True, kw_only=True)
class TagRequest:
    """A git tag that lands together with a record, or not at all."""

    name: str
    commit: str
    message: str


class Ledger:
    """The ledger of one repository."""

    @classmethod
    def open(cls, source: Source, *, branch: str, remote: str | None) -> Ledger:
        """Open it; an absent branch is an empty ledger. Raises NotALedger."""
        raise NotImplementedError

    def refresh(self) -> bool:
        """Fetch from the remote, if there is one; False when it does not answer (reading goes on with what is here).

        Raises NotALedger, LedgerError: the remote was rewound.
        """
        raise NotImplementedError

    def append(self, drafts: Sequence[Draft[Body]], *, tag: TagRequest | None = None) -> tuple[Record[Body], ...]:
        """Add records in one commit, with the tag in the same atomic push. The commit point of a release.

        Raises VersionTaken, LedgerRejected, LedgerUnreachable, LedgerError.
        """
        raise NotImplementedError

    def append_event(self, draft: Draft[Body]) -> Record[Body] | None:
        """Add one deployment event; when the remote does not answer, keep it here as unsynced and return None."""
        raise NotImplementedError

    def unsynced(self) -> tuple[Draft[Body], ...]:
        """Events that are kept here and not yet in the ledger, oldest first."""
        raise NotImplementedError

    def sync(self) -> int:
        """Publish what is unsynced; the number of events published."""
        raise NotImplementedError

    # reading, all on the head that `refresh` or `append` last saw
    def read(self, path: str) -> bytes | None:
        """One file of the ledger's tree."""
        raise NotImplementedError

    def names(self, folder: str) -> tuple[str, ...]:
        """Names in a folder of the ledger's tree, sorted; empty when there is no such folder."""
        raise NotImplementedError

    def record(self, id: str) -> Record[Body]:
        """The record of this id. Raises LedgerError: absent or damaged."""
        raise NotImplementedError
