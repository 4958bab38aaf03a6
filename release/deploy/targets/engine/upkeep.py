"""Upkeep of one engine: its clock and disk, its store of images, containers that are stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from release.deploy.core import engine_machine
from release.deploy.core.finding import Finding
from release.deploy.core.instance import Instance
from release.deploy.core.upkeep import ImageStore, Needs, Unneeded
from release.events import Emit
from release.images.engine import Engine
from release.values import Struct


class EngineUpkeep(Struct, frozen=True, kw_only=True):
    """Upkeep of one engine. See `release.deploy.core.target.Upkeep`."""

    engine: Engine

    def machine_findings(self, name: str) -> Iterator[Finding]:
        """Return findings on the engine, its clock and its disk."""
        yield from engine_machine.findings(name, self.engine)

    def cluster_findings(self, name: str) -> Iterator[Finding]:  # noqa: ARG002 - other targets have one
        """Return nothing: there is no cluster."""
        return iter(())

    def stores(self, stack: ExitStack, emit: Emit) -> Sequence[ImageStore]:  # noqa: ARG002 - it is open
        """Return the engine's image store."""
        return (engine_machine.EngineStore(engine=self.engine),)

    def remove(self, instance: Instance) -> None:
        """Remove the container."""
        self.engine.remove(instance.id)

    def unneeded(self, needs: Needs) -> tuple[Unneeded, ...]:  # noqa: ARG002 - other targets keep objects
        """Return nothing: secrets and files are in the containers."""
        return ()

    def drop(self, unneeded: Unneeded) -> None:
        """Raise EngineError: an engine has no such objects."""
        raise ValueError(f"an engine has no {unneeded}")
