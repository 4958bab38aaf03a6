"""A place in a Swarm: a service, what it needs, and how it is replaced."""

from __future__ import annotations

from release.deploy.core.lock_store import LockStore
from release.deploy.targets.swarm.adoption import SwarmAdoptions
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
    """A place in a Swarm. See `release.deploy.core.target.Target` for each part."""

    @property
    def name(self) -> str:
        """Return the manager's address."""
        return self.engine.host

    @property
    def instances(self) -> SwarmInstances:
        """Return the instances: tasks of the services."""
        return SwarmInstances(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def images(self) -> SwarmImages:
        """Return the images of the registry and the nodes."""
        return SwarmImages(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def rollouts(self) -> SwarmRollouts:
        """Return the rollouts, in which the Swarm replaces task by task."""
        return SwarmRollouts(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def commands(self) -> SwarmCommands:
        """Return the commands: jobs."""
        return SwarmCommands(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def drills(self) -> SwarmDrills:
        """Return the drills: services beside the running ones."""
        return SwarmDrills(engine=self.engine, ways=self.ways)

    @property
    def operations(self) -> SwarmOperations:
        """Return the operations on tasks and jobs."""
        return SwarmOperations(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def adoptions(self) -> SwarmAdoptions:
        """Return the services that another program created."""
        return SwarmAdoptions(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def upkeep(self) -> SwarmUpkeep:
        """Return the upkeep of nodes, secrets and configs."""
        return SwarmUpkeep(engine=self.engine, place=self.place, ways=self.ways)

    @property
    def lock_needs_image(self) -> bool:
        """Return False: a lock is a config."""
        return False

    def lock_store(self, image: Digest | None = None) -> LockStore:  # noqa: ARG002 - other targets need it
        """Return the Swarm's lock store. Raises NotReady if this engine is no manager."""
        self.need_manager()
        return SwarmLockStore(swarm=self.swarm)
