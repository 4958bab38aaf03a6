"""A place in a namespace of a cluster: Deployments, what they need, and how they are replaced."""

from __future__ import annotations

from release.deploy.core import image_location
from release.deploy.core.lock_store import LockStore
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
    """See `release.deploy.core.target.Target` for what each part promises."""

    missing: Missing = image_location.missing_in_registry

    @property
    def name(self) -> str:
        """Address and namespace."""
        return self.cluster.name

    @property
    def instances(self) -> KubernetesInstances:
        """Pods."""
        return KubernetesInstances(cluster=self.cluster, place=self.place)

    @property
    def images(self) -> KubernetesImages:
        """The registry, and what nodes have."""
        return KubernetesImages(cluster=self.cluster, missing=self.missing)

    @property
    def rollouts(self) -> KubernetesRollouts:
        """The cluster replaces pod by pod."""
        return KubernetesRollouts(cluster=self.cluster, place=self.place, force=self.force, clock=self.clock)

    @property
    def commands(self) -> KubernetesCommands:
        """Jobs."""
        return KubernetesCommands(
            cluster=self.cluster, place=self.place, clock=self.clock, missing=self.missing
        )

    @property
    def drills(self) -> KubernetesDrills:
        """A Deployment beside what runs."""
        return KubernetesDrills(cluster=self.cluster, clock=self.clock)

    @property
    def operations(self) -> KubernetesOperations:
        """Pods and Jobs."""
        return KubernetesOperations(
            cluster=self.cluster, place=self.place, force=self.force, clock=self.clock
        )

    @property
    def upkeep(self) -> KubernetesUpkeep:
        """The API server, and objects that nothing needs."""
        return KubernetesUpkeep(cluster=self.cluster, place=self.place)

    @property
    def lock_needs_image(self) -> bool:
        """A lock is a Lease."""
        return False

    def lock_store(self, image: Digest | None = None) -> LockStore:  # noqa: ARG002 - other targets need it
        """The namespace itself."""
        return KubernetesLockStore(cluster=self.cluster)
