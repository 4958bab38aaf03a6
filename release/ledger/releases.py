"""Releases of a service: by version, digest or commit, or all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from release.errors import LedgerError
from release.ledger import layout
from release.ledger.index_reader import newest_first, record_at, record_if_at
from release.ledger.store import Ledger
from release.records import Body, Record, Release


def release_of_version(ledger: Ledger, service: str, version: str) -> Record[Release] | None:
    """Return the release of exactly this version; None if there is none."""
    return _release_at(ledger, layout.version_entry_path(service, version))


def release_of_digest(ledger: Ledger, service: str, digest: str) -> Record[Release] | None:
    """Return the release with this digest (`sha256:` and 64 digits); None if there is none."""
    return _release_at(ledger, layout.digest_entry_path(service, digest.removeprefix("sha256:")))


def _release_at(ledger: Ledger, path: str) -> Record[Release] | None:
    found = record_if_at(ledger, path)
    return as_release(found) if found is not None else None


def release_of_commit(ledger: Ledger, service: str, commit: str) -> Record[Release] | None:
    """Return the newest release of a commit (full id); None if there is none."""
    found = records_in(ledger, layout.commit_folder(service, commit), commit)
    return max(map(as_release, found), key=seq_of, default=None)


def releases(ledger: Ledger, service: str) -> Iterator[Record[Release]]:
    """Yield all releases, last appended first."""
    for path in newest_first(ledger, layout.seq_folder(service), depth=2):
        if path.endswith(f"-{Release.kind}"):
            yield as_release(record_at(ledger, path))


def versions(ledger: Ledger, service: str) -> tuple[str, ...]:
    """Return all released versions, in any order, without reading records."""
    folder = layout.version_folder(service)
    return tuple(version for major in ledger.names(folder) for version in ledger.names(f"{folder}/{major}"))


# for the other questions


def release_record(ledger: Ledger, record: str) -> Record[Release]:
    """Return the release with this record id. Raise LedgerError for a missing record or another kind."""
    return as_release(ledger.record(record))


def as_release(record: Record[Body]) -> Record[Release]:
    """Return the record, typed as a release. Raise LedgerError for another kind."""
    if not isinstance(record.body, Release):
        raise wrong_kind_error(record, Release.kind)
    return cast("Record[Release]", record)


def wrong_kind_error(record: Record[Body], kind: str) -> LedgerError:
    """Return the error for an index entry that names a record of another kind."""
    found = f"the index has it as a {kind}, but it is a {record.envelope.kind}"
    return LedgerError(f"read the record {record.id}", found, "prove the ledger: invoke verify --ledger")


def seq_of(record: Record[Release]) -> int:
    """Return the number of a record, as a sort key."""
    return record.envelope.seq


def records_in(ledger: Ledger, folder: str, prefix: str) -> Iterator[Record[Body]]:
    """Yield the records in a folder whose names begin with `prefix`. Raise as `record_at`."""
    for name in ledger.names(folder):
        if name.startswith(prefix):
            yield record_at(ledger, f"{folder}/{name}")


def readable(ledger: Ledger, paths: Iterable[str]) -> Iterator[Record[Body]]:
    """Yield the records of index entries. Skip unreadable records with a warning."""
    for path in ledger.snapshot.ahead(paths):
        try:
            yield record_at(ledger, path)
        except LedgerError as error:
            ledger.skip(path, error)
