"""The objects of a place, as the parts of a target find them."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from lightkube.resources.apps_v1 import Deployment

from release.deploy.core.place import DEPLOYMENT, SERVING, Place, process_of
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.clock import SYSTEM, Clock
from release.deploy.targets.kubernetes.documents import texts_of
from release.deploy.targets.kubernetes.kinds import name_of
from release.deploy.targets.kubernetes.ownership import is_autoscaled
from release.deploy.targets.kubernetes.pods import PodState, pod_states
from release.values import Struct

_MARK_DIGITS: Final = 16


class Workload(Struct, frozen=True, kw_only=True):
    """A Deployment of a place, with its pods."""

    found: Deployment
    pods: tuple[PodState, ...]

    @property
    def name(self) -> str:
        """Return the name of the Deployment."""
        return name_of(self.found)

    @property
    def texts(self) -> dict[str, str]:
        """Return our labels and annotations."""
        return dict(texts_of(self.found.metadata))

    @property
    def deployment(self) -> str:
        """Return the id of the deployment that applied it."""
        return self.texts.get(DEPLOYMENT, "")

    @property
    def process(self) -> str:
        """Return the process; empty if it is the only one."""
        return process_of(self.texts)

    @property
    def replicas(self) -> int:
        """Return the number of pods in the spec."""
        return (self.found.spec and self.found.spec.replicas) or 0

    @property
    def identities(self) -> tuple[str, ...]:
        """Return an id for each wanted pod, which depends on the spec, but not on an autoscaler."""
        assert self.found.spec is not None  # noqa: S101 - the API server writes it
        spec = self.found.spec.to_dict()
        slots = tuple(range(1, self.replicas + 1))
        if is_autoscaled(self.found.metadata):
            spec.pop("replicas", None)
            slots = (1,) * self.replicas
        uid = (self.found.metadata and self.found.metadata.uid) or ""
        text = json.dumps([uid, spec], sort_keys=True, default=str)
        mark = hashlib.sha256(text.encode()).hexdigest()[:_MARK_DIGITS]
        return tuple(f"{self.name}.{slot}@{mark}" for slot in slots)


class PlacedWorkloads(Struct, frozen=True, kw_only=True):
    """A place in a namespace, with its Deployments."""

    cluster: Cluster
    place: Place
    force: bool = False
    """True: fields that other managers own are taken over."""
    clock: Clock = SYSTEM
    """Clock for deadlines and pauses."""

    def workloads(self) -> list[Workload]:
        """Return the Deployments with labels and a name of this place."""
        labels = naming.selector(self.place, SERVING)
        found = self.cluster.every(Deployment, labels)
        states = pod_states(self.cluster.pods.list(labels)[0]) if found else []
        every = [Workload(found=each, pods=()) for each in found]
        return [
            Workload(found=each.found, pods=tuple(pod for pod in states if pod.process == each.process))
            for each in every
            if naming.is_own(self.place, each.process, each.name) and each.deployment
        ]
