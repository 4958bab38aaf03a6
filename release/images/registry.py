"""A registry through the OCI Distribution API: reading back what was pushed, and promoting it.

Source: OCI Distribution Specification 1.1. Uploads of layers are the engine's work, not ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from release.reference import Digest, Reference, Repository


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A descriptor: digest, size in bytes, media type."""

    digest: Digest
    size: int
    media_type: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """An image manifest, as bytes and as what they say. `digest` was computed here from `content`."""

    digest: Digest
    media_type: str
    content: bytes
    config: Blob
    layers: tuple[Blob, ...]

    @classmethod
    def parse(cls, content: bytes, media_type: str | None = None) -> Manifest:
        """Parse an image manifest. Raises RegistryError for an index, a list, or anything else."""
        raise NotImplementedError


class Registry:
    """One registry host, with the credentials Docker has for it."""

    def __init__(self, repository: Repository) -> None:
        """Make no request yet."""
        raise NotImplementedError

    def manifest(self, reference: Reference) -> Manifest | None:
        """The manifest under a tag or digest, hashed here; None when it is not there (404).

        Raises RegistryError, RegistryUnreachable.
        """
        raise NotImplementedError

    def put_manifest(self, manifest: Manifest, tag: str) -> None:
        """Put these bytes under a tag and read them back. Raises RegistryError."""
        raise NotImplementedError

    def has_blob(self, digest: Digest) -> bool:
        """Whether the registry has a config or layer."""
        raise NotImplementedError

    @contextmanager
    def blob(self, blob: Blob) -> Iterator[BinaryIO]:
        """A stream of the blob's bytes; closing it checks that they hash to the digest. Raises RegistryError."""
        raise NotImplementedError
        yield
