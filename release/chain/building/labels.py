"""Labels that a build may not set: by `release.*` this library finds its own containers and images."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from release.errors import GateFailed
from release.images.engine import StoredImage

_RESERVED: Final = "release."


def refuse_reserved_labels(stage: str, image: StoredImage, own_labels: Collection[str]) -> None:
    """Refuse an image with labels that only this library sets. Every container would inherit them.

    Args:
        stage: the stage of the chain.
        image: the image that was built.
        ours: names of the labels that this library set.

    Raises:
        GateFailed: with the names of all refused labels.
    """
    own = sorted(
        name for name in image.labels if name.casefold().startswith(_RESERVED) and name not in own_labels
    )
    if own:
        raise GateFailed(
            stage,
            f"the image has labels that are reserved: {', '.join(own)}",
            "remove these LABELs from the Dockerfile; if a base image has them, use another one",
        )
