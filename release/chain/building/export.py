"""Write the build cache after the result of a run is safe. A failure is a warning."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from release.chain.building.builder import find_builder
from release.chain.building.cache import BuildCache
from release.chain.building.command import build_environment, cache_export_command
from release.chain.building.secrets import provide_build_secrets
from release.chain.building.selection import prepare_build_context
from release.chain.building.stage import BuildRanInstructions
from release.chain.stage_context import StageContext
from release.errors import Cancelled, ReleaseError
from release.events import Notice
from release.images.credentials import write_docker_config
from release.programs.process import run
from release.reference import Digest
from release.values import Struct, replace

_LOG = "cache"


class ExportedCache(Struct, frozen=True, kw_only=True):
    """The cache that a run wrote, with its digest if the cache is in a registry."""

    digest: Digest | None


def export_cache(ctx: StageContext) -> None:
    """Write the cache of this run's builds; warn if that is not possible.

    Nothing is written if every instruction was in a cache, or if the build was reused.
    """
    chosen = BuildCache.from_settings(ctx.plan.service, ctx.environ)
    if chosen is None or ctx.purpose == "other" or not ctx.products.has(BuildRanInstructions):
        return
    cache = chosen if ctx.purpose == "release" else chosen.for_checks
    try:
        if problem := cache.why_unusable(ctx.environ) or _why_export_unsupported(ctx):
            ctx.emit(Notice(text=f"the build cache is not exported: {problem}"))
        else:
            ctx.products.add(ExportedCache(digest=_write_cache(ctx, cache)))
    except Cancelled:
        return
    except (ReleaseError, OSError) as error:
        ctx.emit(Notice(text=_export_failure_message(cache, error)))


def _why_export_unsupported(ctx: StageContext) -> str:
    if find_builder(ctx).driver != "docker" or ctx.engine.info.image_store == "containerd":
        return ""
    return (
        "this engine's image store (a graph driver) cannot export a cache\n  → give it the containerd "
        'image store, or name a builder in `build.builder`, or set `build.cache = "off"`'
    )


def _export_failure_message(cache: BuildCache, error: ReleaseError | OSError) -> str:
    found = error.found if isinstance(error, ReleaseError) else str(error)
    return (
        f"the build cache was not exported to {cache.location}: {found}. The next machine builds with "
        "an older "
        "cache, or without one\n  → "
        f'{cache.access_advice("write")}, or set `build.cache = "off"`'
    )


def _write_cache(ctx: StageContext, cache: BuildCache) -> Digest | None:
    """Write the cache and return the result. Raises ReleaseError, OSError."""
    metadata = ctx.run_folder.path / "cache-metadata.json"
    with provide_build_secrets(ctx, "build") as lending, ctx.run_folder.temporary_folder("docker") as folder:
        command = cache_export_command(
            ctx.plan,
            target=_last_built_stage(ctx),
            metadata=metadata,
            context=prepare_build_context(ctx),
            builder=find_builder(ctx),
            destination=cache.export_option,
            secret_options=lending,
        )
        env = {**build_environment(ctx), **write_docker_config(folder, ctx.environ)}
        if cache.kind == "local":
            Path(cache.location).parent.mkdir(parents=True, exist_ok=True)
        try:
            ran = run(
                replace(command, env=env),
                log=ctx.run_folder.log_path(_LOG),
                mask=ctx.mask,
                cancellation=ctx.cancellation,
                check=False,
            )
            if ran.status != 0:
                raise ReleaseError(
                    f"export the build cache to {cache.location}", _last_line_with_text(ran.tail), ""
                )
            cache.replace_cache_folder()
        finally:
            if cache.kind == "local":
                shutil.rmtree(cache.staging_folder, ignore_errors=True)
    return _read_cache_digest(metadata)


def _last_built_stage(ctx: StageContext) -> str | None:
    """Return the stage of the tests if this run built it; the stage is built on the released one."""
    ran = "test" in ctx.completed and ctx.completed["test"][0].run is None
    return (ctx.plan.service.test.target if ran else None) or ctx.plan.service.build.target


def _last_line_with_text(tail: tuple[str, ...]) -> str:
    return next((line for line in reversed(tail) if line.strip()), "BuildKit gave no reason")


def _read_cache_digest(metadata: Path) -> Digest | None:
    """Return the digest of the cache's manifest from BuildKit's metadata; None if there is none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        metadata.chmod(0o600)
        said: dict[str, Any] = json.loads(metadata.read_text(encoding="utf-8"))
        return Digest(json.loads(said["cache.manifest"])["digest"])
    return None
