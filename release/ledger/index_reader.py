"""Reads records through index entries. A record that contradicts the entry's path is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from release.errors import LedgerError
from release.ledger import layout
from release.records import Body, Record

_ID = re.compile(r"[0-9a-f]{64}")


class Reader(Protocol):
    """Read access to a ledger, as `release.ledger.store.Ledger` gives."""

    def read(self, path: str) -> bytes | None:
        """Return the content of a file."""

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the sorted names in a folder."""

    def record(self, record: str) -> Record[Body]:
        """Return a record by its id."""


def read_entry(ledger: Reader, path: str) -> str | None:
    """Return the record id in an index file; None if it is missing. Raise LedgerError without an id."""
    content = ledger.read(path)
    if content is None:
        return None
    found = content.decode("utf-8", "replace").removesuffix("\n")
    if not _ID.fullmatch(found):
        raise LedgerError(
            f"read the index entry {path} of the ledger",
            "the index entry holds no record id",
            "prove the ledger: invoke verify --ledger",
        )
    return found


def last_record(ledger: Reader, service: str) -> tuple[int, str | None]:
    """Return number and id of a service's last record; 0 and None if there is no record."""
    folder = layout.seq_folder(service)
    for _ in range(3):
        names = ledger.names(folder)
        if not names:
            return 0, None
        folder = f"{folder}/{names[-1]}"
    number = folder.rpartition("/")[2].partition("-")[0]
    return int(number), read_entry(ledger, folder)


def record_at(ledger: Reader, path: str) -> Record[Body]:
    """Return the record that an index entry names. The path comes from a listing.

    Raises:
        LedgerError: the entry or the record cannot be read, or the record is not what the path says: its
            service, kind, environment, release, status, version, digest, commit, number or time differs.
    """
    found = record_if_at(ledger, path)
    assert found is not None  # noqa: S101 - see above
    return found


def record_if_at(ledger: Reader, path: str) -> Record[Body] | None:
    """Return the record that an index entry names; None if there is no entry. Raise as `record_at`."""
    found = read_entry(ledger, path)
    if found is None:
        return None
    record = ledger.record(found)
    if not layout.implies(record, path):
        raise LedgerError(
            f"read the index entry {path} of the ledger",
            f"the index entry names the record {found}, which contradicts the path",
            "prove the ledger: invoke verify --ledger",
        )
    return record


def newest_first(ledger: Reader, folder: str, *, depth: int, limit: str = "") -> Iterator[str]:
    """Yield the paths of the files below a folder, by descending name.

    Args:
        ledger: ledger with the folder.
        folder: folder to list.
        depth: number of folder levels between `folder` and the files.
        limit: path; greater paths are skipped.
    """
    for name in reversed(ledger.names(folder)):
        path = f"{folder}/{name}"
        if limit and path > limit and not limit.startswith(f"{path}/"):
            continue
        if depth == 0:
            yield path
        else:
            yield from newest_first(ledger, path, depth=depth - 1, limit=limit)
