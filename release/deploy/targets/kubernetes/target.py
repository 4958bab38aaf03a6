"""A place in a namespace of a cluster: Deployments, what they need, and how they are replaced."""

from __future__ import annotations

from release.deploy.core import image_location
from release.deploy.core.lock_store import LockStore
from release.deploy.targets.kubernetes.adoption import KubernetesAdoptions
from release.deploy.targets.kubernetes.commands import KubernetesCommands
from release.deploy.targets.kubernetes.drill import KubernetesDrills
from release.deploy.targets.kubernetes.images import KubernetesImages, Missing
from release.deploy.targets.kubernetes.instances import KubernetesInstances
from release.deploy.targets.kubernetes.lock_store import KubernetesLockStore
from release.deploy.targets.kubernetes.operations import KubernetesOperations
from release.deploy.targets.kubernetes.placed import PlacedWorkloads
from release.deploy.targets.kubernetes.rollouts import KubernetesRollouts
from release.deploy.targets.kubernetes.upkeep import KubernetesUpkeep
from release.reference import Digest


class KubernetesTarget(PlacedWorkloads, frozen=True, kw_only=True):
    """A place in a namespace. See `release.deploy.core.target.Target` for each part."""

    missing: Missing = image_location.missing_in_registry

    @property
    def name(self) -> str:
        """Return the address and the namespace."""
        return self.cluster.name

    @property
    def instances(self) -> KubernetesInstances:
        """Return the instances: pods."""
        return KubernetesInstances(cluster=self.cluster, place=self.place)

    @property
    def images(self) -> KubernetesImages:
        """Return the images of the registry and the nodes."""
        return KubernetesImages(cluster=self.cluster, missing=self.missing)

    @property
    def rollouts(self) -> KubernetesRollouts:
        """Return the rollouts, in which the cluster replaces pod by pod."""
        return KubernetesRollouts(cluster=self.cluster, place=self.place, force=self.force, clock=self.clock)

    @property
    def commands(self) -> KubernetesCommands:
        """Return the commands: Jobs."""
        return KubernetesCommands(
            cluster=self.cluster, place=self.place, clock=self.clock, missing=self.missing
        )

    @property
    def drills(self) -> KubernetesDrills:
        """Return the drills: Deployments beside the running ones."""
        return KubernetesDrills(cluster=self.cluster, clock=self.clock)

    @property
    def operations(self) -> KubernetesOperations:
        """Return the operations on pods and Jobs."""
        return KubernetesOperations(
            cluster=self.cluster, place=self.place, force=self.force, clock=self.clock
        )

    @property
    def adoptions(self) -> KubernetesAdoptions:
        """Return the Deployments that another program made."""
        return KubernetesAdoptions(cluster=self.cluster, place=self.place, force=self.force, clock=self.clock)

    @property
    def upkeep(self) -> KubernetesUpkeep:
        """Return the upkeep of the API server and unneeded objects."""
        return KubernetesUpkeep(cluster=self.cluster, place=self.place)

    @property
    def lock_needs_image(self) -> bool:
        """Return False: a lock is a Lease."""
        return False

    def lock_store(self, image: Digest | None = None) -> LockStore:  # noqa: ARG002 - other targets need it
        """Return the namespace's lock store."""
        return KubernetesLockStore(cluster=self.cluster)
