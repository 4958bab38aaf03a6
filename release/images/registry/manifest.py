"""Image manifests: media types, and the descriptors of config and layers.

Source: OCI Image Specification 1.1, "Image Manifest"; Docker's image manifest version 2, schema 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from release.errors import RegistryError
from release.images.registry.error_text import shortened_quote
from release.parsing import jsontext
from release.reference import Digest
from release.values import Struct

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"

ACCEPT: Final = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))
"""Accepted media types. With fewer than four, Distribution 2.8 answers 404 for some existing images."""
MOST_LAYERS: Final = 1000
"""Largest number of layers: more than any engine can use."""
DAMAGED: Final = "the registry or a proxy is damaged: read its log, and check that it is a registry"


class Blob(Struct, frozen=True, kw_only=True):
    """Descriptor of a blob: digest, size in bytes, media type."""

    digest: Digest
    size: int
    media_type: str


class Manifest(Struct, frozen=True, kw_only=True):
    """Image manifest: its bytes, the digest computed from them, and its descriptors."""

    digest: Digest
    media_type: str
    content: bytes
    config: Blob
    layers: tuple[Blob, ...]

    @classmethod
    def parse(cls, content: bytes, media_type: str | None = None) -> Manifest:
        """Parse an image manifest. Raise RegistryError for an index, a list, or anything else.

        Args:
            content: the bytes, as the registry has them.
            media_type: media type of the answer; None: the one in the manifest.

        Source: OCI Image Specification 1.1, "Image Manifest"; Docker's image manifest version 2, schema 2.
        """
        digest = Digest.of(content)
        attempted = f"read the image manifest {digest.short}"
        data = json_object(content, attempted)
        found = _media_type(data, media_type, attempted)
        try:
            return cls(
                digest=digest,
                media_type=found,
                content=content,
                config=_blob(data.get("config")),
                layers=_layers(data.get("layers", "missing")),
            )
        except ValueError as error:
            raise RegistryError(attempted, f"it is damaged: {error}", DAMAGED) from error


def json_object(content: bytes, attempted: str) -> dict[str, Any]:
    """Parse a JSON object. Raise RegistryError for anything else."""
    try:
        return jsontext.read_object(content)
    except ValueError as error:
        raise RegistryError(attempted, str(error), DAMAGED) from error


def _media_type(data: Mapping[str, Any], sent_as: str | None, attempted: str) -> str:
    """Return the media type: the manifest's own, else the one of the answer."""
    within = data.get("mediaType") or (OCI_INDEX if "manifests" in data else OCI_MANIFEST)
    if "mediaType" in data and sent_as is not None and sent_as != within:
        found = f"it was sent as {shortened_quote(sent_as)}, but its text has {shortened_quote(within)}"
        raise RegistryError(attempted, found, DAMAGED)
    found = str(sent_as or within)
    if found in {OCI_INDEX, DOCKER_LIST}:
        raise RegistryError(
            attempted,
            f"it is an index of several images ({found}), but a release is one image",
            "build with --provenance=false --sbom=false and for one platform",
        )
    if found not in {OCI_MANIFEST, DOCKER_MANIFEST}:
        raise RegistryError(
            attempted,
            f"it is not an image manifest but {shortened_quote(found)}",
            "another tool pushed this name: check which accounts push there, then push an image again",
        )
    return found


def _layers(found: Any) -> tuple[Blob, ...]:
    """Return the list of layers; Go writes an empty list as null."""
    if found is not None and not isinstance(found, list):
        raise ValueError("`layers` of the image manifest is not a list")
    if len(found or ()) > MOST_LAYERS:
        raise ValueError(f"it has more than {MOST_LAYERS} layers")
    return tuple(_blob(layer) for layer in found or ())


def _blob(found: Any) -> Blob:
    if not isinstance(found, dict):
        raise ValueError("a descriptor is not an object")  # noqa: TRY004 - as all else that is damaged
    digest, size, media_type = (found.get(key) for key in ("digest", "size", "mediaType"))
    if not isinstance(digest, str) or not isinstance(media_type, str):
        raise ValueError("a descriptor lacks its digest or its media type")  # noqa: TRY004
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError("a descriptor has a size that is not a number of bytes")
    return Blob(digest=Digest(digest[:100]), size=size, media_type=media_type)
