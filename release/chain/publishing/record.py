"""The commit point: record and git tag are pushed together; from then on the release exists.

Before the commit point nothing is released. Afterwards everything else can be repaired from the record.
"""

from __future__ import annotations

import hashlib
from typing import cast

from release.actor import TOOL, utc_now_text
from release.chain.building.stage import BuiltImage
from release.chain.lockgate.gate import LockChecked
from release.chain.plan import SOURCE_DATE_EPOCH, Plan
from release.chain.publishing.evidence import store_evidence
from release.chain.publishing.push import PushedImage
from release.chain.smoking.stage import SmokePassed
from release.chain.stage_context import StageContext
from release.config import Service
from release.events import Emit, Warned
from release.git.source import Source as Repository
from release.images.engine import EngineInfo
from release.images.registry import Manifest
from release.ledger.git_objects import TagRequest
from release.migrations import matching_files, summarise_migrations, unmatched_pattern_warnings
from release.records import BuildInputs, Descriptor, Draft, Image, Migrations, Record, Release, Source
from release.values import Struct


class Recorded(Struct, frozen=True, kw_only=True):
    """Result of the stage `record`: the release is in the ledger."""

    record: Record[Release]
    evidence: bytes
    summary: str


def record_release(ctx: StageContext) -> Recorded:
    """Append the release record with its git tag. Raises VersionTaken, LedgerError."""
    draft = Draft(
        service=ctx.plan.service.service,
        recorded_at=utc_now_text(),
        actor=ctx.actor,
        run=ctx.run,
        tool=TOOL,
        body=_build_release(ctx),
    )
    image = draft.body.image
    tag = TagRequest(
        name=ctx.plan.tag,
        commit=ctx.plan.commit.id,
        message=f"{draft.service} {draft.body.version}\n\n{image.repository}@{image.digest}\n",
    )
    ctx.cancellation.check()  # the last moment: what is sent now stands for ever
    (made,) = ctx.open_ledger().append([draft], tag=tag, cancellation=ctx.cancellation)
    found = cast("Record[Release]", made)
    return Recorded(
        record=found, evidence=found.to_bytes(), summary=f"{found.id[:12]} in the ledger, tag {ctx.plan.tag}"
    )


def _build_release(ctx: StageContext) -> Release:
    plan, products = ctx.plan, ctx.products
    built, pushed = products.get(BuiltImage), products.get(PushedImage)
    return Release(
        version=str(plan.version),
        image=_image_entry(plan, pushed.manifest, ctx.engine.info),
        source=_source_entry(plan),
        lock=products.get(LockChecked).file,
        bases=built.bases,
        build=_build_entry(plan, built, pushed, ctx.engine.info),
        gates=tuple(ctx.gates),
        smoke=products.get(SmokePassed).spec,
        migrations=find_migrations(ctx.source, ctx.plan.commit.id, ctx.plan.service, ctx.emit),
        evidence=store_evidence(ctx),
    )


def find_migrations(source: Repository, commit: str, service: Service, emit: Emit) -> Migrations | None:
    """Return the migrations of a commit, if paths are configured; warn about unmatched patterns.

    Raises SourceError.
    """
    if service.migrations is None:
        return None
    files = source.listing(commit, service.context)
    for sentence in unmatched_pattern_warnings(files, service.migrations.paths):
        emit(Warned(text=sentence))
    return summarise_migrations(matching_files(files, service.migrations.paths))


def _image_entry(plan: Plan, manifest: Manifest, engine: EngineInfo) -> Image:
    return Image(
        repository=str(plan.service.repository),
        digest=str(manifest.digest),
        media_type=manifest.media_type,
        size=len(manifest.content),
        platform=plan.service.build.platform or engine.platform,
        config_digest=str(manifest.config.digest),
        layers=tuple(Descriptor(digest=str(layer.digest), size=layer.size) for layer in manifest.layers),
    )


def _source_entry(plan: Plan) -> Source:
    commit = plan.commit
    return Source(
        commit=commit.id, tree=commit.tree, commit_time=commit.time, remote=plan.remote_url, tag=plan.tag
    )


def _build_entry(plan: Plan, built: BuiltImage, pushed: PushedImage, engine: EngineInfo) -> BuildInputs:
    return BuildInputs(
        dockerfile=built.dockerfile,
        dockerfile_sha256=built.dockerfile_sha256,
        context=plan.service.context,
        target=plan.service.build.target,
        args=plan.build_args,
        labels=plan.labels,
        source_date_epoch=SOURCE_DATE_EPOCH,
        buildkit=built.buildkit or f"{engine.name} {engine.version}",
        buildx=built.buildx,
        engine=engine.version,
        exporter=engine.image_store,
        timestamps=pushed.files_after_epoch,
    )


def hash_evidence(evidence: bytes) -> str:
    """Return the hash of a gate's evidence for the record."""
    return hashlib.sha256(evidence).hexdigest()
