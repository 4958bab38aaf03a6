"""The image of one platform behind a name that may be an index."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from release.errors import RegistryError
from release.images.registry import OCI_INDEX, OCI_MANIFEST, Manifest, Registry
from release.images.registry.platforms import manifest_of_platform
from release.reference import Digest, Reference, Repository

REPOSITORY = Repository("registry.example/acme/web")


def manifest(architecture: str) -> bytes:
    """An image manifest; each architecture has another."""
    config = {"digest": str(Digest.of(architecture.encode())), "size": 1, "mediaType": "application/json"}
    return json.dumps({"mediaType": OCI_MANIFEST, "config": config, "layers": []}).encode()


def entry(architecture: str, **platform: str) -> dict[str, Any]:
    return {
        "digest": str(Digest.of(manifest(architecture))),
        "platform": {"os": "linux", "architecture": architecture, **platform},
    }


class Shelf:
    """A registry with an index, and the images of three platforms."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.index = json.dumps({"mediaType": OCI_INDEX, "manifests": list(entries)}).encode()
        self.images = {Digest.of(manifest(each)): manifest(each) for each in ("amd64", "arm64", "arm")}

    def content(self, reference: Reference) -> tuple[bytes, str] | None:
        if reference.digest is None:
            return (self.index, OCI_INDEX) if reference.tag == "1" else None
        found = self.images.get(reference.digest)
        return (found, OCI_MANIFEST) if found is not None else None

    def manifest(self, reference: Reference) -> Manifest | None:
        found = self.content(reference)
        return Manifest.parse(*found) if found is not None else None


def chosen(shelf: Shelf, platform: str, reference: Reference | None = None) -> Digest | None:
    found = manifest_of_platform(cast(Registry, shelf), reference or REPOSITORY.tagged("1"), platform)
    return found.digest if found is not None else None


def test_an_index_gives_the_image_of_the_platform() -> None:
    """The exact variant first; attestations, whose platform is unknown, are no images."""
    shelf = Shelf(
        {"digest": str(Digest.of(b"x")), "platform": {"os": "unknown", "architecture": "unknown"}},
        entry("arm", variant="v6"),
        entry("arm64", variant="v8"),
        entry("amd64"),
    )
    assert chosen(shelf, "linux/amd64") == Digest.of(manifest("amd64"))
    assert chosen(shelf, "linux/arm64") == Digest.of(manifest("arm64"))
    assert chosen(shelf, "linux/arm/v7") == Digest.of(manifest("arm"))
    assert chosen(shelf, "linux/s390x") is None


def test_an_unknown_platform_is_the_only_one() -> None:
    """Of several nothing is guessed."""
    assert chosen(Shelf(entry("amd64")), "") == Digest.of(manifest("amd64"))
    assert chosen(Shelf(entry("amd64"), entry("arm64")), "") is None


def test_an_image_is_taken_as_it_is() -> None:
    """And a name that the registry lacks is none."""
    shelf = Shelf(entry("amd64"))
    assert chosen(shelf, "linux/amd64", REPOSITORY.at(Digest.of(manifest("arm64")))) is not None
    assert chosen(shelf, "linux/amd64", REPOSITORY.tagged("2")) is None


def test_a_damaged_index_is_an_error() -> None:
    """Not a missing image."""
    with pytest.raises(RegistryError, match="it is damaged"):
        chosen(Shelf({"platform": {"os": "linux", "architecture": "amd64"}}), "linux/amd64")
