"""Image tags compared with records: in a registry, and in an engine's own store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from release.deploy.inspection.image_tags import ImageTags
from release.errors import EngineUnreachable
from release.images.engine import Engine
from release.records import Record, Release
from release.reference import Digest, Reference
from tests.unit.images.fake_registry import FakeRegistry, refusal, serving
from tests.unit.ledger import samples

COMMIT = "c" * 40
LEDGER = "1" * 40
BYTES, OTHER = b'{"schemaVersion":2}', b'{"schemaVersion":2,"layers":[]}'


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    """A registry, and no login for it."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    registry = FakeRegistry()
    with serving(registry):
        yield registry


def released(repository: str, version: str, digest: str) -> Record[Release]:
    record = samples.release(version, commit=COMMIT).at(1, None)
    assert isinstance(record.body, Release)
    image = record.body.image.model_copy(update={"repository": repository, "digest": digest})
    return Record(envelope=record.envelope, body=record.body.model_copy(update={"image": image}))


def asked(*records: Record[Release], tags: ImageTags | None = None) -> tuple[list[str], list[str]]:
    """The kinds and tags of what is found, and what could not be looked at."""
    with tags or ImageTags() as witness:
        found = [violation for record in records for violation in witness.ask(LEDGER, record)]
        found += witness.rest()
        return (
            [f"{violation.kind} {violation.path.rpartition(':')[2]}" for violation in found],
            list(witness.unchecked()),
        )


def test_tags_on_the_recorded_digest_are_well(fake: FakeRegistry) -> None:
    """The version's and the commit's."""
    digest = fake.add(BYTES, "1.0.0", f"sha-{COMMIT}").text
    assert asked(released(str(fake.repository), "1.0.0", digest)) == ([], [])


def test_a_tag_that_is_gone_or_moved_is_named(fake: FakeRegistry) -> None:
    """Each by itself; also when it is now something that is no image at all."""
    digest = fake.add(BYTES).text
    fake.add(OTHER, f"sha-{COMMIT}", media_type="application/vnd.oci.image.index.v1+json")
    found, _ = asked(released(str(fake.repository), "1.0.0", digest))
    assert found == ["image-tag-missing 1.0.0", f"image-tag-moved sha-{COMMIT}"]


def test_the_tag_of_a_commit_may_be_any_of_its_releases(fake: FakeRegistry) -> None:
    """As of a candidate and the version after it."""
    first = fake.add(BYTES, "1.0.0-rc.1").text
    second = fake.add(OTHER, "1.0.0", f"sha-{COMMIT}").text
    records = [
        released(str(fake.repository), "1.0.0-rc.1", first),
        released(str(fake.repository), "1.0.0", second),
    ]
    assert asked(*records) == asked(*reversed(records)) == ([], [])


def test_a_registry_that_refuses_is_not_checked_and_asked_once(fake: FakeRegistry) -> None:
    """No violation, and no second knock for the next release."""
    fake.faults.append(refusal(403, "DENIED", "not for you"))
    record = released(str(fake.repository), "1.0.0", fake.add(BYTES).text)
    found, unchecked = asked(record, record)
    assert found == []
    assert len(unchecked) == 1
    assert "(2)" in unchecked[0]
    assert "not for you" in unchecked[0]
    assert len(fake.paths("GET")) <= 2


def test_a_record_that_names_no_place_is_not_checked() -> None:
    """It ends nothing."""
    found, (unchecked,) = asked(released("UPPER/case", "1.0.0", "sha256:" + "0" * 64))
    assert found == []
    assert "UPPER/case" in unchecked


class Store:
    """The part of an engine that is asked: images by name."""

    info = SimpleNamespace(image_store="containerd")

    def __init__(self, images: dict[str, str]) -> None:
        self._images = images

    def inspect(self, reference: Reference) -> SimpleNamespace | None:
        found = self._images.get(str(reference.tag))
        return SimpleNamespace(id=Digest(found)) if found is not None else None

    def close(self) -> None:
        self._images = {}


def in_engine(images: dict[str, str]) -> ImageTags:
    return ImageTags(lambda: cast(Engine, Store(images)))


def test_an_engines_own_store_is_compared_where_it_has_the_image() -> None:
    """Another machine's engine need not have it."""
    digest, other = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    record = released("localhost/api", "1.0.0", digest)
    assert asked(record, tags=in_engine({"1.0.0": digest, f"sha-{COMMIT}": digest})) == ([], [])
    assert asked(record, tags=in_engine({"1.0.0": other, f"sha-{COMMIT}": digest}))[0] == [
        "image-tag-moved 1.0.0"
    ]
    found, (unchecked,) = asked(record, tags=in_engine({}))
    assert found == []
    assert "does not have all" in unchecked


def test_an_engine_that_does_not_answer_is_not_checked() -> None:
    """Said with the reason."""

    def nobody() -> Engine:
        raise EngineUnreachable("reach the engine", "nobody is there")

    found, (unchecked,) = asked(
        released("localhost/api", "1.0.0", "sha256:" + "1" * 64), tags=ImageTags(nobody)
    )
    assert found == []
    assert "nobody is there" in unchecked
