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
from release.brief import SUMMARY, shortened
from release.chain.building.progress import Progress
from release.chain.checked.taking import statement
from release.chain.stage_context import StageContext
from release.config import Service
from release.reference import Reference
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


class Cache(Struct, frozen=True, kw_only=True):
    """The place of a build cache."""

    kind: Literal["registry", "gha", "local"]
    place: str
    """A reference in a registry, a scope of GitHub's cache, or a folder."""

    @classmethod
    def of(cls, service: Service, environ: Mapping[str, str]) -> Cache | None:
        """Return the configured cache; by default in CI with a registry, a tag beside the image's tags."""
        chosen = service.build.cache
        if chosen is None and ci_system(environ) is not None and service.registry is not None:
            return cls(kind="registry", place=str(service.repository.tagged(_TAG)))
        if chosen is None or chosen == "off":
            return None
        if chosen == "github":
            return cls(kind="gha", place=service.service)
        if chosen.startswith(("/", "~")):
            return cls(kind="local", place=str(Path(chosen).expanduser() / service.service))
        return cls(kind="registry", place=chosen)

    @property
    def of_checks(self) -> Cache:
        """Return the cache that checks write."""
        return Cache(kind=self.kind, place=f"{self.place}{_OF_CHECKS}")

    @property
    def source(self) -> str:
        """Return the value of `--cache-from`; empty for a folder that does not exist yet."""
        if self.kind == "registry":
            return f"type=registry,ref={self.place}"
        if self.kind == "gha":
            return f"type=gha,scope={self.place}"
        return f"type=local,src={self.place}" if (Path(self.place) / _INDEX).exists() else ""

    @property
    def destination(self) -> str:
        """Return the value of `--cache-to`; the cache holds all stages, not only the stages of the image."""
        if self.kind == "registry":
            return f"type=registry,ref={self.place},mode=max,image-manifest=true,oci-mediatypes=true"
        if self.kind == "gha":
            return f"type=gha,scope={self.place},mode=max"
        return f"type=local,dest={self.unfinished},mode=max"

    @property
    def unfinished(self) -> Path:
        """Return the temporary folder that is written before it replaces the old cache folder."""
        return Path(f"{self.place}.{os.getpid()}")

    def settle(self) -> None:
        """Replace the cache folder with the written one. Raises OSError."""
        if self.kind == "local":
            old = Path(f"{self.unfinished}.old")
            if Path(self.place).exists():
                Path(self.place).rename(old)
            self.unfinished.rename(self.place)
            shutil.rmtree(old, ignore_errors=True)

    def check(self, verb: str) -> str:
        """Return what to check after a failed access, by the kind of the cache. `verb`: "read" or "write"."""
        if self.kind == "local":
            return f"check that this user may {verb} the folder {Path(self.place).parent}"
        if self.kind == "gha":
            return "check the variables of GitHub's cache, as `invoke explain build-cache` shows"
        return f"check its address and the network, and check that this login may {verb} there"

    def problem(self, environ: Mapping[str, str]) -> str:
        """Return why the cache cannot be used here, with the next step; empty if no problem is known."""
        if self.kind != "gha" or _has_github(environ):
            return ""
        return (
            "GitHub's cache needs ACTIONS_RUNTIME_TOKEN with ACTIONS_RESULTS_URL or ACTIONS_CACHE_URL, which "
            "only actions get\n  → add a step that exports them, as `invoke explain build-cache` shows"
        )


def _has_github(environ: Mapping[str, str]) -> bool:
    address = environ.get("ACTIONS_RESULTS_URL") or environ.get("ACTIONS_CACHE_URL")
    return bool(environ.get("ACTIONS_RUNTIME_TOKEN") and address)


def usable(ctx: StageContext) -> Cache | None:
    """Return the configured cache; None if no cache is configured or the cache cannot be used here."""
    found = Cache.of(ctx.plan.service, ctx.environ)
    return found if found is not None and not found.problem(ctx.environ) else None


def import_options(ctx: StageContext) -> tuple[str, ...]:
    """Return the options of buildx that import the cache; empty with `--no-cache`."""
    cache = usable(ctx)
    if cache is None or ctx.plan.no_cache:
        return ()
    read = (cache,) if ctx.purpose == "release" else (cache, cache.of_checks)
    sources = [each.source for each in read if each.source]
    checked = statement(ctx) if cache.kind == "registry" else None
    if checked is not None and checked.cache is not None:  # the signed digest, whatever the tag holds
        repository = Reference.parse(cache.of_checks.place).repository
        sources.append(f"type=registry,ref={repository}@{checked.cache}")
    return tuple(word for source in sources for word in ("--cache-from", source))


def unread(ctx: StageContext, progress: Progress) -> str:
    """Return a line for a configured cache that a build could not read; empty if none is due.

    The cache of checks is left out: it is often not there yet.
    """
    cache = usable(ctx)
    if cache is None or ctx.plan.no_cache:
        return ""
    reason = progress.unread(cache.place if cache.kind == "registry" else "")
    if reason is None:
        return ""
    return (
        f"the build cache {cache.place} was not read: {shortened(reason, SUMMARY)}\n  → if a release has "
        f"written it before, {cache.check('read')}"
    )


def cache_environment(ctx: StageContext) -> dict[str, str]:
    """Return the variables that buildx needs for the cache, in addition to the variables of each build."""
    cache = usable(ctx)
    if cache is None or cache.kind != "gha":
        return {}
    return {name: ctx.environ[name] for name in GITHUB if name in ctx.environ}
