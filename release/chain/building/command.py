"""The command line of a build, and its source policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from release.chain.building.builder import Builder
from release.chain.building.buildkit import STRUCTURED
from release.chain.building.cache import cache_environment
from release.chain.building.mirror import base_images_of, resolve_in_mirrors
from release.chain.building.selection import BuildContext, read_committed_dockerfile
from release.chain.plan import Plan
from release.chain.stage_context import StageContext
from release.events import Notice
from release.programs.environment import ENGINE
from release.programs.process import Command
from release.reference import Digest, Reference

_POLICY: Final = "source-policy.json"


_POLICY_VARIABLE: Final = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"
"""Variable that names the file with the source policy, for buildx 0.10 and later."""


_NO_GIT: Final = {"BUILDX_GIT_LABELS": "0", "BUILDX_GIT_INFO": "0"}
"""Variables that stop buildx from adding labels about the repository."""


def build_command(
    plan: Plan,
    *,
    target: str | None,
    name: Reference,
    metadata: Path,
    context: BuildContext,
    builder: Builder | None = None,
    secret_options: tuple[str, ...] = (),
) -> Command:
    """Return the command line of a build. `lending` holds further options, such as `--secret`.

    Provenance is off: BuildKit's attestation holds the time, and would make an index of a new digest each
    time.
    """
    options = [
        *((builder or Builder()).options),
        *("--progress", STRUCTURED),
        *("--tag", str(name)),
        *_input_options(plan, target, metadata, context, secret_options),
        *(("--no-cache",) if plan.no_cache else ()),
    ]
    return Command(argv=("docker", "buildx", "build", *options, str(context.folder)), inherits=ENGINE)


def cache_export_command(
    plan: Plan,
    *,
    target: str | None,
    metadata: Path,
    context: BuildContext,
    builder: Builder,
    destination: str,
    secret_options: tuple[str, ...] = (),
) -> Command:
    """Return the command line that writes the cache of the last build, and makes no image."""
    options = [
        *("--builder", builder.name),
        *("--progress", "plain"),
        *("--output", "type=cacheonly"),
        *("--cache-to", destination),
        *_input_options(plan, target, metadata, context, secret_options),
    ]
    return Command(argv=("docker", "buildx", "build", *options, str(context.folder)), inherits=ENGINE)


def _input_options(
    plan: Plan, target: str | None, metadata: Path, context: BuildContext, secret_options: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the options that say what is built."""
    platform = plan.service.build.platform
    return (
        *("--provenance=false", "--sbom=false"),
        *("--file", str(context.dockerfile)),
        *("--metadata-file", str(metadata)),
        *_repeat_option("--build-arg", plan.build_args),
        *_repeat_option("--label", plan.labels),
        *secret_options,
        *(("--target", target) if target else ()),
        *(("--platform", platform) if platform else ()),
    )


def source_policy(sources: Mapping[str, str]) -> dict[str, Any]:
    """Return BuildKit's source policy, which replaces base images by other places or fixed digests.

    A named context would write other times into the image's history. Source: BuildKit,
    "Source policies" (sourcepolicy/pb/policy.proto), in JSON as buildx reads them.

    Args:
        places: named image → replacement, both as `reference[@digest]`.
    """
    return {
        "rules": [
            {
                "action": "CONVERT",
                "selector": {"identifier": f"docker-image://{named}"},
                "updates": {"identifier": f"docker-image://{taken}"},
            }
            for named, taken in sources.items()
        ]
    }


def build_environment(ctx: StageContext) -> dict[str, str]:
    """Return the variables that choose the engine and the source policy of all builds of a run."""
    policy = ctx.run_folder.path / _POLICY
    with ctx.once_lock:
        if not policy.exists() and (places := _base_image_sources(ctx)):
            ctx.run_folder.write_json(_POLICY, source_policy(places))
    chosen = {_POLICY_VARIABLE: str(policy)} if policy.exists() else {}
    return ctx.engine.command_environment() | _NO_GIT | cache_environment(ctx) | chosen


def _base_image_sources(ctx: StageContext) -> dict[str, str]:
    """Return the source of each base image: the mirror's image, else the recorded digest."""
    plan, mirrors = ctx.plan, ctx.plan.service.build.mirrors
    pinned = {base.reference: f"{base.reference}@{base.digest}" for base in plan.bases}
    if not mirrors:
        return pinned
    text = read_committed_dockerfile(ctx.source, plan).decode("utf-8", "replace")
    return pinned | resolve_in_mirrors(
        base_images_of(text, plan.build_args),
        mirrors,
        {base.reference: Digest(base.digest) for base in plan.bases},
        lambda said: ctx.emit(Notice(text=said)),
        ctx.cancellation,
    )


def _repeat_option(option: str, values: dict[str, str]) -> list[str]:
    return [word for key, value in sorted(values.items()) for word in (option, f"{key}={value}")]


def label_options(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the options of buildx that label an image."""
    return tuple(_repeat_option("--label", dict(labels)))


def stage_options(stages: Mapping[str, Reference]) -> tuple[str, ...]:
    """Return the options of buildx that replace stages by images (`--build-context`)."""
    images = {stage: f"docker-image://{image}" for stage, image in stages.items()}
    return tuple(_repeat_option("--build-context", images))
