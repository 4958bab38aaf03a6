"""Records of the ledger, as values.

A record is an envelope and a body of one kind. Its bytes are canonical JSON (RFC 8785: sorted keys, UTF-8,
no white space; here whole numbers only) and one newline; its id is the sha256 of those bytes, in hexadecimal.
Keys that this version does not know are kept; a kind or a schema of another major is refused.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Annotated, Any, Final, Generic, TypeVar

import rfc8785
from pydantic import Field, ValidationError

from release.capped import RECORDED
from release.config.kinds import Slug
from release.errors import LedgerError, RecordUnknown
from release.parsing import jsontext
from release.records.events import Deployment, Freeze, Note, Operation, Quarantine, Verification
from release.records.parts import Actor, GitId, Hex64, Moment, Part, Run
from release.records.release import Release
from release.values import Struct

LIMITS: Final = jsontext.Bounds(size=4 * 1024 * 1024, depth=32)
"""Limits of a record. The largest known records list some thousand packages: 200 kB."""


SCHEMA: Final = "1.0"
"""Version of the record format: the minor part grows with new keys, the major part with changed ones."""


Body = Release | Deployment | Quarantine | Freeze | Verification | Operation | Note


B = TypeVar("B", bound=Part)


B_co = TypeVar("B_co", bound=Part, covariant=True)


_Kind = (
    type[Release]
    | type[Deployment]
    | type[Quarantine]
    | type[Freeze]
    | type[Verification]
    | type[Operation]
    | type[Note]
)


KINDS: Final[dict[str, _Kind]] = {
    body.kind: body for body in (Release, Deployment, Quarantine, Freeze, Verification, Operation, Note)
}


class Genesis(Part):
    """Binding of a ledger to its repository and of a service to the ledger, in one record of each service."""

    ledger: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """Random id of the ledger, the same in every genesis record of the ledger."""
    roots: tuple[GitId, ...] = ()
    """First commits of the code's history; empty if a shallow clone made the record."""


class Envelope(Part):
    """Envelope of every record. `seq` counts per service from 1; `prev` is the record before."""

    schema_: Annotated[str, Field(alias="schema", pattern=r"^\d+\.\d+$")] = SCHEMA
    kind: str
    service: Slug
    seq: Annotated[int, Field(ge=1)]
    prev: Hex64 | None
    recorded_at: Moment
    actor: Actor
    run: Run
    tool: str
    genesis: Genesis | None = None
    """Only in the first record of a service that a version with this key appended."""
    verified_head: GitId | None = None
    """Parent of the record's commit, if the writer required signatures and had verified the ledger to there.
    """


class Draft(Struct, Generic[B_co], frozen=True, kw_only=True):
    """Record without a number, a predecessor and an id, which the ledger sets later."""

    service: str
    recorded_at: str
    actor: Actor
    run: Run
    tool: str
    body: B_co

    def of(self, body: B) -> Draft[B]:
        """Return a draft with the same envelope facts and another body."""
        known: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__}
        return Draft(**known | {"body": body})

    def at(
        self,
        seq: int,
        prev: str | None,
        *,
        genesis: Genesis | None = None,
        verified_head: str | None = None,
    ) -> Record[B_co]:
        """Return the record with this number and predecessor."""
        kind: str = getattr(self.body, "kind")  # noqa: B009 - a class variable of every body
        envelope = Envelope(
            kind=kind,
            service=self.service,
            seq=seq,
            prev=prev,
            recorded_at=self.recorded_at,
            actor=self.actor,
            run=self.run,
            tool=self.tool,
            genesis=genesis,
            verified_head=verified_head,
        )
        return Record(envelope=envelope, body=self.body)


class Record(Struct, Generic[B_co], frozen=True, kw_only=True, dict=True):
    """Record of the ledger."""

    envelope: Envelope
    body: B_co

    @cached_property
    def id(self) -> str:
        """Return the sha256 of the record's bytes in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the record as canonical JSON and a newline."""
        return rfc8785.dumps(self.to_json()) + b"\n"

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON data without empty keys; `prev` is always present."""
        envelope = self.envelope.model_dump(mode="json", by_alias=True, exclude_none=True)
        return envelope | self.body.model_dump(mode="json", exclude_none=True) | {"prev": self.envelope.prev}

    def draft(self) -> Draft[B_co]:
        """Return the record without its number, predecessor and id."""
        known = self.envelope
        return Draft(
            service=known.service,
            recorded_at=known.recorded_at,
            actor=known.actor,
            run=known.run,
            tool=known.tool,
            body=self.body,
        )


def parse(content: bytes, name: str) -> Record[Body]:
    """Parse a record.

    Args:
        content: the bytes of the file.
        name: what to call it in an error, as its path in the ledger.

    Raises:
        RecordUnknown: another major, or a kind of a later version.
        LedgerError: not JSON within the limits, or an envelope or a body that is not of its kind.
    """
    envelope, data = parse_envelope(content, name)
    try:
        body = KINDS[envelope.kind].model_validate(data, context=RECORDED)
    except ValidationError as error:
        raise _damaged(name, error) from error
    record: Record[Body] = Record(envelope=envelope, body=body)
    record.__dict__["id"] = hashlib.sha256(content).hexdigest()
    return record


def parse_envelope(content: bytes, name: str, *, later: bool = False) -> tuple[Envelope, dict[str, Any]]:
    """Return a record's envelope and the data of its body. Raise as `parse`.

    `later` also reads the envelope of a record that a later version wrote.
    """
    try:
        data = jsontext.read_object(content, LIMITS)
        if not later:
            _check_known(data, name)
        envelope = Envelope.model_validate({key: data[key] for key in _OF_ENVELOPE if key in data})
    except ValueError as error:  # a ValidationError is one
        raise _damaged(name, error) from error
    return envelope, {key: value for key, value in data.items() if key not in _OF_ENVELOPE}


_OF_ENVELOPE: Final = tuple(field.alias or key for key, field in Envelope.model_fields.items())


def _damaged(name: str, error: ValueError) -> LedgerError:
    found = str(error).replace("\n", " ")[:300]
    return LedgerError(
        f"read the record {name}", f"it is damaged: {found}", "prove the ledger: invoke verify --ledger"
    )


def _check_known(data: dict[str, Any], name: str) -> None:
    schema, kind = str(data.get("schema"))[:40], str(data.get("kind"))[:40]
    if schema.split(".", maxsplit=1)[0] != SCHEMA.split(".")[0]:
        found = f"its schema is {schema}, and this version reads {SCHEMA}"
    elif kind not in KINDS:
        found = f"this version of the library does not know its kind {kind!r}"
    else:
        return
    raise RecordUnknown(f"read the record {name}", found, "upgrade the release library")
