"""Artifacts beside an image: manifests that name the image as their subject.

Source: OCI Image Specification 1.1, "Guidelines for Artifact Usage"; OCI Distribution Specification 1.1,
"Pushing Manifests with Subject", and "Referrers Tag Schema" for registries without a list of referrers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from release.errors import RegistryError
from release.images.registry.client import Registry
from release.images.registry.http import DOCUMENT
from release.images.registry.manifest import (
    DAMAGED,
    OCI_INDEX,
    OCI_MANIFEST,
    Blob,
    Manifest,
    json_object,
)
from release.images.registry.tags import link_path, origin_of_link
from release.reference import Digest
from release.values import Struct

EMPTY: Final = b"{}"
"""Config of an artifact without a config; its media type is `EMPTY_TYPE`."""
EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
TITLE: Final = "org.opencontainers.image.title"
_MOST_REFERRERS: Final = 1000


class Attached(Struct, frozen=True, kw_only=True):
    """File of an artifact."""

    name: str
    media_type: str
    content: bytes


def artifact(kind: str, files: tuple[Attached, ...], subject: Blob | None = None) -> bytes:
    """Return the manifest of an artifact: the same files about the same image give the same bytes."""
    about = (
        {"mediaType": subject.media_type, "digest": subject.digest.text, "size": subject.size}
        if subject is not None
        else None
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": _descriptor(EMPTY_TYPE, EMPTY),
        "layers": [
            {**_descriptor(file.media_type, file.content), "annotations": {TITLE: file.name}}
            for file in files
        ],
        **({"subject": about} if about is not None else {}),
    }
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


class ArtifactRegistry(Registry):
    """Registry client that also uploads artifacts."""

    def put_blob(self, content: bytes) -> None:
        """Upload a small blob if the registry lacks it. Raise RegistryError, RegistryUnreachable."""
        digest = Digest.of(content)
        if self.has_blob(digest, size=len(content)):
            return
        attempted = f"upload the blob {digest.short} to {self._repository}"
        begun = self._with.expect(
            self._with.ask("POST", f"{self._path}/blobs/uploads/", attempted), attempted, 202
        )
        place = link_path(begun, begun.headers.get("Location", ""))
        if place is None or not self._with.is_ours(place[0]):
            raise RegistryError(
                attempted,
                f"the registry sends the upload to another server, {origin_of_link(place)}",
                "set the public host name in the registry, or in the proxy in front of it",
            )
        path = f"{place[1]}{'&' if '?' in place[1] else '?'}digest={digest}"
        headers = {"Content-Type": "application/octet-stream"}
        done = self._with.ask("PUT", path, attempted, headers=headers, body=content)
        self._with.expect(done, attempted, 201)

    def put_artifact(self, content: bytes, files: tuple[Attached, ...]) -> Digest:
        """Upload an artifact with its files, and check that the registry lists it. Raise RegistryError.

        Args:
            content: manifest of the artifact.
            files: files that the manifest names.
        """
        self._put_files(files)
        digest = Digest.of(content)
        attempted = f"put the artifact {digest.short} into {self._repository}"
        headers = {"Content-Type": OCI_MANIFEST}
        path = f"{self._path}/manifests/{digest}"
        answer = self._with.ask("PUT", path, attempted, headers=headers, body=content)
        self._with.expect(answer, attempted, 201)
        if "OCI-Subject" not in answer.headers:
            self._list_by_tag(content, digest, attempted)
        return digest

    def put_tagged(self, content: bytes, files: tuple[Attached, ...], tag: str) -> None:
        """Upload an artifact under a tag; move the tag if it names another one. Raise RegistryError."""
        self._put_files(files)
        self.move_tag(Manifest.parse(content), tag)

    def _put_files(self, files: tuple[Attached, ...]) -> None:
        for blob in (EMPTY, *(file.content for file in files)):
            self.put_blob(blob)

    def _list_by_tag(self, content: bytes, digest: Digest, attempted: str) -> None:
        """Add the artifact to the tagged index of the subject, for registries without referrers."""
        manifest = json_object(content, attempted)
        tag = manifest["subject"]["digest"].replace(":", "-")
        known = [each for each in self._referrers(tag, attempted) if each.get("digest") != digest.text]
        entry = {
            "mediaType": OCI_MANIFEST,
            "digest": digest.text,
            "size": len(content),
            "artifactType": manifest["artifactType"],
        }
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*known, entry][-_MOST_REFERRERS:]}
        body = json.dumps(index, sort_keys=True, separators=(",", ":")).encode()
        headers = {"Content-Type": OCI_INDEX}
        answer = self._with.ask("PUT", f"{self._path}/manifests/{tag}", attempted, headers=headers, body=body)
        self._with.expect(answer, attempted, 201)

    def _referrers(self, tag: str, attempted: str) -> list[Mapping[str, Any]]:
        answer = self._with.ask(
            "GET", f"{self._path}/manifests/{tag}", attempted, headers={"Accept": OCI_INDEX}
        )
        if self._with.expect(answer, attempted, 200, 404).status == 404:
            return []
        found = json_object(answer.content, attempted).get("manifests") or []
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise RegistryError(attempted, f"its index {tag} is not a list of manifests", DAMAGED)
        return found

    def small_blob(self, digest: Digest, size: int) -> bytes:
        """Return the bytes of a file of an artifact, checked against its digest. Raise RegistryError."""
        if size > DOCUMENT:
            raise RegistryError(
                f"read the blob {digest.short} from {self._repository}",
                f"it has {size} bytes, and a file of evidence has at most {DOCUMENT}",
                DAMAGED,
            )
        with self.blob(Blob(digest=digest, size=size, media_type="")) as stream:
            return stream.read()
