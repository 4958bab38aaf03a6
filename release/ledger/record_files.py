"""Record files of a ledger's commits: read, and compared with their names."""

from __future__ import annotations

import hashlib
import json

import rfc8785

from release.errors import LedgerError, RecordUnknown
from release.ledger.commit_stream import Change, Step
from release.ledger.violations import Violation, change_violation
from release.records import SCHEMA, Body, Record, parse, parse_envelope
from release.values import Struct


class RecordFile(Struct, frozen=True, kw_only=True):
    """File of a record: the id in its name, the record if readable, and a violation if there is one."""

    id: str
    record: Record[Body] | None = None
    problem: Violation | None = None
    place: tuple[str, int, str | None] = ("~", 0, None)
    """Service, number and predecessor, also of a record that a later version wrote."""
    later_kind: str = ""
    """Kind of a record that a later version wrote; empty for one that this version reads."""


def read_record_file(step: Step, change: Change, record: str, content: bytes | None) -> RecordFile:
    """Return a record's file, compared with its name.

    Args:
        step: the commit that adds it.
        change: what the commit does to the file.
        record: the id in the file's name.
        content: its bytes; None if they are missing or damaged.
    """

    def wrong(kind: str, found: str, expected: str) -> RecordFile:
        return RecordFile(id=record, problem=change_violation(step, change, kind, found, expected))

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
        bytes_found = f"{len(content)} bytes that are not the canonical form"
        problem = change_violation(
            step, change, "record-not-canonical", bytes_found, "the same record in canonical form"
        )
    return RecordFile(id=record, record=found, place=(known.service, known.seq, known.prev), problem=problem)


def _later(step: Step, change: Change, content: bytes, record: str, error: RecordUnknown) -> RecordFile:
    """Read the place of a record that a later version wrote; the rest is not judged."""
    try:
        known, _ = parse_envelope(content, change.path, later=True)
    except LedgerError as damaged:
        problem = change_violation(
            step, change, "record-unreadable", damaged.found, f"a record of schema {SCHEMA}"
        )
        return RecordFile(id=record, problem=problem)
    problem = change_violation(step, change, "record-later", error.found, f"a record of schema {SCHEMA}")
    return RecordFile(
        id=record, place=(known.service, known.seq, known.prev), problem=problem, later_kind=known.kind
    )


def is_canonical(record: Record[Body], content: bytes) -> bool:
    """Return whether these are the record's canonical bytes (RFC 8785, and a newline)."""
    data = record.to_json()
    quick = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # the two differ in the order of keys beyond U+FFFF alone
    return content == f"{quick}\n".encode() or content == rfc8785.dumps(data) + b"\n"
