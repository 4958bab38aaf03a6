"""Which releases there are: by version, by commit, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from release.errors import LedgerError
from release.ledger import layout
from release.ledger.reading import newest_first, record_at, record_if_at
from release.ledger.store import Ledger
from release.records import Body, Record, Release


def release_of_version(ledger: Ledger, service: str, version: str) -> Record[Release] | None:
    """The release of exactly this version."""
    return _release_at(ledger, layout.version_entry_path(service, version))


def release_of_digest(ledger: Ledger, service: str, digest: str) -> Record[Release] | None:
    """The release of this whole digest, `sha256:` and 64 digits."""
    return _release_at(ledger, layout.digest_entry_path(service, digest.removeprefix("sha256:")))


def _release_at(ledger: Ledger, path: str) -> Record[Release] | None:
    found = record_if_at(ledger, path)
    return as_release(found) if found is not None else None


def release_of_commit(ledger: Ledger, service: str, commit: str) -> Record[Release] | None:
    """The newest release of this full commit id."""
    found = records_in(ledger, layout.commit_folder(service, commit), commit)
    return max(map(as_release, found), key=seq_of, default=None)


def releases(ledger: Ledger, service: str) -> Iterator[Record[Release]]:
    """All releases, last appended first."""
    for path in newest_first(ledger, layout.seq_folder(service), depth=2):
        if path.endswith(f"-{Release.kind}"):
            yield as_release(record_at(ledger, path))


def versions(ledger: Ledger, service: str) -> tuple[str, ...]:
    """All released versions, in any order, without reading a record."""
    folder = layout.version_folder(service)
    return tuple(version for major in ledger.names(folder) for version in ledger.names(f"{folder}/{major}"))


# for the other questions


def release_record(ledger: Ledger, record: str) -> Record[Release]:
    """The release with this record id. Raises LedgerError: the id is another record's, or nobody's."""
    return as_release(ledger.record(record))


def as_release(record: Record[Body]) -> Record[Release]:
    """The same record, known to be a release. Raises LedgerError."""
    if not isinstance(record.body, Release):
        raise wrong_kind_error(record, Release.kind)
    return cast("Record[Release]", record)


def wrong_kind_error(record: Record[Body], kind: str) -> LedgerError:
    """An index entry names a record of another kind."""
    found = f"the index has it as a {kind}, but it is a {record.envelope.kind}"
    return LedgerError(f"read the record {record.id}", found, "prove the ledger: invoke verify --ledger")


def seq_of(record: Record[Release]) -> int:
    """Its place in the chain, as a sort key."""
    return record.envelope.seq


def records_in(ledger: Ledger, folder: str, prefix: str) -> Iterator[Record[Body]]:
    """Return the records in a folder whose names begin like this. Raises as `record_at`."""
    for name in ledger.names(folder):
        if name.startswith(prefix):
            yield record_at(ledger, f"{folder}/{name}")


def readable(ledger: Ledger, paths: Iterable[str]) -> Iterator[Record[Body]]:
    """Return the records of index entries; one that cannot be read is skipped with a warning."""
    for path in ledger.snapshot.ahead(paths):
        try:
            yield record_at(ledger, path)
        except LedgerError as error:
            ledger.skip(path, error)
