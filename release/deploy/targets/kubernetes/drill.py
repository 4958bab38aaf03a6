"""A drill in a namespace: a Deployment of one pod beside what runs, through the very code that deploys.

It has names and labels of its own, so no Service sends it a request, secrets and files of its own, and empty
volumes. All of it is found again, by the next drill too, if this one is killed.
"""

from __future__ import annotations

from release.deploy.core.drill_request import DRILL, DrillRequest, empty, is_left_behind
from release.deploy.core.image_location import ImageLocation
from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import ENVIRONMENT, PROCESS, ROLE, SERVICE, SERVING, Place
from release.deploy.core.problems import listed
from release.deploy.core.rollout import RolloutContext, RolloutRequest
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.clock import SYSTEM, Clock
from release.deploy.targets.kubernetes.documents import texts_of
from release.deploy.targets.kubernetes.kinds import KINDS, meta_of, name_of
from release.deploy.targets.kubernetes.manifests import is_described
from release.deploy.targets.kubernetes.preflight import Preflight
from release.deploy.targets.kubernetes.rollout import Rollout
from release.errors import DeploymentFailed, Problem
from release.events import Emit, Notice
from release.runspec import RunSpec
from release.values import Struct

_STAND_IN = "drill:secret"
"""In the place of a fingerprint: the names of the drill's secrets are its own anyway."""
_SURE = 24
"""Characters that are in every name, however long the rest is."""
_ROLES = (
    ("Deployment", SERVING),
    ("Secret", naming.SECRET),
    ("ConfigMap", naming.FILE),
    ("ConfigMap", naming.BEFORE),
)


class Scratch(Place, frozen=True, kw_only=True):
    """A place for drills beside a real place. Its objects never count as the real place's."""

    drill: str
    marks: tuple[tuple[str, str], ...] = ()
    """Texts with the drill's process and end."""

    @property
    def container(self) -> str:
        """Return the name of the drill's Deployment."""
        return "-".join(filter(None, [self.service, self.environment, "drill", self.drill, self.process]))

    def labels(self, role: str) -> dict[str, str]:
        """Return labels with another role than in the real place, and the drill's id."""
        known = _labels(self, role) | {naming.DRILL: self.drill} | dict(self.marks)
        return known | {PROCESS: self.process} if self.process else known

    def __str__(self) -> str:
        """Return the place as text."""
        return f"{self.service} in {self.environment}, rehearsed"


def _labels(place: Place, role: str) -> dict[str, str]:
    known = {SERVICE: place.service, ENVIRONMENT: place.environment}
    return known | {ROLE: DRILL if role == SERVING else f"{DRILL}-{role}"}


class KubernetesDrills(Struct, frozen=True, kw_only=True):
    """See `release.deploy.core.target.Drills`."""

    cluster: Cluster
    clock: Clock = SYSTEM

    @property
    def what(self) -> str:
        """Return "Deployment"."""
        return "Deployment"

    @property
    def where(self) -> str:
        """Return the namespace, in words for a sentence."""
        return f"in {self.cluster.name}"

    def name(self, request: DrillRequest) -> str:
        """Return the name of the drill's Deployment."""
        return naming.workload(scratch_of(request))

    def problems(self, request: DrillRequest) -> list[Problem]:
        """Return the problems of a deployment, except of volumes: a drill's are empty."""
        if is_described(request.spec):
            found = "a drill starts pods of run settings, and these objects come from manifests"
            return listed(request.place, {"kubernetes": [found]})
        asked = Preflight(cluster=self.cluster)
        return listed(
            request.place, {"kubernetes": asked.problems(_settings(request), request.target.body.image)}
        )

    def unchecked(self, request: DrillRequest) -> tuple[str, ...]:
        """Return that several pods and Services are not proven."""
        return request.unproven_replicas

    def remove_leftovers(self, request: DrillRequest, emit: Emit) -> None:
        """Remove Deployments, secrets and files of killed drills."""
        for kind, role in _ROLES:
            for each in self.cluster.every(KINDS[kind], _labels(request.place, role)):
                name = name_of(each)
                if is_left_behind(dict(texts_of(meta_of(each)))) and name.startswith(
                    _beginning(request.place)
                ):
                    emit(Notice(text=f"removing the {kind} {name} of a killed drill"))
                    self.cluster.delete(kind, name)

    def fetch(self, request: DrillRequest, found: ImageLocation, emit: Emit) -> None:
        """Do nothing: the pod's node pulls the image."""

    def rehearse(self, request: DrillRequest, context: RolloutContext) -> str:
        """Deploy the release beside the running one; return the evidence."""
        try:
            return self._rollout(request, context).run()
        except DeploymentFailed as error:
            context.cancellation.check()
            raise DeploymentFailed(
                f"drill {request.target.body.version} of {request.place}",
                error.found,
                "the serving release was not changed; the lines above show why a rollback to this release "
                "would fail",
                error.tail,
            ) from error

    def _rollout(self, request: DrillRequest, context: RolloutContext) -> Rollout:
        place = scratch_of(request)
        order = RolloutRequest(
            place=place,
            identity=request.identity,
            image=request.target.body.image,
            spec=_settings(request),
            secrets=request.values(),
            before=InstanceSet(running=(), stopped=()),
            old=None,
            health_timeout=request.health_timeout,
        )
        return Rollout(cluster=self.cluster, place=place, clock=self.clock, order=order, means=context)

    def remove(self, request: DrillRequest, context: RolloutContext) -> None:  # noqa: ARG002 - as the protocol has it
        """Remove objects with this drill's id and names."""
        for kind, role in _ROLES:
            wanted = _labels(request.place, role) | {naming.DRILL: request.drill}
            for each in self.cluster.every(KINDS[kind], wanted):
                name = name_of(each)
                if name.startswith(_beginning(request.place)):
                    self.cluster.delete(kind, name)


def _beginning(place: Place) -> str:
    """Return the common beginning of the names of a drill's objects."""
    return f"{place.service}-{place.environment}-drill"[:_SURE]


def scratch_of(request: DrillRequest) -> Scratch:
    """Return the place of a drill."""
    return Scratch(
        service=request.place.service,
        environment=request.place.environment,
        process=request.place.process,
        drill=request.drill,
        marks=tuple(sorted(request.marks.items())),
    )


def _settings(request: DrillRequest) -> RunSpec:
    """Return the recorded settings without anything that would touch other objects."""
    spec = request.spec
    return spec.model_copy(
        update={
            "env": request.stand_in_paths() | spec.env,
            "secrets": dict.fromkeys(request.values(), _STAND_IN),
            "publish": (),
            "volumes": tuple(empty(mount) for mount in spec.volumes),
            "labels": {},
            "replicas": 1,
        }
    )
