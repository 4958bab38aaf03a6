"""The stage `push`: upload the candidate to the registry, and prove that it arrived.

With a registry the engine uploads the image under `sha-<commit>`, never over a release's; manifest, config
and layers are then read back and hashed here. Without one, the engine's own containerd image store is the
registry: its export is read and hashed in the same way. What is recorded is what was read back, never what
was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from release.chain.building.stage import BuiltImage
from release.chain.plan import SOURCE_DATE_EPOCH
from release.chain.stage_context import StageContext, evidence_bytes
from release.errors import GateFailed, LedgerUnreachable, TransferBroken
from release.events import Notice, Warned
from release.images.engine import Engine
from release.images.imageconfig import own_layers
from release.images.layout import Readable, files_after_epoch, manifest_of, read_layout
from release.images.registry import Blob, Manifest, Registry
from release.ledger import query
from release.ledger.record_numbering import describe_content, version_taken_error
from release.ledger.store import Ledger
from release.records import Release
from release.reference import Digest, Reference
from release.retry import RetryPolicy
from release.values import Struct

_UPLOAD: Final = RetryPolicy(attempts=4, first=1.0, longest=5.0)


class PushedImage(Struct, frozen=True, kw_only=True):
    """A pushed image that was read back and hashed. `late` names files with the time of the build."""

    manifest: Manifest
    files_after_epoch: tuple[str, ...]
    evidence: bytes
    summary: str


def push_candidate(ctx: StageContext) -> PushedImage:
    """Upload the candidate if there is a registry, and read it back.

    Raises:
        GateFailed: something else is under the candidate's name, or nothing.
        RegistryError: the registry refuses, or a transfer broke more often than is reasonable.
    """
    built = ctx.products.get(BuiltImage)
    with_registry = ctx.plan.service.registry is not None
    seen = _push_to_registry(ctx, built) if with_registry else _verify_in_engine(ctx, built)
    _refuse_untested_image(ctx.engine, built, seen.manifest)
    if seen.files_after_epoch:
        ctx.emit(Warned(text=_not_reproducible_warning(seen.files_after_epoch)))
    facts = {"manifest": str(seen.manifest.digest), "layers": len(seen.manifest.layers)}
    return PushedImage(
        manifest=seen.manifest,
        files_after_epoch=seen.files_after_epoch,
        evidence=evidence_bytes(
            "push", facts | ({"known": list(map(str, seen.known_layers))} if seen.known_layers else {})
        ),
        summary=_summarize_push(seen),
    )


class _StoredContent(Struct, frozen=True, kw_only=True):
    """Content of the registry under the release's names."""

    manifest: Manifest
    files_after_epoch: tuple[str, ...]
    known_layers: tuple[Digest, ...] = ()
    """Layers that an earlier release has read back, so that they were not read again."""


def _summarize_push(seen: _StoredContent) -> str:
    """Return the digest, layers and size, as "0123456789ab, 4 layers, 55.7 MB, read back"."""
    layers = seen.manifest.layers
    read = f"{len(layers) - len(seen.known_layers)} of them read back" if seen.known_layers else "read back"
    size = sum(layer.size for layer in layers)
    return f"{seen.manifest.digest.short}, {len(layers)} layers, {size / 1e6:.1f} MB, {read}"


def _refuse_untested_image(engine: Engine, built: BuiltImage, manifest: Manifest) -> None:
    """Refuse a manifest of another image than the tested one. Raises GateFailed."""
    expected, found = built.config_digest, manifest.config.digest
    if engine.info.image_store == "containerd":
        expected, found = built.stored_image.id, manifest.digest
    if expected != found:
        raise GateFailed(
            "push",
            f"{built.reference} has the digest {found}, but {expected} was tested",
            "another program pushed this tag: check which accounts push to the repository",
        )


def _not_reproducible_warning(files: tuple[str, ...]) -> str:
    return (
        "a second build will have another digest, because files carry the time of the build "
        f"({', '.join(files)}); `invoke explain reproducible` shows a Dockerfile that avoids it"
    )


def _verify_in_engine(ctx: StageContext, built: BuiltImage) -> _StoredContent:
    if ctx.engine.info.image_store != "containerd":
        raise GateFailed(
            "push",
            "no `registry` is configured, and this engine's image store (a graph driver) keeps no manifests",
            "configure `registry`, or give the engine the containerd image store: "
            'set {"features": {"containerd-snapshotter": true}} in its daemon.json',
        )
    ctx.report_progress("push", "hashing every blob in the engine's image store")
    late: dict[Digest, tuple[str, ...]] = {}

    def look(digest: Digest, stream: Readable) -> None:
        ctx.cancellation.check()
        late[digest] = files_after_epoch(stream, SOURCE_DATE_EPOCH)

    with ctx.engine.exported(built.reference, cancellation=ctx.cancellation) as stream:
        layout = read_layout(stream, look)
    manifest = manifest_of(layout, built.stored_image.id)
    config = layout.documents[manifest.config.digest]
    return _StoredContent(
        manifest=manifest, files_after_epoch=_files_after_epoch_in_new_layers(manifest, config, late)
    )


def _push_to_registry(ctx: StageContext, built: BuiltImage) -> _StoredContent:
    repository, tell = ctx.plan.service.repository, partial(_report, ctx)
    registry = Registry(repository, tell=tell, cancellation=ctx.cancellation)
    existing = registry.manifest(built.reference)
    if existing is None or not _is_same_image(ctx.engine, built, existing):
        if existing is not None:
            _refuse_released_commit(ctx, existing)
            tell(
                f"{built.reference} was {existing.digest}, from a build that was not released; it "
                "is replaced. No action needed."
            )
        ctx.report_progress("push", f"uploading {built.reference}")
        _upload(ctx, built.reference, registry)
    manifest = registry.manifest(built.reference)
    if manifest is None:
        raise GateFailed(
            "push",
            f"the registry accepted {built.reference}, but has no manifest under that name",
            "run `nox -s release` again, or `nox -s push`; if it fails again, read the registry's log",
        )
    _refuse_taken_version(ctx, registry, manifest)
    ctx.report_progress("push", "reading it back")
    config = registry.document(manifest.config)
    own = {layer.digest for layer in _layers_above_base(manifest, config)}
    known = _verified_layers(ctx, registry, manifest)
    late = {
        layer.digest: _read_back_layer(ctx, registry, layer, inspect=layer.digest in own)
        for layer in manifest.layers
        if layer.digest not in known
    }
    return _StoredContent(
        manifest=manifest,
        files_after_epoch=_files_after_epoch_in_new_layers(manifest, config, late),
        known_layers=known,
    )


def _verified_layers(ctx: StageContext, registry: Registry, manifest: Manifest) -> tuple[Digest, ...]:
    """Return the layers that the previous release has read back whole, if the settings allow to skip them.

    That release passed its own push into the same repository, without files that hold the time of the build.
    The registry has to confirm each layer and its size.
    """
    if ctx.plan.service.push.read_back == "all":
        return ()
    newest = next(query.history(ctx.open_ledger(), ctx.plan.service.service, kind=Release.kind), None)
    before = newest.body if newest is not None else None
    if not isinstance(before, Release) or not _was_read_back(before, ctx):
        return ()
    read = {layer.digest for layer in before.image.layers}
    found = [layer for layer in manifest.layers if str(layer.digest) in read]
    known = tuple(layer.digest for layer in found if registry.has_blob(layer.digest, size=layer.size))
    if known:
        ctx.report_progress("push", f"{len(known)} layers were read back before, for {before.version}")
    return known


def _was_read_back(release: Release, ctx: StageContext) -> bool:
    """Return whether a release has read its image back; a recovered release has no gates."""
    is_here = release.image.repository == str(ctx.plan.service.repository)
    is_pushed = any(gate.name == "push" for gate in release.gates)
    return is_here and is_pushed and not release.build.timestamps


def _refuse_released_commit(ctx: StageContext, existing: Manifest) -> None:
    """Refuse to replace an image whose commit another run has released. Raises VersionTaken."""
    plan = ctx.plan
    if not plan.is_due:
        return
    attempted = f"replace {existing.digest} under {plan.candidate}"
    ledger = _refreshed_ledger(ctx, attempted)
    record = query.release_of_commit(ledger, plan.service.service, plan.commit.id)
    if record is not None:
        raise version_taken_error(attempted, plan.commit.id, record)


def _refuse_taken_version(ctx: StageContext, registry: Registry, manifest: Manifest) -> None:
    """Refuse a version tag of another image, before the commit point.

    If a faster run set the tag, the error names that run, from the ledger.
    """
    plan = ctx.plan
    taken = registry.digest(plan.released)
    if taken is None or taken == manifest.digest:
        return
    content = describe_content(manifest.digest.text, plan.commit.id)
    attempted = f"release {plan.service.service} {plan.version} as {content}"
    ledger = _refreshed_ledger(ctx, attempted)
    record = query.release_of_version(ledger, plan.service.service, str(plan.version))
    if record is not None:
        raise version_taken_error(attempted, plan.commit.id, record)
    raise GateFailed(
        "push",
        f"{plan.released} exists with the digest {taken}, which no release in the ledger has; "
        f"this image is {manifest.digest}",
        "a version's tag is never moved: delete it yourself, or release another version",
    )


def _refreshed_ledger(ctx: StageContext, attempted: str) -> Ledger:
    """Return the ledger, refreshed: other runs may have written since the plan was made."""
    ledger = ctx.open_ledger()
    if not ledger.refresh():
        raise LedgerUnreachable(
            attempted,
            "the ledger's git remote does not answer, so it is unknown if this digest is a release",
            "run it again when the remote answers",
        )
    return ledger


def _upload(ctx: StageContext, reference: Reference, registry: Registry) -> None:
    """Upload what the registry lacks. After a broken transfer, only the rest is sent again."""
    send = partial(
        ctx.engine.push,
        reference,
        cancellation=ctx.cancellation,
        registry=registry,
        still=ctx.plan.service.push.stalled,
        on_bytes=lambda sent, known: ctx.show_brief_progress(
            "push", f"{sent / 1e6:.1f} of {known / 1e6:.1f} MB"
        ),
    )

    def again(error: Exception, left: int) -> bool:
        is_worth_it = isinstance(error, TransferBroken)
        if is_worth_it:
            _report(
                ctx,
                f"{_error_without_hint(error)}; the registry accepts uploads, so uploading again "
                f"({left} left)",
            )
        return is_worth_it

    _UPLOAD.trying(send, again, ctx.cancellation)


def _error_without_hint(error: Exception) -> str:
    """Return the error without its hint."""
    return f"{error.attempted}: {error.found}" if isinstance(error, TransferBroken) else str(error)


def _report(ctx: StageContext, text: str) -> None:
    """Report a text as progress and in the stage's log."""
    ctx.write_log("push", [text])
    ctx.emit(Notice(text=text))


def _is_same_image(engine: Engine, built: BuiltImage, manifest: Manifest) -> bool:
    """Return whether the registry already holds this candidate, from an interrupted run."""
    if engine.info.image_store == "containerd":
        return manifest.digest == built.stored_image.id
    return manifest.config.digest == built.config_digest


def _read_back_layer(ctx: StageContext, registry: Registry, layer: Blob, *, inspect: bool) -> tuple[str, ...]:
    ctx.cancellation.check()
    with registry.blob(layer, cancellation=ctx.cancellation) as stream:
        return files_after_epoch(stream, SOURCE_DATE_EPOCH) if inspect else ()


def _layers_above_base(manifest: Manifest, config: bytes) -> list[Blob]:
    """Return the layers that the build added to its base image."""
    own = own_layers(config, SOURCE_DATE_EPOCH)
    return [layer for position, layer in enumerate(manifest.layers) if position in own]


def _files_after_epoch_in_new_layers(
    manifest: Manifest, config: bytes, late: Mapping[Digest, tuple[str, ...]]
) -> tuple[str, ...]:
    layers = _layers_above_base(manifest, config)
    return tuple(dict.fromkeys(name for layer in layers for name in late.get(layer.digest, ())))
