"""Plan and result of pruning, as values: images that go, images that stay and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from release.deploy.core.upkeep import Unneeded
from release.images.engine import StoredImage
from release.records import Record, Release
from release.reference import Digest
from release.values import Struct, plain


class Removal(Struct, frozen=True, kw_only=True):
    """An image to remove: nothing needs its release."""

    version: str
    digest: str
    image: str
    """Its id in the engine's store."""
    names: tuple[str, ...]
    """All of them are taken away, and with the last one the image goes."""
    layers: Mapping[str, int]
    """Compressed bytes by digest, as recorded."""


class Kept(Struct, frozen=True, kw_only=True):
    """An image that stays, with the reasons."""

    version: str
    digest: str
    image: str
    reasons: tuple[str, ...]
    layers: Mapping[str, int]


class PrunePlan(Struct, frozen=True, kw_only=True):
    """Plan for one image store: what is removed and what stays."""

    service: str
    engine: str
    environments: tuple[str, ...]
    """Of this service, on this engine."""
    node: str
    """Name of the node in its cluster; empty if the environment itself is reached through it."""
    removals: tuple[Removal, ...]
    kept: tuple[Kept, ...]
    containers: tuple[str, ...]
    """Stopped ones that go."""
    unknown: tuple[str, ...]
    """Names of images in the service's repository that the ledger does not know: they are left alone."""
    objects: tuple[Unneeded, ...] = ()
    """Secrets and configs of a cluster that go."""

    @property
    def nothing(self) -> bool:
        """Return whether there is nothing to do."""
        return not self.removals and not self.containers and not self.objects

    def freed(self, gone: Sequence[Removal]) -> int:
        """Return the compressed bytes of layers that no remaining known release has.

        The sizes are those of the records, because an engine counts slowly.
        """
        stay = {digest for each in self.kept for digest in each.layers}
        stay |= {digest for each in self.removals if each not in gone for digest in each.layers}
        going = {digest: size for each in gone for digest, size in each.layers.items()}
        return sum(size for digest, size in going.items() if digest not in stay)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON data."""
        return {**_without_layers(plain(self)), "freed": self.freed(self.removals)}


class PruneResult(Struct, frozen=True, kw_only=True):
    """The images, containers and objects that were removed."""

    pruning: PrunePlan
    removed: tuple[Removal, ...]
    containers: tuple[str, ...]
    objects: tuple[Unneeded, ...] = ()

    @property
    def nothing(self) -> bool:
        """Return whether nothing was removed."""
        return not self.removed and not self.containers and not self.objects

    @property
    def freed(self) -> int:
        """Return the freed bytes: see `PrunePlan.freed`."""
        return self.pruning.freed(self.removed)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        return {
            **self.pruning.to_json(),
            "removed": [_without_layers(plain(each)) for each in self.removed],
            "removed_containers": list(self.containers),
            "removed_objects": [plain(each) for each in self.objects],
            "freed": self.freed,
        }


def _without_layers(data: Any) -> Any:
    """Return the data without layers, which records have."""
    if isinstance(data, list | tuple):
        return [_without_layers(each) for each in data]
    if isinstance(data, dict):
        return {key: _without_layers(value) for key, value in data.items() if key != "layers"}
    return data


def kept_image(release: Record[Release], image: StoredImage, reasons: Sequence[str]) -> Kept:
    """Return an image that stays, with the reasons."""
    return Kept(
        version=release.body.version,
        digest=release.body.image.digest,
        image=str(image.id),
        reasons=tuple(reasons),
        layers=_layers(release),
    )


def removal_of(release: Record[Release], image: StoredImage) -> Removal:
    """Return an image to remove."""
    return Removal(
        version=release.body.version,
        digest=release.body.image.digest,
        image=str(image.id),
        names=tuple(dict.fromkeys(image.references)),
        layers=_layers(release),
    )


def _layers(release: Record[Release]) -> dict[str, int]:
    return {layer.digest: layer.size for layer in release.body.image.layers}


def summary(kept: Kept) -> str:
    """Return one line about a kept image."""
    return f"{kept.version}  {Digest(kept.digest).short}  {'; '.join(kept.reasons)}"
