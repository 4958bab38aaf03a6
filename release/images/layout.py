"""Check of an image's bytes: the digest of every blob, and the file times in its layers.

The engine's own store is read through `docker save`, which for the containerd store is an OCI image layout
(OCI Image Specification 1.1, "Image Layout") in a tar stream: blobs first, then `index.json`.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from typing import IO, BinaryIO, Final, Protocol, cast

from release.errors import EngineError
from release.images.registry import Manifest
from release.parsing import jsontext
from release.reference import Digest
from release.values import Struct

_BLOBS: Final = "blobs/sha256/"
_CHUNK: Final = 1 << 20
_SMALL: Final = 4 << 20
"""Largest size of a document that is kept, in bytes: most registries allow no larger manifest."""


class Layout(Struct, frozen=True, kw_only=True):
    """Content of an image layout: digests of all blobs, and the bytes of the small blobs."""

    blobs: frozenset[Digest]
    documents: dict[Digest, bytes]
    index: dict[str, object]


def read_layout(stream: BinaryIO, inspect: Callable[[Digest, Readable], None] | None = None) -> Layout:
    """Read an image layout from a tar stream and compute the digest of every blob.

    Args:
        stream: the tar, uncompressed.
        inspect: called with each blob's digest and a stream of its bytes.

    Raises:
        EngineError: a blob's bytes do not hash to its name, or there is no index.
    """
    blobs: set[Digest] = set()
    documents: dict[Digest, bytes] = {}
    index: dict[str, object] | None = None
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if member.name.startswith(_BLOBS):
                blobs.add(_blob(member, content, documents, inspect))
            elif member.name == "index.json":
                index = _index(member, content)
            if len(blobs) > MOST_BLOBS or sum(map(len, documents.values())) > MOST_DOCUMENT_BYTES:
                raise EngineError(_READ, "it has more blobs than an image has", _NOT_AN_ENGINE)
    if index is None:
        raise EngineError(
            "read the image back from the engine",
            "the engine exported no OCI image layout: its image store is not containerd's",
            "configure `registry`, or turn on the engine's containerd image store",
        )
    return Layout(blobs=frozenset(blobs), documents=documents, index=index)


_READ: Final = "read the image back from the engine"
_NOT_AN_ENGINE: Final = "check that a Docker Engine answers at this address: `docker version`"
MOST_BLOBS: Final = 10_000
MOST_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
"""Largest size of all kept documents of one export together, in bytes."""


def _index(member: tarfile.TarInfo, content: Readable) -> dict[str, object]:
    try:
        if member.size > _SMALL:
            raise ValueError(f"it has {member.size} bytes; the limit is {_SMALL}")
        return jsontext.read_object(content.read())
    except ValueError as error:
        raise EngineError(_READ, f"index.json of its export: {error}", _NOT_AN_ENGINE) from error


def _blob(
    member: tarfile.TarInfo,
    content: Readable,
    documents: dict[Digest, bytes],
    inspect: Callable[[Digest, Readable], None] | None,
) -> Digest:
    try:
        named = Digest(f"sha256:{member.name.removeprefix(_BLOBS)[:100]}")
    except ValueError as error:
        raise EngineError(_READ, f"a blob of its export has no digest: {error}", _NOT_AN_ENGINE) from error
    hashing = HashingReader(content)
    if member.size <= _SMALL:
        documents[named] = hashing.read()
    if inspect is not None:
        inspect(named, io.BytesIO(documents[named]) if named in documents else hashing)
    found = hashing.finish()
    if found != named:
        raise EngineError(
            "read the image back from the engine",
            f"blob {named} holds other bytes (they hash to {found})",
            "the engine's image store is damaged: docker image rm IMAGE; then: nox -s release -- --no-cache",
        )
    return named


class Readable(Protocol):
    """Stream of bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; all bytes without a size."""
        ...


class HashingReader:
    """Stream that computes the digest of the bytes that are read."""

    def __init__(self, stream: Readable) -> None:
        """Wrap a stream."""
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes and add them to the digest."""
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def finish(self) -> Digest:
        """Read the rest and return the digest of all bytes."""
        while self.read(_CHUNK):
            pass
        return Digest(f"sha256:{self._hash.hexdigest()}")


def files_after_epoch(layer: Readable, epoch: int, *, limit: int = 5) -> tuple[str, ...]:
    """Return files of a layer with a time after the epoch: they have the time of the build.

    Args:
        layer: the layer's tar, compressed or not.
        epoch: SOURCE_DATE_EPOCH, in seconds.
        limit: how many are named.
    """
    late: list[str] = []
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", layer), mode="r|*") as archive:
            for member in archive:
                if member.mtime > epoch and len(late) < limit:
                    late.append(f"/{member.name.rstrip('/')}")
    except tarfile.ReadError:
        return ("(a layer in a compression that this Python cannot read)",)
    return tuple(late)


def manifest_of(layout: Layout, digest: Digest) -> Manifest:
    """Return the image manifest of this digest. Raise EngineError if a part of it is missing."""
    content = layout.documents.get(digest)
    if content is None:
        raise EngineError(
            "read the image back from the engine",
            f"manifest {digest} is not in its export",
            "build again with: -- --no-cache",
        )
    manifest = Manifest.parse(content)
    missing = [blob.digest for blob in (manifest.config, *manifest.layers) if blob.digest not in layout.blobs]
    if missing:
        raise EngineError(
            "read the image back from the engine",
            f"{len(missing)} blobs of {digest} are missing: {', '.join(map(str, missing))}",
            "build again with: -- --no-cache",
        )
    return manifest
