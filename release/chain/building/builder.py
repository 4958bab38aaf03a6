"""The builder of buildx that builds the image: the engine's own BuildKit, or a named one."""

from __future__ import annotations

import re
from typing import Final

from release.chain.stage_context import StageContext
from release.errors import CommandFailed, GateFailed
from release.programs.environment import ENGINE
from release.programs.process import Command, run
from release.values import Struct

OWN: Final = "default"
"""Name of the builder that is the engine itself."""

_DRIVER: Final = re.compile(r"^Driver:\s*(\S+)", re.MULTILINE)
_VERSION: Final = re.compile(r"^\s*build\s?kit(?: version)?:\s*(\S+)", re.MULTILINE | re.IGNORECASE)


class Builder(Struct, frozen=True, kw_only=True):
    """A builder: its name, its driver, and the version of its BuildKit."""

    name: str = OWN
    driver: str = "docker"
    version: str = ""
    """Version of BuildKit; empty for the engine's own builder, which has the engine's version."""

    @property
    def record_text(self) -> str:
        """Return the builder's name and version for the record; empty for the engine's own builder."""
        return f"buildkit {self.version} ({self.driver} builder {self.name})" if self.name != OWN else ""

    @property
    def options(self) -> tuple[str, ...]:
        """Return the options of buildx that choose this builder; other drivers get `--load`.

        Other drivers than the engine load the image.
        """
        return ("--builder", self.name, *(() if self.driver == "docker" else ("--load",)))


def find_builder(ctx: StageContext) -> Builder:
    """Return the builder of the settings. Raises GateFailed: there is no such builder, or it does not run."""
    name = ctx.plan.service.build.builder
    return (
        ctx.shared_values.get_or_compute("builder", lambda: _inspect_builder(ctx, name))
        if name is not None
        else Builder()
    )


def _inspect_builder(ctx: StageContext, name: str) -> Builder:
    """Return the builder of this name; start a builder that is stopped. Raises GateFailed."""
    argv = ("docker", "buildx", "inspect", "--bootstrap", name)
    command = Command(argv=argv, inherits=ENGINE, env=ctx.engine.command_environment())
    try:
        said = run(command, mask=ctx.mask, cancellation=ctx.cancellation).output
    except CommandFailed as error:
        found = f"the builder {name!r} of `build.builder` does not exist or does not start"
        hint = f"list the builders: docker buildx ls; make one: docker buildx create --name {name}"
        raise GateFailed("build", found, hint, error.tail) from error
    driver, version = _DRIVER.search(said), _VERSION.search(said)
    return Builder(
        name=name,
        driver=driver[1] if driver is not None else "",
        version=version[1] if version is not None else "",
    )
