"""Rebuild of the index from the records: missing entries are added, wrong entries are only reported.

The index has no information of its own. So it can always be built again, in the order of the records, as if
each record were appended now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from release.errors import LedgerError
from release.ledger import layout
from release.ledger.store import Ledger
from release.records import Actor, Body, Record
from release.values import Struct

_ODD: Final = {"", ".", "..", ".git"}
"""Names that git refuses for a file."""
_VERIFY: Final = "prove the ledger: invoke verify --ledger"
"""Next step after a record that has no place in the index."""


class IndexSurvey(Struct, frozen=True, kw_only=True):
    """Comparison of the index with the records."""

    records: int
    """Number of readable records."""
    entries: int
    """Number of their index entries."""
    missing: Mapping[str, bytes]
    """Missing paths, with their contents."""
    wrong: tuple[str, ...]
    """Wrong entries: each a sentence that begins with the path."""


def survey_index(ledger: Ledger) -> IndexSurvey:
    """Compare all records with all index entries. Raise LedgerError if a folder cannot be read."""
    records, damage = _records(ledger)
    expected: dict[str, bytes] = {}
    for record in records:
        try:
            expected |= dict.fromkeys(_paths(record, expected), f"{record.id}\n".encode())
        except LedgerError as error:
            damage[record.id] = f"{layout.record_path(record.id)}: {error.found}"
    found = {path: ledger.read(path) for path in _files(ledger, "index")}
    return IndexSurvey(
        records=len(records),
        entries=len(expected),
        missing={path: content for path, content in expected.items() if path not in found},
        wrong=(*damage.values(), *_differences(expected, found, damage)),
    )


def add_missing_entries(ledger: Ledger, *, actor: Actor, at: str) -> int:
    """Add all missing index entries in one commit. Return their number.

    Args:
        ledger: the ledger, refreshed.
        actor: actor of the commit.
        at: time of the commit (RFC 3339, UTC, milliseconds).

    Raises:
        LedgerRejected, LedgerUnreachable, LedgerError: as `Ledger.append`.
    """
    return ledger.add_index(lambda: survey_index(ledger).missing, actor=actor, at=at)


def _records(ledger: Ledger) -> tuple[list[Record[Body]], dict[str, str]]:
    """Return the records by service and number, and a sentence on each damaged record by id."""
    records: list[Record[Body]] = []
    damage: dict[str, str] = {}
    for path in _files(ledger, "records"):
        name = path.rpartition("/")[2].removesuffix(".json")
        try:
            records.append(ledger.record(name))
        except LedgerError as error:
            damage[name] = f"{path}: {error.found}"
    return sorted(records, key=lambda each: (each.envelope.service, each.envelope.seq, each.id)), damage


def _paths(record: Record[Body], taken: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the index paths of a record. Raise LedgerError if a path leaves its folder, or is taken."""
    attempted = f"place the record {record.id} in the index"
    paths = tuple(layout.index_paths(record, lambda path: path in taken))
    for path in paths:
        if _ODD & set(path.split("/")):
            raise LedgerError(attempted, f"its index entry would be {path!r}", _VERIFY)
        if path in taken:
            raise LedgerError(attempted, f"an earlier record has the index entry {path}", _VERIFY)
    return paths


def _files(ledger: Ledger, folder: str) -> Iterator[str]:
    """Yield the paths of all files below a folder."""
    for name in ledger.names(folder):
        path = f"{folder}/{name}"
        if ledger.read(path) is not None:
            yield path
        else:
            yield from _files(ledger, path)


def _differences(
    expected: Mapping[str, bytes], found: Mapping[str, bytes | None], damage: Mapping[str, str]
) -> Iterator[str]:
    for path, content in found.items():
        named = (content or b"").decode("utf-8", "replace").strip()
        if path in expected and content != expected[path]:
            yield (
                f"{path}: it names {named or 'nothing'}, but should name {expected[path].decode().strip()}"
            )
        elif path not in expected and named not in damage:
            yield f"{path}: no record implies this index entry"
