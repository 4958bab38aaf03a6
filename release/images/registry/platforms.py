"""The image of one platform behind a name, which may be an index of several images.

Source: OCI Image Specification 1.1, "Image Index"; Docker's manifest list version 2.
"""

from __future__ import annotations

from typing import Any

from release.errors import RegistryError
from release.images.registry.client import Registry
from release.images.registry.manifest import DAMAGED, DOCKER_LIST, OCI_INDEX, Manifest, json_object
from release.reference import Digest, Reference


def manifest_of_platform(registry: Registry, reference: Reference, platform: str) -> Manifest | None:
    """Return the image of a platform; None if the registry lacks the name, or an index the platform.

    Args:
        registry: client of the repository.
        reference: tag or digest of an image or an index.
        platform: as "linux/amd64"; empty: the only platform of an index.

    Raises:
        RegistryError, RegistryUnreachable.
    """
    found = registry.content(reference)
    if found is None:
        return None
    content, media_type = found
    data = json_object(content, f"read the manifest {reference}")
    if (media_type or data.get("mediaType")) not in (OCI_INDEX, DOCKER_LIST):
        return Manifest.parse(content, media_type or None)
    digest = _of_platform(data, platform, f"read the index {reference}")
    return registry.manifest(reference.repository.at(digest)) if digest is not None else None


def _of_platform(index: dict[str, Any], platform: str, attempted: str) -> Digest | None:
    wanted = platform.split("/") if platform else []
    try:
        every = [each for each in index.get("manifests") or () if "unknown" not in _names(each)]
        entries = [each for each in every if not wanted or _names(each)[:2] == wanted[:2]]
        if not wanted and len(entries) > 1:
            return None
        exact = [each for each in entries if _names(each) == wanted]
        chosen = (exact or entries or [None])[0]
        return Digest(str(chosen["digest"])) if chosen is not None else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RegistryError(attempted, f"it is damaged: {error!r}", DAMAGED) from error


def _names(entry: dict[str, Any]) -> list[str]:
    given = entry.get("platform") or {}
    known = [given.get("os"), given.get("architecture"), given.get("variant")]
    return [str(part) for part in known if part]
