"""The build cache outside the machine: BuildKit reads the cache before a build and writes it after the run.

A release reads only what releases wrote. A check of a pull request reads both, and writes under a name of its
own: code that nobody has reviewed cannot put a layer into a release. docs/how-to/ci.md tells how to use it.

The layers are compressed with gzip, as BuildKit does it for an image. BuildKit keeps one compressed form of a
layer: with zstd in the cache, a later image would contain that form, and have another digest.

Source: BuildKit, "Cache" in its README (registry, local, gha).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from release.actor import ci_system
from release.chain.building.progress import BuildProgress
from release.chain.checked.taking import find_check_statement
from release.chain.stage_context import StageContext
from release.config import Service
from release.reference import Reference
from release.text.shortening import SUMMARY, shortened
from release.values import Struct

GITHUB: Final = (
    "ACTIONS_CACHE_URL",
    "ACTIONS_RESULTS_URL",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_CACHE_SERVICE_V2",
)
"""Variables that GitHub gives to actions, and that buildx reads."""

_TAG: Final = "cache"
_OF_CHECKS: Final = "-check"
_INDEX: Final = "index.json"


class BuildCache(Struct, frozen=True, kw_only=True):
    """The place of a build cache."""

    kind: Literal["registry", "gha", "local"]
    location: str
    """A reference in a registry, a scope of GitHub's cache, or a folder."""

    @classmethod
    def from_settings(cls, service: Service, environ: Mapping[str, str]) -> BuildCache | None:
        """Return the configured cache; by default in CI with a registry, a tag beside the image's tags."""
        chosen = service.build.cache
        if chosen is None and ci_system(environ) is not None and service.registry is not None:
            return cls(kind="registry", location=str(service.repository.tagged(_TAG)))
        if chosen is None or chosen == "off":
            return None
        if chosen == "github":
            return cls(kind="gha", location=service.service)
        if chosen.startswith(("/", "~")):
            return cls(kind="local", location=str(Path(chosen).expanduser() / service.service))
        return cls(kind="registry", location=chosen)

    @property
    def for_checks(self) -> BuildCache:
        """Return the cache that checks write."""
        return BuildCache(kind=self.kind, location=f"{self.location}{_OF_CHECKS}")

    @property
    def import_option(self) -> str:
        """Return the value of `--cache-from`; empty for a folder that does not exist yet."""
        if self.kind == "registry":
            return f"type=registry,ref={self.location}"
        if self.kind == "gha":
            return f"type=gha,scope={self.location}"
        return f"type=local,src={self.location}" if (Path(self.location) / _INDEX).exists() else ""

    @property
    def export_option(self) -> str:
        """Return the value of `--cache-to`; the cache holds all stages, not only the stages of the image."""
        if self.kind == "registry":
            return f"type=registry,ref={self.location},mode=max,image-manifest=true,oci-mediatypes=true"
        if self.kind == "gha":
            return f"type=gha,scope={self.location},mode=max"
        return f"type=local,dest={self.staging_folder},mode=max"

    @property
    def staging_folder(self) -> Path:
        """Return the temporary folder that is written before it replaces the old cache folder."""
        return Path(f"{self.location}.{os.getpid()}")

    def replace_cache_folder(self) -> None:
        """Replace the cache folder with the written one. Raises OSError."""
        if self.kind == "local":
            old = Path(f"{self.staging_folder}.old")
            if Path(self.location).exists():
                Path(self.location).rename(old)
            self.staging_folder.rename(self.location)
            shutil.rmtree(old, ignore_errors=True)

    def access_advice(self, verb: str) -> str:
        """Return what to check after a failed access, by the kind of the cache. `verb`: "read" or "write"."""
        if self.kind == "local":
            return f"check that this user may {verb} the folder {Path(self.location).parent}"
        if self.kind == "gha":
            return "check the variables of GitHub's cache, as `invoke explain build-cache` shows"
        return f"check its address and the network, and check that this login may {verb} there"

    def why_unusable(self, environ: Mapping[str, str]) -> str:
        """Return why the cache cannot be used here, with the next step; empty if no problem is known."""
        if self.kind != "gha" or _has_github_cache(environ):
            return ""
        return (
            "GitHub's cache needs ACTIONS_RUNTIME_TOKEN with ACTIONS_RESULTS_URL or ACTIONS_CACHE_URL, which "
            "only actions get\n  → add a step that exports them, as `invoke explain build-cache` shows"
        )


def _has_github_cache(environ: Mapping[str, str]) -> bool:
    address = environ.get("ACTIONS_RESULTS_URL") or environ.get("ACTIONS_CACHE_URL")
    return bool(environ.get("ACTIONS_RUNTIME_TOKEN") and address)


def usable_cache(ctx: StageContext) -> BuildCache | None:
    """Return the configured cache; None if no cache is configured or the cache cannot be used here."""
    found = BuildCache.from_settings(ctx.plan.service, ctx.environ)
    return found if found is not None and not found.why_unusable(ctx.environ) else None


def import_options(ctx: StageContext) -> tuple[str, ...]:
    """Return the options of buildx that import the cache; empty with `--no-cache`."""
    cache = usable_cache(ctx)
    if cache is None or ctx.plan.no_cache:
        return ()
    read = (cache,) if ctx.purpose == "release" else (cache, cache.for_checks)
    sources = [each.import_option for each in read if each.import_option]
    checked = find_check_statement(ctx) if cache.kind == "registry" else None
    if checked is not None and checked.cache is not None:  # the signed digest, whatever the tag holds
        repository = Reference.parse(cache.for_checks.location).repository
        sources.append(f"type=registry,ref={repository}@{checked.cache}")
    return tuple(word for source in sources for word in ("--cache-from", source))


def unread_cache_message(ctx: StageContext, progress: BuildProgress) -> str:
    """Return a line for a configured cache that a build could not read; empty if none is due.

    The cache of checks is left out: it is often not there yet.
    """
    cache = usable_cache(ctx)
    if cache is None or ctx.plan.no_cache:
        return ""
    reason = progress.cache_import_error(cache.location if cache.kind == "registry" else "")
    if reason is None:
        return ""
    return (
        f"the build cache {cache.location} was not read: {shortened(reason, SUMMARY)}\n  → if a release has "
        f"written it before, {cache.access_advice('read')}"
    )


def cache_environment(ctx: StageContext) -> dict[str, str]:
    """Return the variables that buildx needs for the cache, in addition to the variables of each build."""
    cache = usable_cache(ctx)
    if cache is None or cache.kind != "gha":
        return {}
    return {name: ctx.environ[name] for name in GITHUB if name in ctx.environ}
