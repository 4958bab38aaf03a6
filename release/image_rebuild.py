"""Rebuild of a released image from its record without a cache, and comparison with the recorded digests.

The build uses the recorded commit, which has to be in the service's own history, with the settings of that
commit, the recorded labels, and base images by their recorded digests. Secrets come from the current
configuration. The config digest covers all uncompressed bytes and the settings of a container. The manifest
digest also covers the compression of layers, which BuildKit decides (OCI Image Specification 1.1,
"Image Configuration" and "Image Manifest").
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from semver import Version

from release.chain.assemble import read_committed_config
from release.chain.building.stage import BuiltImage, build_candidate
from release.chain.plan import Plan
from release.chain.recovering import settings
from release.chain.run_folder import RunFolder
from release.chain.stage_context import StageContext
from release.config import Service
from release.deploy.core.steps import elapsed_ms, step
from release.deploy.environment.environment import Workspace
from release.errors import ConfigError, SourceError
from release.git import commit_origin
from release.git.commit_files import read_linked
from release.git.source import Commit
from release.images.engine import Engine
from release.programs.cancellation import Cancellation
from release.records import ExaminedRelease, Record, Release, Verification
from release.reference import Digest, Reference, Repository
from release.secrets.detection import secrets_of
from release.secrets.redact import Mask
from release.values import Struct

Verdict = Literal["identical", "same content", "different"]


class RecordedPlan(Plan, frozen=True, kw_only=True):
    """Build plan with the recorded values instead of new ones."""

    release: Release
    scratch: Reference

    @property
    def candidate(self) -> Reference:
        """Return a separate name for the rebuilt image, so that the released one stays unchanged."""
        return self.scratch

    @property
    def labels(self) -> dict[str, str]:
        """Return the recorded labels."""
        return self.release.build.labels

    @property
    def build_args(self) -> dict[str, str]:
        """Return the recorded build arguments: those of the commit's settings, and of the release."""
        return self.release.build.args


class RebuildResult(Struct, frozen=True, kw_only=True):
    """Result of a rebuild."""

    service: str
    version: str
    release: str
    """Id of the release record."""
    verdict: Verdict
    config_digest: str
    """Config digest of the rebuilt image."""
    manifest_digest: str | None
    """Manifest digest of the rebuilt image; None in a graph driver's store, which keeps no manifests."""
    digest: str
    """Recorded manifest digest."""
    notes: tuple[str, ...]
    kept: str | None
    """Name of the kept image in the engine; None without `keep`."""
    duration_ms: int

    @property
    def proven(self) -> bool:
        """Return whether the rebuilt content equals the released one, byte for byte."""
        return self.verdict != "different"

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        return {key: getattr(self, key) for key in self.__struct_fields__} | {"proven": self.proven}

    def verification(self) -> Verification:
        """Return the record of this rebuild for the ledger."""
        examined = ExaminedRelease(
            release=self.release,
            digest=self.digest,
            result="passed" if self.proven else "failed",
            problems=() if self.proven else self.notes,
        )
        return Verification(
            what="rebuild",
            result=examined.result,
            releases=(examined,),
            duration_ms=self.duration_ms,
            detail=f"{self.verdict}, config {Digest(self.config_digest).short}",
        )


def rebuild_image(
    workspace: Workspace, record: Record[Release], engine: Engine, cancellation: Cancellation, *, keep: bool
) -> RebuildResult:
    """Rebuild a released image on an engine, compare it, and return the result.

    Args:
        workspace: the service's repository, settings and ledger.
        record: the release.
        engine: builds and stores the image.
        cancellation: stops the build.
        keep: tag the image for deployments if it is the released one.

    Raises:
        SourceError: the commit is not in this clone or not in the service's history, or it contradicts
            the record.
        GateFailed: the build failed. EngineError, Cancelled.
    """
    began = time.monotonic()
    ctx = _shop(workspace, record.body, engine, cancellation)
    with step(workspace.emit, "rebuild") as say, _built(ctx) as built:
        _same_dockerfile(record.body, built)
        verdict = _verdict(engine, record.body, built)
        say(f"{verdict}, config {built.config_digest.short}")
        kept = _keep(engine, record.body, built) if keep and verdict != "different" else None
    return RebuildResult(
        service=workspace.service.service,
        version=record.body.version,
        release=record.id,
        verdict=verdict,
        config_digest=str(built.config_digest),
        manifest_digest=str(built.stored_image.id) if _knows_manifests(engine) else None,
        digest=record.body.image.digest,
        notes=tuple(_notes(engine, record.body, built, verdict)),
        kept=str(kept) if kept is not None else None,
        duration_ms=elapsed_ms(began),
    )


def _shop(workspace: Workspace, release: Release, engine: Engine, cancellation: Cancellation) -> StageContext:
    folder = RunFolder.create(workspace.source.root)
    return StageContext(
        plan=_plan(workspace, release, folder),
        source=workspace.source,
        run_folder=folder,
        actor=workspace.actor,
        run=workspace.run(folder.id),
        emit=workspace.emit,
        open_engine=lambda: engine,
        open_ledger=lambda: workspace.ledger,
        environ=workspace.environ,
        mask=Mask(secrets_of(workspace.environ)),
        cancellation=cancellation,
    )


def _plan(workspace: Workspace, release: Release, folder: RunFolder) -> RecordedPlan:
    commit = _commit(workspace, release)
    name, chosen = workspace.service.service, _settings(workspace, release, commit)
    path = Path(chosen.context) / chosen.build.dockerfile
    dockerfile = read_linked(workspace.source, commit.id, path.as_posix())
    return RecordedPlan(
        service=chosen,
        version=Version.parse(release.version),
        commit=commit,
        tag=release.source.tag,
        remote_url=release.source.remote,
        no_cache=True,
        bases=settings.pinned_base_images(release, (dockerfile or b"").decode("utf-8", "replace")),
        release=release,
        scratch=Repository(f"localhost/release-rebuild/{name}").tagged(folder.id.lower()),
    )


def _commit(workspace: Workspace, release: Release) -> Commit:
    attempted = f"read the commit {release.source.commit} of {release.version}"
    commit = workspace.source.commit(release.source.commit)
    if commit is None:
        hint = f"git fetch {workspace.service.ledger.remote or 'origin'} {release.source.tag}"
        raise SourceError(attempted, "this clone does not have the commit", hint)
    if release.source.tree not in (None, commit.tree):
        found = f"its tree is {commit.tree}, but the record has {release.source.tree}"
        raise SourceError(attempted, found, "check the repository: git replace --list; git fsck")
    attempted = f"build {release.version} again from its record"
    commit_origin.require_own_commit(
        workspace.source, workspace.service.service, workspace.service.ledger, release, attempted
    )
    return commit


def _settings(workspace: Workspace, release: Release, commit: Commit) -> Service:
    """Return the settings of the recorded commit. Raise SourceError if they cannot be read."""
    try:
        committed = read_committed_config(workspace.source, commit).service(workspace.service.service)
    except ConfigError as error:
        found = f"this version of the library cannot read them: {error.found}"
        raise SourceError(f"read the settings of {release.version}", found, error.hint) from error
    return settings.settings_for_rebuild(workspace.service, committed, release)


@contextmanager
def _built(ctx: StageContext) -> Iterator[BuiltImage]:
    """Yield the rebuilt image; at the end of the block, remove its temporary name."""
    try:
        yield build_candidate(ctx)
    finally:
        ctx.run_folder.remove_temporary_files()
        ctx.engine.untag(ctx.plan.candidate)


def _same_dockerfile(release: Release, built: BuiltImage) -> None:
    recorded = release.build.dockerfile_sha256
    if recorded not in (None, built.dockerfile_sha256):
        raise SourceError(
            f"rebuild {release.version} from {built.dockerfile}",
            f"the commit's Dockerfile has sha256 {built.dockerfile_sha256}, but the record has {recorded}",
            "prove the ledger: invoke verify --ledger",
        )


def _knows_manifests(engine: Engine) -> bool:
    return engine.info.image_store == "containerd"


def _verdict(engine: Engine, release: Release, built: BuiltImage) -> Verdict:
    """Return "identical", "same content" or "different" by the digests of the image."""
    if str(built.config_digest) != release.image.config_digest:
        return "different"
    if not _knows_manifests(engine):
        return "same content"
    if str(built.stored_image.id) == release.image.digest:
        return "identical"
    return "different" if _same_builder(engine, release, built) else "same content"


def _same_builder(engine: Engine, release: Release, built: BuiltImage) -> bool:
    recorded, about = release.build, engine.info
    now = (f"{about.name} {about.version}", built.buildx, about.version, about.image_store)
    return (recorded.buildkit, recorded.buildx, recorded.engine, recorded.exporter) == now


def _keep(engine: Engine, release: Release, built: BuiltImage) -> Reference | None:
    """Tag the image as the release's commit if its digest is the recorded one, and return the name."""
    wanted = release.image.digest if _knows_manifests(engine) else release.image.config_digest
    if str(built.stored_image.id) != wanted:
        return None
    name = Repository(release.image.repository).tagged(release.candidate_tag)
    engine.tag(built.stored_image.id, name)
    return name


def _notes(engine: Engine, release: Release, built: BuiltImage, verdict: Verdict) -> Iterator[str]:
    """Yield possible reasons for the result."""
    if release.recovered is not None:
        yield (
            f"the recovered record lacks {', '.join(release.recovered.unknown)}: the build used "
            "today's values"
        )
    if verdict == "same content" and not _knows_manifests(engine):
        yield "this engine's image store keeps no manifests, so only the config digest was compared"
    elif verdict == "same content":
        now = f"{engine.info.name} {engine.info.version}"
        yield (f"the manifest differs: {release.build.buildkit} wrote the recorded one, {now} wrote this one")
    if verdict == "different" and str(built.config_digest) == release.image.config_digest:
        yield (
            f"the same builder made the manifest {built.stored_image.id}, but the record has "
            f"{release.image.digest}"
        )
    elif verdict == "different":
        yield (f"the config digest is {built.config_digest}, but {release.image.config_digest} was released")
        yield from _differences(engine, release, built)


def _differences(engine: Engine, release: Release, built: BuiltImage) -> Iterator[str]:
    if release.build.timestamps:
        late = ", ".join(release.build.timestamps)
        yield (f"the recorded build is not reproducible: {late} carried the time of the build")
    image = release.image
    there = engine.find(digest=Digest(image.digest), config_digest=Digest(image.config_digest))
    if there is not None:
        pairs = zip(there.diff_ids, built.stored_image.diff_ids, strict=False)
        same = [old == new for old, new in pairs]
        first = same.index(False) + 1 if False in same else len(same) + 1
        yield (
            f"{sum(same)} of {len(there.diff_ids)} layers are equal; the first layer that differs is {first}"
        )
    used = {base.digest for base in built.bases}
    if used != {base.digest for base in release.bases}:
        listed = ", ".join(f"{base.reference}@{base.digest}" for base in built.bases)
        yield f"the recorded build used other base images than this one: {listed}"
