"""The version tag: the recorded manifest under its version. Promoting can be repeated.

From here on the commit's tag also belongs to the release: the image of a slower run loses that tag.
"""

from __future__ import annotations

from release.chain.publishing.record import Recorded
from release.chain.stage_context import StageContext
from release.errors import EngineError, RegistryError
from release.events import Emit, Notice, Warned
from release.images.engine import Engine
from release.images.registry import Registry
from release.programs.cancellation import Cancellation
from release.records import Image, Release
from release.reference import Digest, Reference, Repository
from release.values import Struct


class Promoted(Struct, frozen=True, kw_only=True):
    """Marks that the version tag points to the recorded manifest."""

    evidence: bytes
    summary: str


def promote_release(ctx: StageContext) -> Promoted:
    """Tag the recorded manifest with its version. Raises RegistryError, EngineError."""
    release = ctx.products.get(Recorded).record.body
    with_registry = ctx.plan.service.registry is not None
    try:
        tag = tag_release(release, ctx.engine if not with_registry else None, ctx.emit, ctx.cancellation)
    except (RegistryError, EngineError):
        ctx.emit(Warned(text=_missing_tag_hint(release.version)))
        raise
    return Promoted(evidence=str(tag).encode(), summary=str(tag))


def _missing_tag_hint(version: str) -> str:
    return (
        f"{version} is released and recorded, but its image lacks the version tag: run `nox -s "
        "release` again to add it"
    )


def tag_release(
    release: Release, engine: Engine | None, emit: Emit, cancellation: Cancellation | None = None
) -> Reference:
    """Tag the recorded manifest with version and commit, in the registry or in this engine's store.

    Args:
        release: the recorded release.
        engine: the engine whose store serves as registry; None with a real registry.
        emit: reports a tag that is taken over from another image, and every new attempt.
        cancellation: ends the pauses between attempts.

    Raises:
        RegistryError: the version's tag holds another digest, or the registry no longer has the manifest.
        EngineError: the image is no longer in the engine's store.
    """
    repository = Repository(release.image.repository)
    tag, kept = repository.tagged(release.version), repository.tagged(f"sha-{release.source.commit}")
    if engine is None:
        _tag_in_registry(release.image, tag, kept, emit, cancellation)
    else:
        _tag_in_engine(release.image, (tag, kept), engine, emit)
    return tag


def _tag_in_registry(
    image: Image, tag: Reference, commit_tag: Reference, emit: Emit, cancellation: Cancellation | None
) -> None:
    registry = Registry(tag.repository, tell=lambda text: emit(Notice(text=text)), cancellation=cancellation)
    by_digest = tag.repository.at(Digest(image.digest))
    manifest = registry.manifest(by_digest)
    if manifest is None:
        raise RegistryError(
            f"put the tag {tag} on {image.digest}",
            "the registry does not have this manifest any more",
            "restore it from a backup, or release the next version; the record keeps how it was built",
        )
    registry.put_manifest(manifest, tag.tag or "")
    if (moved := registry.move_tag(manifest, commit_tag.tag or "")) is not None:
        emit(_moved_tag_warning(commit_tag, moved, manifest.digest))


def _moved_tag_warning(tag: Reference, before: Digest, now: Digest) -> Warned:
    return Warned(text=f"the tag {tag} was {before}, which is not in this ledger; now it is {now}")


def _tag_in_engine(image: Image, tags: tuple[Reference, ...], engine: Engine, emit: Emit) -> None:
    """Tag the image in the engine's store, also over an existing tag: all clones share that store."""
    stored = engine.find(digest=Digest(image.digest), config_digest=Digest(image.config_digest))
    if stored is None:
        raise EngineError(
            f"name the image {tags[0]}",
            f"the engine does not have {image.digest} any more",
            "the image was removed: release the next version, or rebuild it: invoke verify "
            "--rebuild VERSION --keep",
        )
    for tag in tags:
        known = engine.inspect(tag)
        if known is None or known.id != stored.id:
            if known is not None:
                emit(_moved_tag_warning(tag, known.id, stored.id))
            engine.tag(stored.id, tag)
