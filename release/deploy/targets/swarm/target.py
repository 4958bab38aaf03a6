"""A place in a Swarm: a service, what it needs, and how it is replaced."""

from __future__ import annotations

from release.deploy.core.lock_store import LockStore
from release.deploy.targets.swarm.commands import SwarmCommands
from release.deploy.targets.swarm.drill import SwarmDrills
from release.deploy.targets.swarm.images import SwarmImages
from release.deploy.targets.swarm.instances import SwarmInstances
from release.deploy.targets.swarm.lock_store import SwarmLockStore
from release.deploy.targets.swarm.operations import SwarmOperations
from release.deploy.targets.swarm.rollouts import SwarmRollouts
from release.deploy.targets.swarm.service import PlacedService
from release.deploy.targets.swarm.upkeep import SwarmUpkeep
from release.reference import Digest


class SwarmTarget(PlacedService, frozen=True, kw_only=True):
    """A place in a Swarm. See `release.deploy.core.target.Target` for what each part promises."""

    @property
    def name(self) -> str:
        """The manager's address."""
        return self.engine.host

    @property
    def instances(self) -> SwarmInstances:
        """The tasks of the service."""
        return SwarmInstances(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def images(self) -> SwarmImages:
        """The registry, and the stores of the nodes."""
        return SwarmImages(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def rollouts(self) -> SwarmRollouts:
        """The Swarm replaces task by task."""
        return SwarmRollouts(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def commands(self) -> SwarmCommands:
        """Jobs of their own."""
        return SwarmCommands(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def drills(self) -> SwarmDrills:
        """A service beside what runs."""
        return SwarmDrills(engine=self.engine, ways=self.ways)

    @property
    def operations(self) -> SwarmOperations:
        """The tasks of all services, and jobs."""
        return SwarmOperations(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def upkeep(self) -> SwarmUpkeep:
        """Its machines, and its secrets and configs."""
        return SwarmUpkeep(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def lock_needs_image(self) -> bool:
        """A lock is a config."""
        return False

    def lock_store(self, image: Digest | None = None) -> LockStore:  # noqa: ARG002 - other targets need it
        """The Swarm itself: a config is the lock. Raises NotReady where this engine cannot tell."""
        self.need_manager()
        return SwarmLockStore(swarm=self.swarm)
