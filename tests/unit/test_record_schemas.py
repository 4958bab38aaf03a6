"""The schemas of records in the reference: what is committed, what they let pass, what reading refuses."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785
from jsonschema import ValidationError

from release.errors import LedgerError, RecordUnknown
from release.records import KINDS, KNOWN_UNLESS_RECOVERED, Body, Draft, Release, parse
from tests import schemas
from tests.reference.records import pages, record_schema
from tests.unit.ledger import samples

documents = functools.cache(pages)


def record_of(draft: Draft[Body]) -> dict[str, Any]:
    return draft.at(1, None).to_json()


def release() -> dict[str, Any]:
    return record_of(samples.release("1.0.0"))


def deployment() -> dict[str, Any]:
    return record_of(samples.event("a" * 64))


def note() -> dict[str, Any]:
    return record_of(samples.note("a word"))


def verification() -> dict[str, Any]:
    return record_of(samples.verification("a" * 64))


def content(record: dict[str, Any]) -> bytes:
    return rfc8785.dumps(record) + b"\n"


def without(record: dict[str, Any], path: str) -> dict[str, Any]:
    """The record without the key at this path."""
    parent, _, name = path.rpartition(".")
    del (record[parent] if parent else record)[name]
    return record


def recovered(record: dict[str, Any], *unknown: str) -> dict[str, Any]:
    return record | {"recovered": {"origin": "registry.example/api", "unknown": list(unknown)}}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_committed_schema_is_what_the_types_say(kind: str) -> None:
    """A change of a record changes its schema in the same commit."""
    committed = (schemas.FOLDER / f"{kind}.json").read_text(encoding="utf-8")
    assert committed == documents()[f"schemas/{kind}.json"], "write it again: nox -s docs"


def test_there_is_one_schema_for_each_kind() -> None:
    """None is missing, and none is left of a kind that is no more."""
    assert {file.stem for file in schemas.FOLDER.iterdir()} == KINDS.keys()


@pytest.mark.parametrize("make", [release, deployment, verification, note])
def test_an_ordinary_record_is_as_its_schema_says(make: Callable[[], dict[str, Any]]) -> None:
    """The schema lets pass what is written."""
    schemas.check(make())


@pytest.mark.parametrize("make", [release, deployment, verification, note])
def test_a_schema_needs_every_key_that_reading_needs(make: Callable[[], dict[str, Any]]) -> None:
    """Schema and parser refuse the same missing keys of the first level."""
    for key in make():
        lacking = without(make(), key)
        refused = not schemas.validator(make()["kind"]).is_valid(lacking)
        try:
            parse(content(lacking), "x")
            unreadable = False
        except LedgerError:
            unreadable = True
        assert refused == unreadable, key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", "2.0"),
        ("kind", "note"),
        ("seq", 0),
        ("seq", 1.5),
        ("prev", "abc"),
        ("recorded_at", "2026-11-20"),
        ("actor", {"name": "Ada"}),
        ("image", {}),
        ("lock", None),
    ],
)
def test_a_schema_refuses_a_wrong_value(key: str, value: object) -> None:
    """Each of a kind of mistake of its own."""
    with pytest.raises(ValidationError):
        schemas.validator("release").validate(release() | {key: value})


@pytest.mark.parametrize("path", KNOWN_UNLESS_RECOVERED)
def test_a_release_that_lacks_something_is_refused(path: str) -> None:
    """By the parser and by the schema; nobody can leave it out silently."""
    lacking = without(release(), path)
    with pytest.raises(ValidationError):
        schemas.check(lacking)
    with pytest.raises(LedgerError, match="not listed"):
        parse(content(lacking), "x")


@pytest.mark.parametrize("path", KNOWN_UNLESS_RECOVERED)
def test_a_recovered_release_says_what_it_lacks(path: str) -> None:
    """Then it is read, and passes the schema; a gap that it does not name is damage."""
    lacking = without(release(), path)
    told = recovered(lacking, path)
    schemas.check(told)
    assert parse(content(told), "x").to_bytes() == content(told)
    with pytest.raises(LedgerError, match=path):
        parse(content(recovered(lacking, "bases")), "x")


def test_unknown_keys_are_kept_to_the_byte() -> None:
    """A later minor version's keys go through reading and writing, at every depth, and pass the schema."""
    record = release() | {"schema": "1.7", "later": {"a": [1, None, "ö"]}}
    record["image"]["later"] = "x"
    record["image"]["layers"][0]["later"] = True
    record["actor"]["later"] = {}
    found = parse(content(record), "x")
    assert found.to_bytes() == content(record)
    assert isinstance(found.body, Release)
    schemas.check(record)


@pytest.mark.parametrize("version", ["2.0", "0.9", "10.0", "one", "", None])
def test_another_major_is_refused(version: str | None) -> None:
    """With what is read here, and what to do."""
    with pytest.raises(LedgerError, match=r"this version reads 1\.\d") as caught:
        parse(content(note() | {"schema": version}), "records/aa/x.json")
    assert caught.value.hint == "upgrade the release library"
    assert "records/aa/x.json" in caught.value.attempted


@pytest.mark.parametrize("kind", ["holiday", "", None])
def test_an_unknown_kind_is_refused(kind: str | None) -> None:
    """It may change what the records around it mean."""
    with pytest.raises(RecordUnknown, match="does not know its kind"):
        parse(content(note() | {"kind": kind}), "x")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_schema_names_its_kind_and_major(kind: str) -> None:
    """So that a reader without this library can tell records apart by it."""
    properties = record_schema(kind)["properties"]
    assert properties["kind"] == {"const": kind}
    assert properties["schema"]["pattern"] == r"^1\.\d+$"
    assert json.loads(documents()[f"schemas/{kind}.json"]) == record_schema(kind)
