"""Values of a target's upkeep: stores of images, and objects that nothing needs any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from release.images.engine import StoredImage
from release.reference import Digest, Repository
from release.runspec import RunSpec
from release.values import Struct


class ImageStore(Protocol):
    """A store of images: that of the target itself, or of another machine of its cluster."""

    @property
    def host(self) -> str:
        """Address of the machine."""

    @property
    def node(self) -> str:
        """Name of the machine in its cluster; empty if the target itself is reached through it."""

    @property
    def names_by_manifest(self) -> bool:
        """Return whether an image's id is the digest of its manifest, and not of its config."""

    def images(self, repository: Repository | None) -> Sequence[StoredImage]:
        """Return the images with a name of this repository, or with any name. Raises EngineError."""

    def used(self) -> Mapping[Digest, str]:
        """Return images that some container is made of, whoever made it, with its name."""

    def untag(self, name: str) -> None:
        """Take a name away; with its last name an image goes. Raises EngineError."""


class Unneeded(Struct, frozen=True, kw_only=True):
    """An object of a cluster that nothing needs: a secret, a config, or the job of a command that ended."""

    kind: Literal["secrets", "configs", "services"]
    id: str
    name: str

    def __str__(self) -> str:
        """As "secret api-production-TOKEN-…"."""
        return f"{self.kind.removesuffix('s')} {self.name}"


class Needs(Struct, frozen=True, kw_only=True):
    """Objects that must stay, by the ledger."""

    specs: Sequence[RunSpec]
    """Settings that a rollback could restore."""
    ended: frozenset[str]
    """Deployments that are over: nobody will put back what was before them."""
