"""Config of an image (OCI Image Specification 1.1, "Image Configuration")."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from release.errors import RegistryError
from release.parsing import jsontext
from release.reference import Digest

_DAMAGED = "the registry or a proxy is damaged, or another tool wrote this image: build it again"


def parse_config(content: bytes, attempted: str = "read the config of an image") -> dict[str, Any]:
    """Return a config as data. Raise RegistryError if it is not a JSON object within the limits."""
    try:
        return jsontext.read_object(content)
    except ValueError as error:
        raise RegistryError(attempted, str(error), _DAMAGED) from error


def diff_ids(content: bytes) -> tuple[Digest, ...]:
    """Return the digests of the uncompressed layers. Raise RegistryError if the config lists none."""
    attempted = "read the layers in the config of an image"
    found = parse_config(content, attempted).get("rootfs")
    listed = found.get("diff_ids") if isinstance(found, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise RegistryError(attempted, "it does not list the digests of its layers", _DAMAGED)
    try:
        return tuple(Digest(each[:100]) for each in listed)
    except ValueError as error:
        raise RegistryError(attempted, str(error), _DAMAGED) from error


def own_layers(content: bytes, epoch: int) -> tuple[int, ...]:
    """Return the positions of the layers that our build made, without base layers. Raise RegistryError.

    BuildKit writes SOURCE_DATE_EPOCH as the creation time of each step of its own (`history`); steps without
    a layer say `empty_layer`.
    """
    attempted = "read the history in the config of an image"
    history = parse_config(content, attempted).get("history") or []
    if not isinstance(history, list) or not all(isinstance(step, dict) for step in history):
        raise RegistryError(attempted, "it is not a list of steps", _DAMAGED)
    made = [step for step in history if not step.get("empty_layer")]
    stamp = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return tuple(position for position, step in enumerate(made) if step.get("created") == stamp)
