"""Scratch tag in a repository, to prove that the login may push and pull.

Source: OCI Distribution Specification 1.1, "Pushing Blobs", "Pushing Manifests", "Content Management"; OCI
Image Specification 1.1, "Guidance for an Empty Descriptor".
"""

from __future__ import annotations

import json
from typing import Final

from release.errors import RegistryError
from release.images.registry.manifest import ACCEPT, DAMAGED, OCI_MANIFEST
from release.images.registry.requester import Conversation
from release.images.registry.tags import link_path, origin_of_link
from release.reference import Digest

TAG: Final = "release-doctor"
"""Name of the scratch tag, the same for all: a registry that deletes nothing keeps one tag."""

_BLOB: Final = b"{}"
_EMPTY: Final = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": Digest.of(_BLOB).text,
    "size": len(_BLOB),
}
MANIFEST: Final = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.release.doctor",
        "config": _EMPTY,
        "layers": [_EMPTY],
        "annotations": {"org.opencontainers.image.title": "scratch tag of the release doctor"},
    },
    separators=(",", ":"),
    sort_keys=True,
).encode()
"""Manifest with bytes that no other image has, so that only the scratch tag is deleted with it."""


def prove_push_and_pull(conversation: Conversation, name: str, path: str) -> bool:
    """Push, pull and remove the scratch tag. Return False if the registry does not remove it.

    Args:
        conversation: requests to the registry.
        name: name of the repository, for messages.
        path: path of the repository, as "/v2/acme/api".

    Raises:
        RegistryError: the login may not push or pull, or the tag names another image.
        RegistryUnreachable: the registry does not answer.
    """
    _refuse_another(conversation, name, path)
    _put_blob(conversation, f"push to {name}", path)
    headers = {"Content-Type": OCI_MANIFEST}
    attempted = f"push {name}:{TAG}"
    put = conversation.ask("PUT", f"{path}/manifests/{TAG}", attempted, headers=headers, body=MANIFEST)
    conversation.expect(put, attempted, 201)
    attempted = f"pull {name}:{TAG}"
    for place in (f"{path}/manifests/{TAG}", f"{path}/blobs/{Digest.of(_BLOB)}"):
        answer = conversation.ask("GET", place, attempted, headers={"Accept": ACCEPT})
        content = conversation.expect(answer, attempted, 200).content
        if content not in (MANIFEST, _BLOB):
            raise RegistryError(attempted, "it answers with other bytes than were pushed", DAMAGED)
    gone = conversation.ask("DELETE", f"{path}/manifests/{Digest.of(MANIFEST)}", f"remove {name}:{TAG}")
    return gone.status in (200, 202, 404)


def _refuse_another(conversation: Conversation, name: str, path: str) -> None:
    """Raise RegistryError if the tag names an image that this library did not push."""
    attempted = f"read {name}:{TAG}"
    found = conversation.ask("GET", f"{path}/manifests/{TAG}", attempted, headers={"Accept": ACCEPT})
    if conversation.expect(found, attempted, 200, 404).status == 200 and found.content != MANIFEST:
        hint = f"another image has this tag. Remove the tag {TAG} yourself, then run it again"
        raise RegistryError(f"use the scratch tag {name}:{TAG}", "it holds another image", hint)


def _put_blob(conversation: Conversation, attempted: str, path: str) -> None:
    """Upload the blob of two bytes in one request."""
    begun = conversation.expect(conversation.ask("POST", f"{path}/blobs/uploads/", attempted), attempted, 202)
    place = link_path(begun, begun.headers.get("Location", ""))
    if place is None or not conversation.is_ours(place[0]):
        hint = "set the public host name in the registry, or in the proxy in front of it"
        raise RegistryError(
            attempted, f"the registry sends the upload to another server, {origin_of_link(place)}", hint
        )
    target = f"{place[1]}{'&' if '?' in place[1] else '?'}digest={Digest.of(_BLOB)}"
    headers = {"Content-Type": "application/octet-stream"}
    conversation.expect(
        conversation.ask("PUT", target, attempted, headers=headers, body=_BLOB), attempted, 201
    )
