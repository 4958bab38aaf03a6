"""Reuse of the gate `installed`: its inputs, its cached data, and how the result is restored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from release.chain.building.selection import read_committed_dockerfile
from release.chain.building.stage import BuiltImage, engine_facts
from release.chain.checked.identity import image_identity
from release.chain.installed.leaks import needles_of
from release.chain.installed.sbom import create_sbom
from release.chain.installed.stage import InstalledChecked, read_lockfile
from release.chain.stage_cache import CachedResult, ReusePolicy
from release.chain.stage_context import StageContext
from release.files import private
from release.parsing import jsontext

_BOUNDS: Final = jsontext.Bounds(size=8 * 1024 * 1024, depth=16)


def _installed_inputs(ctx: StageContext) -> Mapping[str, Any]:
    """Return the image, the lockfile and install files, the settings, and the names of searched secrets."""
    plan, lock = ctx.plan, read_lockfile(ctx)
    return {
        "image": str(ctx.products.get(BuiltImage).stored_image.id),
        "lock": [lock.path, lock.kind, lock.sha256],
        "files": ctx.source.tree(plan.commit.id, plan.service.context),
        "dockerfile": hashlib.sha256(read_committed_dockerfile(ctx.source, plan)).hexdigest(),
        "settings": plan.service.installed.model_dump(mode="json"),
        "secrets": needles_of(ctx).names,
        "engine": engine_facts(ctx),
    }


def _portable_inputs(ctx: StageContext) -> Mapping[str, Any]:
    """Return the inputs with the image by its content, and of the engine only its platform."""
    image = image_identity(ctx, ctx.products.get(BuiltImage).stored_image)
    return {**_installed_inputs(ctx), "image": image, "engine": ctx.engine.info.platform}


def _to_cache_data(_ctx: StageContext, made: InstalledChecked) -> Mapping[str, Any]:
    return {"findings": list(made.findings), "waivers": dict(made.waivers)}


def _restore_from_cache(ctx: StageContext, cached: CachedResult) -> InstalledChecked | None:
    """Return the cached result; None for a result with findings, so that they are shown again.

    The bill of materials is made again, because it names the version and the commit.
    """
    if cached.data["findings"]:
        return None
    plan = ctx.plan
    document = jsontext.read(cached.evidence, _BOUNDS)
    sbom = create_sbom(document, plan.service.service, str(plan.version), plan.commit.time)
    private.write(ctx.run_folder.path / "packages.json", cached.evidence)
    return InstalledChecked(
        packages=cached.evidence,
        summary=cached.summary,
        sbom=sbom,
        waivers=dict(cached.data["waivers"]),
    )


INSTALLED_REUSE: Final = ReusePolicy(
    inputs=_installed_inputs,
    portable_inputs=_portable_inputs,
    to_data=_to_cache_data,
    restore=_restore_from_cache,
)
