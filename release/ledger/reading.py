"""Reading a ledger by its index: a record is what the path of its entry says, or an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from release.errors import LedgerError
from release.ledger import layout
from release.records import Body, Record

_ID = re.compile(r"[0-9a-f]{64}")


class Reader(Protocol):
    """A ledger as it is read: `release.ledger.store.Ledger`."""

    def read(self, path: str) -> bytes | None:
        """One file."""

    def names(self, folder: str) -> tuple[str, ...]:
        """The names in a folder, sorted."""

    def record(self, record: str) -> Record[Body]:
        """One record by its id."""


def read_entry(ledger: Reader, path: str) -> str | None:
    """The record id in an index file; None when there is no such file. Raises LedgerError: no id in it."""
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
    """Number and id of a service's last record; 0 and None before the first. Three short listings."""
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
    """Return the record that an index entry names; None if there is no such entry. Raises as `record_at`."""
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
    """Paths of the files below a folder, by falling name, read as they are asked for.

    Args:
        ledger: where they are.
        folder: below it.
        depth: so many levels of folders lie between.
        limit: where given, a path; what comes after it is passed over by its name.
    """
    for name in reversed(ledger.names(folder)):
        path = f"{folder}/{name}"
        if limit and path > limit and not limit.startswith(f"{path}/"):
            continue
        if depth == 0:
            yield path
        else:
            yield from newest_first(ledger, path, depth=depth - 1, limit=limit)
