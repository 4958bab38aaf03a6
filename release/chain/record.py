"""The commit point: record and git tag land together; from then on the release exists.

Before it nothing was released; after it everything else can be repaired from the record.
"""

from __future__ import annotations

import hashlib
from typing import cast

from release.actor import TOOL, now
from release.chain.build import BuiltImage
from release.chain.lockgate.gate import LockChecked
from release.chain.plan import SOURCE_DATE_EPOCH, Plan
from release.chain.push import PushedImage
from release.chain.shop import Shop
from release.chain.smoke import SmokePassed
from release.config import Service
from release.events import Emit, Warned
from release.frozen import Struct
from release.images.engine import EngineInfo
from release.images.registry import Manifest
from release.ledger.writer import TagRequest
from release.migrations import idle, matching, summary
from release.records import Built, Descriptor, Draft, Image, Migrations, Record, Release, Source
from release.source import Source as Repository


class Recorded(Struct, frozen=True, kw_only=True):
    """The release is in the ledger."""

    record: Record[Release]
    evidence: bytes
    summary: str


def record(shop: Shop) -> Recorded:
    """Append the release record with its git tag. Raises VersionTaken, LedgerError."""
    draft = Draft(
        service=shop.plan.service.service,
        recorded_at=now(),
        actor=shop.actor,
        run=shop.run,
        tool=TOOL,
        body=_release(shop),
    )
    image = draft.body.image
    tag = TagRequest(
        name=shop.plan.tag,
        commit=shop.plan.commit.id,
        message=f"{draft.service} {draft.body.version}\n\n{image.repository}@{image.digest}\n",
    )
    shop.cancellation.check()  # the last moment: what is sent now stands for ever
    (made,) = shop.open_ledger().append([draft], tag=tag, cancellation=shop.cancellation)
    found = cast("Record[Release]", made)
    return Recorded(
        record=found, evidence=found.to_bytes(), summary=f"{found.id[:12]} in the ledger, tag {shop.plan.tag}"
    )


def _release(shop: Shop) -> Release:
    plan, products = shop.plan, shop.products
    built, pushed = products.get(BuiltImage), products.get(PushedImage)
    return Release(
        version=str(plan.version),
        image=_image(plan, pushed.manifest, shop.engine.info),
        source=_source(plan),
        lock=products.get(LockChecked).file,
        bases=built.bases,
        build=_built(plan, built, pushed, shop.engine.info),
        gates=tuple(shop.gates),
        smoke=products.get(SmokePassed).spec,
        migrations=migrations(shop.source, shop.plan.commit.id, shop.plan.service, shop.emit),
    )


def migrations(source: Repository, commit: str, service: Service, emit: Emit) -> Migrations | None:
    """Those of a commit, where paths are configured; patterns without any are told. Raises SourceError."""
    if service.migrations is None:
        return None
    files = source.listing(commit, service.context)
    for sentence in idle(files, service.migrations.paths):
        emit(Warned(text=sentence))
    return summary(matching(files, service.migrations.paths))


def _image(plan: Plan, manifest: Manifest, engine: EngineInfo) -> Image:
    return Image(
        repository=str(plan.service.repository),
        digest=str(manifest.digest),
        media_type=manifest.media_type,
        size=len(manifest.content),
        platform=plan.service.build.platform or engine.platform,
        config_digest=str(manifest.config.digest),
        layers=tuple(Descriptor(digest=str(layer.digest), size=layer.size) for layer in manifest.layers),
    )


def _source(plan: Plan) -> Source:
    commit = plan.commit
    return Source(
        commit=commit.id, tree=commit.tree, commit_time=commit.time, remote=plan.remote_url, tag=plan.tag
    )


def _built(plan: Plan, built: BuiltImage, pushed: PushedImage, engine: EngineInfo) -> Built:
    return Built(
        dockerfile=built.dockerfile,
        dockerfile_sha256=built.dockerfile_sha256,
        context=plan.service.context,
        target=plan.service.build.target,
        args=plan.build_args,
        labels=plan.labels,
        source_date_epoch=SOURCE_DATE_EPOCH,
        buildkit=f"{engine.name} {engine.version}",
        buildx=built.buildx,
        engine=engine.version,
        exporter=engine.image_store,
        timestamps=pushed.late,
    )


def evidence_sha256(evidence: bytes) -> str:
    """Return what a record keeps of a gate's evidence."""
    return hashlib.sha256(evidence).hexdigest()
