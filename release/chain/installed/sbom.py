"""The bill of materials of an image in CycloneDX 1.6, from its list of packages.

The same image at the same commit gives the same bytes: its serial number and its time come from them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

_NAMESPACE: Final = uuid.UUID("3f1c2f54-7c3e-5d6b-8a52-0c8b6f6a9d11")
_LAYER: Final = "release:layer"
_FROM: Final = "release:from"
_FOLDER: Final = "release:folder"


def create_sbom(document: Mapping[str, Any], name: str, version: str, moment: str) -> bytes:
    """Return the document as JSON.

    Args:
        document: the list of packages, as `listing` makes it.
        name: the name of the service.
        version: the version of the release.
        moment: the time of the commit, RFC 3339.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    image = str(document["image"])
    bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, image))
    bom.metadata.timestamp = datetime.fromisoformat(moment)
    root = Component(name=name, version=version, type=ComponentType.CONTAINER, bom_ref=image)
    bom.metadata.component = root
    parts = list(_sbom_components(document))
    bom.components.update(parts)
    bom.register_dependency(root, parts)
    return (JsonV1Dot6(bom).output_as_string(indent=1) + "\n").encode()


def _sbom_components(document: Mapping[str, Any]) -> Iterable[Component]:
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    for row in document["packages"]:
        name, version, folder = str(row["name"]), str(row["version"]), str(row["folder"])
        values = {_FROM: row["from"], _FOLDER: folder, _LAYER: row["layer"]}
        yield Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            purl=PackageURL("pypi", None, name, version),
            bom_ref=f"{folder}/{name}@{version}",
            properties=[Property(name=key, value=str(value)) for key, value in values.items()],
        )
    for row in document.get("system", ()):
        kind, name, version = str(row["kind"]), str(row["name"]), str(row["version"])
        yield Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            purl=PackageURL(kind, row.get("distribution"), name, version),
            bom_ref=f"{kind}/{name}@{version}",
        )
