"""The stage that makes the image: BuildKit on the committed tree."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from release.chain.building.builder import Builder, find_builder
from release.chain.building.buildkit import buildx_version, run_buildkit
from release.chain.building.cache import import_options, unread_cache_message
from release.chain.building.command import build_command, build_environment, label_options, stage_options
from release.chain.building.dockerfile import refuse_release_of_test_stage
from release.chain.building.labels import refuse_reserved_labels
from release.chain.building.mirror import name_in_dockerfile
from release.chain.building.progress import BuildProgress
from release.chain.building.secrets import (
    has_build_secrets,
    provide_build_secrets,
    refuse_declared_proxies,
    refuse_secrets_in_image,
)
from release.chain.building.selection import (
    BuildContext,
    prepare_build_context,
    read_committed_dockerfile,
    select_context_files,
)
from release.chain.stage_cache import CachedResult, ReusePolicy
from release.chain.stage_context import StageContext, evidence_bytes
from release.errors import GateFailed
from release.events import Notice
from release.images.engine import StoredImage
from release.records import Base
from release.reference import Digest, Reference
from release.values import Struct, replace

_RESOLVED = re.compile(r"(?:\[.*\] )?FROM (?P<reference>\S+?)@(?P<digest>sha256:[0-9a-f]{64})")


class BuildRanInstructions(Struct, frozen=True):
    """Marks a run whose build ran instructions that no cache had."""


class BuiltImage(Struct, frozen=True, kw_only=True):
    """The candidate image in the engine's store, with the inputs of its build."""

    reference: Reference
    stored_image: StoredImage
    config_digest: Digest
    bases: tuple[Base, ...]
    dockerfile: str
    dockerfile_sha256: str
    buildx: str
    buildkit: str = ""
    """Named builder with its version; empty for the engine's own BuildKit."""

    @property
    def evidence(self) -> bytes:
        """Return the inputs and the result of the build, for the record."""
        return evidence_bytes(
            "build", {"image": str(self.stored_image.id), "dockerfile": self.dockerfile_sha256}
        )

    @property
    def summary(self) -> str:
        """Return the digest and size, as "sha256 0123456789ab, 92.1 MB"."""
        return f"{self.stored_image.id.short}, {self.stored_image.size / 1e6:.1f} MB"


def build_candidate(ctx: StageContext) -> BuiltImage:
    """Build the candidate image in the engine's store. Raises GateFailed, ConfigError."""
    plan = ctx.plan
    dockerfile = read_committed_dockerfile(ctx.source, plan)
    refuse_release_of_test_stage(dockerfile.decode("utf-8", "replace"), plan.service)
    refuse_declared_proxies(ctx, dockerfile.decode("utf-8", "replace"))
    with ThreadPoolExecutor(max_workers=1) as beside:
        buildx = beside.submit(buildx_version)
        metadata, progress = run_build(
            ctx, "build", plan.service.build.target, plan.candidate, prepare_build_context(ctx)
        )
    stored = ctx.engine.inspect(plan.candidate)
    if stored is None:
        raise GateFailed(
            "build",
            f"BuildKit succeeded, but the engine has no image {plan.candidate}",
            "run it again; another program may remove images there, as `docker image prune`",
        )
    _refuse_unfit_image(ctx, stored)
    return BuiltImage(
        reference=plan.candidate,
        stored_image=stored,
        config_digest=Digest(metadata["containerimage.config.digest"]),
        bases=resolved_bases(progress, plan.service.build.mirrors),
        dockerfile=plan.service.build.dockerfile,
        dockerfile_sha256=hashlib.sha256(dockerfile).hexdigest(),
        buildx=buildx.result(),
        buildkit=find_builder(ctx).record_text,
    )


def _refuse_unfit_image(ctx: StageContext, image: StoredImage) -> None:
    """Refuse an image with reserved labels or with a secret, and remove its name."""
    try:
        refuse_reserved_labels("build", image, ctx.plan.labels)
        if has_build_secrets(ctx):
            refuse_secrets_in_image(ctx, ctx.engine.told(image.id))
    except GateFailed:
        ctx.engine.untag(ctx.plan.candidate)
        raise


def _build_inputs(ctx: StageContext) -> dict[str, Any] | None:
    """Return the committed files, the build's options and the engine; None with `--no-cache`."""
    plan = ctx.plan
    if plan.no_cache:
        return None
    chosen = select_context_files(ctx)
    return {
        "files": chosen.key,
        "dockerfile": hashlib.sha256(chosen.dockerfile).hexdigest(),
        "ignore": hashlib.sha256(chosen.ignore or b"").hexdigest(),
        "settings": plan.service.build.model_dump(mode="json"),
        "args": plan.build_args,
        "labels": plan.labels,
        "name": str(plan.candidate),
        "engine": engine_facts(ctx),
    }


def engine_facts(ctx: StageContext) -> list[str]:
    """Return the facts of the engine on which gate results may depend."""
    info = ctx.engine.info
    return [ctx.engine.host, info.name, info.version, info.platform, info.image_store]


def _to_cache_data(ctx: StageContext, built: BuiltImage) -> dict[str, Any]:
    return {
        "image": str(built.stored_image.id),
        "config": str(built.config_digest),
        "bases": [base.model_dump(mode="json") for base in built.bases],
        "standing": _base_image_ids(ctx, built.bases),
        "dockerfile_sha256": built.dockerfile_sha256,
        "buildx": built.buildx,
        "buildkit": built.buildkit,
    }


def _base_image_ids(ctx: StageContext, bases: tuple[Base, ...]) -> dict[str, str | None]:
    """Return the ids that base image names have in the engine: a moved tag makes another image."""
    found = {base.reference: ctx.engine.inspect(Reference.parse(base.reference)) for base in bases}
    return {name: str(image.id) if image is not None else None for name, image in found.items()}


def _restore_image(ctx: StageContext, passed: CachedResult) -> BuiltImage | None:
    """Return the cached image; None if the engine lacks the candidate or a base image has changed."""
    data, plan = passed.data, ctx.plan
    bases = tuple(Base.model_validate(base) for base in data["bases"])
    stored = ctx.engine.inspect(plan.candidate)
    same_image = stored is not None and str(stored.id) == data["image"]
    if stored is None or not same_image or _base_image_ids(ctx, bases) != data["standing"]:
        return None
    if buildx_version() != data["buildx"]:
        return None
    return BuiltImage(
        reference=plan.candidate,
        stored_image=stored,
        config_digest=Digest(data["config"]),
        bases=bases,
        dockerfile=plan.service.build.dockerfile,
        dockerfile_sha256=data["dockerfile_sha256"],
        buildx=data["buildx"],
        buildkit=data["buildkit"],
    )


BUILD_REUSE: Final = ReusePolicy(inputs=_build_inputs, to_data=_to_cache_data, restore=_restore_image)


def run_build(
    ctx: StageContext,
    stage: str,
    target: str | None,
    name: Reference,
    context: BuildContext,
    *,
    labels: Mapping[str, str] | None = None,
    stages: Mapping[str, Reference] | None = None,
) -> tuple[dict[str, Any], BuildProgress]:
    """Run BuildKit for a stage; return its metadata and progress. Raises GateFailed with the last lines.

    Args:
        ctx: the stage context.
        stage: the stage of the chain.
        target: the Dockerfile's stage that is built; None: the last stage.
        name: the name of the image.
        context: the folder and the Dockerfile.
        labels: labels in addition to the plan's; no layer and no cache depends on them.
        stages: stages of the Dockerfile that are not built but replaced by these images of the engine.
    """
    metadata = ctx.run_folder.path / f"{stage}-metadata.json"
    builder = Builder() if stages else find_builder(ctx)  # no other one has the engine's images
    more = label_options(labels or {}), stage_options(stages or {}), () if stages else import_options(ctx)
    with provide_build_secrets(ctx, stage) as lending:
        command = build_command(
            ctx.plan,
            target=target,
            name=name,
            metadata=metadata,
            context=context,
            builder=builder,
            secret_options=(*itertools.chain(*more), *lending),
        )
        progress = run_buildkit(ctx, stage, name, replace(command, env=build_environment(ctx)))
    metadata.chmod(0o600)  # the builder writes it with a mode of its own
    _report_cache_use(ctx, stage, progress)
    return json.loads(metadata.read_text(encoding="utf-8")), progress


def _report_cache_use(ctx: StageContext, stage: str, progress: BuildProgress) -> None:
    """Tell once for each run that the build cache was not read, and note that instructions ran."""
    if stage == "build" and (
        line := unread_cache_message(ctx, progress)
    ):  # the build of the tests reads the same cache
        ctx.emit(Notice(text=line))
    if progress.has_run_instruction:
        ctx.products.add(BuildRanInstructions())


def resolved_bases(progress: BuildProgress, mirrors: Mapping[str, str]) -> tuple[Base, ...]:
    """Return the base images that BuildKit resolved, by digest, named as in the Dockerfile."""
    matches = (_RESOLVED.fullmatch(vertex.name) for vertex in progress.vertices)
    found = {
        (name_in_dockerfile(match["reference"], mirrors), match["digest"])
        for match in matches
        if match is not None
    }
    return tuple(Base(reference=reference, digest=digest) for reference, digest in sorted(found))
