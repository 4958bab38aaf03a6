"""Files of a ledger at one commit, read by path."""

from __future__ import annotations

import hashlib

from release.errors import LedgerError
from release.ledger import layout
from release.ledger.tree import Trees
from release.records import Body, Record, parse


class Contents:
    """Tree of one commit of a ledger."""

    def __init__(self, trees: Trees, tree: str | None, name: str) -> None:
        """Keep the arguments. `tree`: None for an empty ledger. `name`: the ledger's name in messages."""
        self._trees = trees
        self._name = name
        self.tree = tree

    def read(self, path: str) -> bytes | None:
        """Return the content of a file; None if it is missing. Raise LedgerError if it is damaged."""
        return self._trees.read(self.tree, path) if self.tree is not None else None

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the sorted names in a folder; empty if the folder does not exist."""
        return self._trees.names(self.tree, folder) if self.tree is not None else ()

    def record(self, record: str) -> Record[Body]:
        """Return the record with this id. Raise LedgerError if the record is missing or damaged."""
        path = layout.record_path(record)
        content = self.read(path)
        hint = f"show its history: git log {self._name} -- {path}"
        if content is None:
            raise LedgerError(
                f"read the record {path} of the ledger {self._name}", "the branch has no such file", hint
            )
        found = hashlib.sha256(content).hexdigest()
        if found != record:
            raise LedgerError(
                f"read the record {path} of the ledger {self._name}",
                f"the file was edited: its content hashes to {found}",
                hint,
            )
        return parse(content, path)
