"""Values of a target's upkeep: stores of images, and objects that nothing needs any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from release.images.engine import StoredImage
from release.reference import Digest, Repository
from release.runspec import RunSpec
from release.values import Struct


class ImageStore(Protocol):
    """An image store: the target's own, or that of another machine of its cluster."""

    @property
    def host(self) -> str:
        """Return the address of the machine."""

    @property
    def node(self) -> str:
        """Return the machine's name in its cluster; empty if the target itself is reached through it."""

    @property
    def names_by_manifest(self) -> bool:
        """Return whether an image's id is its manifest's digest, and not its config's."""

    def images(self, repository: Repository | None) -> Sequence[StoredImage]:
        """Return the images with a name of this repository, or all. Raises EngineError."""

    def used(self) -> Mapping[Digest, str]:
        """Return the images that a container uses, each with the container's name."""

    def untag(self, name: str) -> None:
        """Remove a name. An image without names is removed. Raises EngineError."""


class Unneeded(Struct, frozen=True, kw_only=True):
    """An object of a cluster that nothing needs: a secret, a config, or an ended command's job."""

    kind: Literal["secrets", "configs", "services"]
    id: str
    name: str

    def __str__(self) -> str:
        """Return the object as text: "secret api-production-TOKEN-…"."""
        return f"{self.kind.removesuffix('s')} {self.name}"


class Needs(Struct, frozen=True, kw_only=True):
    """Settings and deployments, by the ledger, whose objects must stay."""

    specs: Sequence[RunSpec]
    """Settings that a rollback could restore."""
    ended: frozenset[str]
    """Ended deployments: none of them can be reverted any more."""
