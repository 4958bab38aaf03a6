"""Records as values, bytes and ids."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from release.capped import LONGEST
from release.errors import LedgerError
from release.records import KINDS, SCHEMA, Body, Draft, Note, Record, TargetState, parse
from tests.unit.ledger import samples


def drafts() -> list[Draft[Body]]:
    return [samples.release("1.4.2"), samples.event("1" * 64), samples.note("hello")]


def again(record: Record[Body], **changed: Any) -> Record[Body]:
    """The record with other keys, read back from its bytes."""
    data = {key: value for key, value in (record.to_json() | changed).items() if value is not ...}
    return parse(rfc8785.dumps(data) + b"\n", "records/aa/x.json")


@pytest.mark.parametrize("draft", drafts(), ids=lambda draft: draft.body.kind)
def test_a_record_reads_back_as_it_was(draft: Draft[Body]) -> None:
    """Same value, same bytes, same id, and the draft it came from."""
    record = draft.at(7, "a" * 64)
    found = parse(record.to_bytes(), "x")
    assert found == record
    assert found.to_bytes() == record.to_bytes()
    assert found.draft() == draft


@pytest.mark.parametrize("draft", drafts(), ids=lambda draft: draft.body.kind)
def test_bytes_are_canonical(draft: Draft[Body]) -> None:
    """Sorted keys, no white space, UTF-8, one newline at the end (RFC 8785)."""
    content = draft.at(1, None).to_bytes()
    data = json.loads(content)
    assert (
        content
        == json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    )


def test_the_id_is_the_sha256_of_the_bytes() -> None:
    """So a file's name tells whether it was edited."""
    record = samples.note("hello").at(1, None)
    assert record.id == hashlib.sha256(record.to_bytes()).hexdigest()


def test_the_first_record_has_an_explicit_empty_predecessor() -> None:
    """Other keys without a value are left out."""
    data = samples.note("hello").at(1, None).to_json()
    assert data["prev"] is None
    assert [key for key, value in data.items() if value is None] == ["prev"]
    assert "ci" not in data["actor"]


def test_the_envelope_says_what_and_where() -> None:
    """Schema, kind, service, place, time, who and with what."""
    data = samples.note("hello").at(3, "b" * 64).to_json()
    assert {
        key: data[key] for key in ("schema", "kind", "service", "seq", "prev", "recorded_at", "tool")
    } == {
        "schema": SCHEMA,
        "kind": "note",
        "service": "api",
        "seq": 3,
        "prev": "b" * 64,
        "recorded_at": samples.NOON,
        "tool": "release 0.1.0",
    }


def test_every_kind_has_a_name_of_its_own() -> None:
    """The name in the file and the class."""
    assert {name: body.kind for name, body in KINDS.items()} == {name: name for name in KINDS}
    assert set(KINDS) == {
        "release",
        "deployment",
        "quarantine",
        "freeze",
        "verification",
        "operation",
        "note",
    }


# later writers


def test_keys_of_a_later_minor_are_kept() -> None:
    """At the top, in a part, in the run settings; the id stays the same."""
    record = samples.event("1" * 64).at(1, None)
    data = record.to_json()
    found = again(
        record,
        schema="1.9",
        colour="blue",
        actor=data["actor"] | {"team": "night"},
        run_spec=data["run_spec"] | {"gpus": 2},
    )
    written = found.to_json()
    assert (written["schema"], written["colour"]) == ("1.9", "blue")
    assert (written["actor"]["team"], written["run_spec"]["gpus"]) == ("night", 2)
    assert parse(found.to_bytes(), "x").id == found.id


def test_another_major_is_refused() -> None:
    """Its keys may mean something else."""
    with pytest.raises(LedgerError, match=r"its schema is 2\.0, and this version reads 1\.0") as caught:
        again(samples.note("x").at(1, None), schema="2.0")
    assert caught.value.hint == "upgrade the release library"


def test_an_unknown_kind_is_refused() -> None:
    """Nothing is skipped over silently."""
    with pytest.raises(LedgerError, match="does not know its kind 'party'"):
        again(samples.note("x").at(1, None), kind="party")


# damage


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'"x"', b"{}"])
def test_what_is_no_record_is_named(content: bytes) -> None:
    """With the file's name, and never as another exception."""
    with pytest.raises(LedgerError, match=r"records/aa/x\.json"):
        parse(content, "records/aa/x.json")


@pytest.mark.parametrize(
    "changed",
    [
        {"seq": 0},
        {"seq": "first"},
        {"prev": "abc"},
        {"recorded_at": "2026-11-20T12:00:00Z"},
        {"recorded_at": "2026-11-20T12:00:00.000+01:00"},
        {"actor": ...},
        {"digest": "sha256:abc"},
        {"status": "fine"},
        {"deployment": "ABCDEFABCDEF"},
        {"release": ...},
    ],
    ids=str,
)
def test_a_value_outside_of_the_format_is_damage(changed: dict[str, Any]) -> None:
    """Each key has its form."""
    with pytest.raises(LedgerError, match="it is damaged"):
        again(samples.event("1" * 64).at(1, None), **changed)


def test_a_record_cannot_be_changed() -> None:
    """What was recorded stays recorded."""
    record = samples.note("x").at(1, None)
    with pytest.raises(ValidationError):
        record.envelope.seq = 2  # type: ignore[misc]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text: str) -> None:
    """Whatever people write into a note."""
    record = samples.note(text).at(1, None)
    found = parse(record.to_bytes(), "x")
    assert isinstance(found.body, Note)
    assert found.body.text == text
    assert found.id == record.id


@pytest.mark.attack(
    "a release makes the message of its failure hundreds of megabytes long",
    "foreign text is cut to 4,000 characters when a record is made",
)
def test_what_others_wrote_is_cut_in_a_new_record() -> None:
    """The number of characters that are left out is there; a record that has more is read as it is."""
    flood = "x" * 10_000_000
    found = TargetState(name="engine", status="failed", detail=flood)
    assert len(found.detail) <= LONGEST
    assert found.detail.endswith("x… (9,996,050 more characters)")
    note = samples.note(flood)
    assert len(note.at(1, None).to_bytes()) < 2 * LONGEST
    old = json.dumps(samples.note("short").at(1, None).to_json() | {"text": "y" * 9_000}).encode()
    assert parse(old, "x").body == Note.model_construct(text="y" * 9_000)


def settings() -> dict[str, Any]:
    """The settings of a smoke run, without a question."""
    smoke = samples.release("1.4.2").at(1, None).to_json()["smoke"]
    return {key: value for key, value in smoke.items() if key != "probe"}


def smoked(**changed: Any) -> Record[Body]:
    """A release whose smoke run is recorded with other keys."""
    record = samples.release("1.4.2").at(1, None)
    smoke = {key: value for key, value in (record.to_json()["smoke"] | changed).items() if value is not ...}
    return again(record, smoke=smoke)


def test_a_smoke_run_without_a_request_has_another_question() -> None:
    """One that asked nothing is no evidence."""
    smoke = smoked(probe=..., check=["work", "--ping"]).body.smoke  # type: ignore[union-attr]
    assert (smoke.probe, smoke.check) == (None, ("work", "--ping"))
    with pytest.raises(LedgerError, match="no question was asked"):
        smoked(probe=...)
    with pytest.raises(LedgerError, match="worker: no question was asked"):
        smoked(processes={"worker": settings()})


def test_the_request_for_a_container_is_that_of_the_run_with_its_command() -> None:
    """A worker is not asked what the web process answers; a command that no run has is asked as before."""
    worker = settings() | {"command": ["work"], "entrypoint": "replace", "stays_up": 1}
    smoke = smoked(processes={"worker": worker}).body.smoke  # type: ignore[union-attr]
    assert smoke.probe_of(("work",), "replace") is None
    assert smoke.probe_of(("work",), "keep") == smoke.probe
    assert smoke.probe_of(None, None) == smoke.probe
    assert smoke.probe_of(("other",), "replace", "worker") is None
    assert smoke.probe_of(("other",), "replace", "beat", answers=False) is None
    assert smoke.probe_of(("other",), "replace", "web", answers=True) == smoke.probe
