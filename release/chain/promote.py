"""The version tag: the recorded manifest bytes under the name that people use. Always repeatable."""

from __future__ import annotations

from dataclasses import dataclass

from release.chain.record import Recorded
from release.chain.shop import Shop
from release.errors import EngineError, RegistryError
from release.events import Emit, Notice, Warned
from release.images.engine import Engine
from release.images.registry import Registry
from release.process import Cancellation
from release.records import Image, Release
from release.reference import Digest, Reference, Repository


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """The version tag stands on the recorded manifest."""

    evidence: bytes
    summary: str


def promote(shop: Shop) -> Promoted:
    """Put the recorded release under its version tag. Raises RegistryError, EngineError."""
    release = shop.products.get(Recorded).record.body
    with_registry = shop.plan.service.registry is not None
    tag = put_tag(release, shop.engine if not with_registry else None, shop.emit, shop.cancellation)
    return Promoted(evidence=str(tag).encode(), summary=str(tag))


def put_tag(
    release: Release, engine: Engine | None, emit: Emit, cancellation: Cancellation | None = None
) -> Reference:
    """The version tag on the recorded manifest, in the registry, or in this engine's own store.

    Args:
        release: the recorded release.
        engine: the engine whose store is the registry; None where there is a real one.
        emit: told when a tag of an engine's store is taken over from another image, and of every new attempt.
        cancellation: ends the pauses between attempts.

    Raises:
        RegistryError: the tag holds another digest, or the registry no longer has the manifest.
        EngineError: the image is no longer in the engine's store.
    """
    tag = Repository(release.image.repository).tagged(release.version)
    if engine is None:
        _in_registry(release.image, tag, emit, cancellation)
    else:
        _in_engine(release.image, tag, engine, emit)
    return tag


def _in_registry(image: Image, tag: Reference, emit: Emit, cancellation: Cancellation | None) -> None:
    registry = Registry(tag.repository, tell=lambda text: emit(Notice(text=text)), cancellation=cancellation)
    by_digest = tag.repository.at(Digest(image.digest))
    manifest = registry.manifest(by_digest)
    if manifest is None:
        raise RegistryError(
            f"put the tag {tag} on {image.digest}",
            "the registry no longer has this manifest",
            "restore it from a backup, or release the next version; the record keeps how it was built",
        )
    registry.put_manifest(manifest, tag.tag or "")


def _in_engine(image: Image, tag: Reference, engine: Engine, emit: Emit) -> None:
    """An engine's store is shared by all clones on the machine: a name there proves nothing; it is moved."""
    stored = engine.find(digest=Digest(image.digest), config_digest=Digest(image.config_digest))
    if stored is None:
        raise EngineError(
            f"name the image {tag}",
            f"the engine no longer has {image.digest}",
            "the image was removed from the engine; release the next version, or rebuild from the record",
        )
    known = engine.inspect(tag)
    if known is not None and known.id == stored.id:
        return
    if known is not None:
        emit(Warned(text=f"{tag} was {known.id}, which is not in this ledger; it is {stored.id} now"))
    engine.tag(stored.id, tag)
