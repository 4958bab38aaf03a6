"""Content of an image, apart from the commit and the version that it names.

A merge without conflict has the tree of the pull request and another commit. Its image has the same layers,
and settings that differ where they name the commit, its time, or the version.
"""

from __future__ import annotations

import hashlib
import json

from release.chain.plan import Plan
from release.chain.stage_context import StageContext
from release.images.engine import StoredImage


def image_identity(ctx: StageContext, image: StoredImage) -> str:
    """Return 64 hexadecimal digits over the layers, the settings and the platform of an image.

    Raises:
        EngineError: the image is not there.
    """
    return ctx.shared_values.get_or_compute(
        f"identity of {image.id}", lambda: hash_image_content(ctx.plan, ctx.engine.told(image.id))
    )


def hash_image_content(plan: Plan, image_json: str) -> str:
    """Return the identity from the engine's JSON about an image."""
    about, _ = json.loads(image_json)
    settings = dict(about["Config"] or {})
    settings["Labels"] = {
        name: value for name, value in (settings.get("Labels") or {}).items() if name not in plan.labels
    }
    platform = [about.get(name) or "" for name in ("Os", "Architecture", "Variant")]
    text = json.dumps([about["RootFS"], settings, platform], sort_keys=True, separators=(",", ":"))
    for value, name in ((plan.commit.id, "<commit>"), (str(plan.version), "<version>")):
        text = text.replace(value, name)
    return hashlib.sha256(text.encode()).hexdigest()
