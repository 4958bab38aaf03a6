"""What registries hold: each blob asked for once, a silent registry once, and `deep` takes no word for it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from release.deploy.core.image_source import ImageAvailability
from release.images.registry import OCI_MANIFEST
from release.records import Descriptor, Image
from release.reference import Digest
from tests.unit.images.fake_registry import FakeRegistry, serving


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry without a login."""
    with serving(FakeRegistry()) as running:
        yield running


def put(registry: FakeRegistry, *layers: bytes) -> Image:
    """An image of these layers, as it would be recorded; its config belongs to it alone."""
    contents = [b"config of " + b" ".join(layers), *layers]
    blobs = [
        {"mediaType": "application/x", "digest": Digest.of(content).text, "size": len(content)}
        for content in contents
    ]
    for blob, content in zip(blobs, contents, strict=True):
        registry.blobs[str(blob["digest"])] = content
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": blobs[0], "layers": blobs[1:]}
    content = json.dumps(manifest).encode()
    return Image(
        repository=registry.repository.text,
        digest=registry.add(content).text,
        media_type=OCI_MANIFEST,
        size=len(content),
        platform="linux/amd64",
        config_digest=str(blobs[0]["digest"]),
        layers=tuple(Descriptor(digest=str(blob["digest"]), size=1) for blob in blobs[1:]),
    )


def test_a_layer_that_releases_share_is_asked_for_once(registry: FakeRegistry) -> None:
    """Of ten releases on one base: one manifest, one config and one own layer each, and the base once."""
    images = [put(registry, b"base", b"own %d" % number) for number in range(10)]
    with ImageAvailability() as stock:
        assert {stock.holding(image).state for image in images} == {"whole"}
        assert {stock.holding(image).state for image in images} == {"whole"}
    assert len(registry.paths("HEAD")) == 10 + 10 + 1
    assert len([path for path in registry.paths("GET") if "/manifests/" in path]) == 10


def test_a_blob_that_is_gone_is_named(registry: FakeRegistry) -> None:
    """For every release that has it."""
    images = [put(registry, b"base", b"one"), put(registry, b"base", b"two"), put(registry, b"three")]
    del registry.blobs[Digest.of(b"base").text]
    with ImageAvailability() as stock:
        found = [stock.holding(image) for image in images]
    assert [holding.state for holding in found] == ["lacking", "lacking", "whole"]
    assert Digest.of(b"base").short in found[1].problem


def test_a_manifest_that_is_gone_is_told(registry: FakeRegistry) -> None:
    """Its blobs are not asked for."""
    image = put(registry, b"base")
    registry.manifests.clear()
    with ImageAvailability() as stock:
        assert stock.holding(image).state == "lacking"
    assert registry.paths("HEAD") == []


def test_another_config_than_the_recorded_one_is_told(registry: FakeRegistry) -> None:
    """A record that contradicts itself is no release to go back to."""
    image = put(registry, b"base").model_copy(update={"config_digest": Digest.of(b"another").text})
    with ImageAvailability() as stock:
        assert "not sha256:" in stock.holding(image).problem


@pytest.mark.parametrize("deep", [False, True])
def test_only_a_deep_look_sees_other_bytes(registry: FakeRegistry, *, deep: bool) -> None:
    """A registry says that it has a blob, and has something else."""
    image = put(registry, b"base", b"own")
    registry.blobs[Digest.of(b"own").text] = b"owl"
    with ImageAvailability(deep=deep) as stock:
        found = stock.holding(image)
    assert found.state == ("lacking" if deep else "whole")
    assert ("hash to" in found.problem) == deep


def test_a_registry_that_is_away_is_asked_once() -> None:
    """For all images that it should have; nothing is said of the images."""
    with serving(FakeRegistry()) as registry:
        images = [put(registry, b"one"), put(registry, b"two")]
    with ImageAvailability() as stock:
        found = [stock.holding(image) for image in images]
    assert [holding.state for holding in found] == ["silent", "silent"]
    assert found[0].problem == found[1].problem


def test_an_image_of_the_engine_alone_is_in_no_registry(registry: FakeRegistry) -> None:
    """Nobody is asked for a repository of `localhost`."""
    image = put(registry, b"base").model_copy(update={"repository": "localhost/api"})
    with ImageAvailability() as stock:
        assert stock.holding(image).state == "none"
    assert registry.requests == []
