"""Record files of a ledger's commits: read, and compared with their names."""

from __future__ import annotations

import hashlib
import json

import rfc8785

from release.errors import LedgerError, RecordUnknown
from release.ledger.violations import Violation, of_change
from release.ledger.walk import Change, Step
from release.records import SCHEMA, Body, Record, parse, parse_envelope
from release.values import Struct


class Filed(Struct, frozen=True, kw_only=True):
    """A record's file: its id by name, the record if it can be read, and what is wrong with it."""

    id: str
    record: Record[Body] | None = None
    problem: Violation | None = None
    place: tuple[str, int, str | None] = ("~", 0, None)
    """Service, number and predecessor, also of a record that a later version wrote."""
    later_kind: str = ""
    """Kind of a record that a later version wrote; empty for one that this version reads."""


def read(step: Step, change: Change, record: str, content: bytes | None) -> Filed:
    """Read the file of a record.

    Args:
        step: the commit that adds it.
        change: what the commit does to the file.
        record: the id in the file's name.
        content: its bytes; None if they are missing or damaged.
    """

    def wrong(kind: str, found: str, expected: str) -> Filed:
        return Filed(id=record, problem=of_change(step, change, kind, found, expected))

    if content is None:
        return wrong("damaged", f"git's object {change.object} is missing or damaged", "the record")
    name = hashlib.sha256(content).hexdigest()
    if name != record:
        return wrong("record-name", f"its content hashes to {name}", "that name")
    try:
        found = parse(content, change.path)
    except RecordUnknown as error:
        return _later(step, change, content, record, error)
    except LedgerError as error:
        return wrong("record-unreadable", error.found, f"a record of schema {SCHEMA}")
    known = found.envelope
    problem = None
    if not is_canonical(found, content):
        told = f"{len(content)} bytes that are not the canonical form"
        problem = of_change(step, change, "record-not-canonical", told, "the same record in canonical form")
    return Filed(id=record, record=found, place=(known.service, known.seq, known.prev), problem=problem)


def _later(step: Step, change: Change, content: bytes, record: str, error: RecordUnknown) -> Filed:
    """Read the place of a record that a later version wrote; the rest is not judged."""
    try:
        known, _ = parse_envelope(content, change.path, later=True)
    except LedgerError as damaged:
        problem = of_change(step, change, "record-unreadable", damaged.found, f"a record of schema {SCHEMA}")
        return Filed(id=record, problem=problem)
    problem = of_change(step, change, "record-later", error.found, f"a record of schema {SCHEMA}")
    return Filed(
        id=record, place=(known.service, known.seq, known.prev), problem=problem, later_kind=known.kind
    )


def is_canonical(record: Record[Body], content: bytes) -> bool:
    """Return whether these are the record's canonical bytes (RFC 8785, and a newline)."""
    data = record.to_json()
    quick = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # the two differ in the order of keys beyond U+FFFF alone
    return content == f"{quick}\n".encode() or content == rfc8785.dumps(data) + b"\n"
