"""A drill in a Swarm: a service of its own, of one task, through the very code that deploys.

It has a name, labels, secrets and configs of its own, empty volumes in the place of the real ones, and of
ports only a free one of its node, where the service itself publishes the one that is asked. So nothing that
serves is touched, and all of it is found again, by the next drill too, if this one is killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from release.deploy.core.drill_request import DRILL, DrillRequest, drill_name, empty, is_left_behind
from release.deploy.core.image_location import ImageLocation
from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import (
    DEPLOYMENT,
    ENVIRONMENT,
    PROCESS,
    ROLE,
    SERVICE,
    SERVING,
    Place,
    process_of,
)
from release.deploy.core.rollout import RolloutContext, RolloutRequest
from release.deploy.targets.swarm import naming
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.images import SwarmImages
from release.deploy.targets.swarm.nodes import Route
from release.deploy.targets.swarm.objects import Service
from release.deploy.targets.swarm.rollout import Rollout, alone
from release.deploy.targets.swarm.rollouts import SwarmRollouts
from release.deploy.targets.swarm.stores import Kind
from release.errors import DeploymentFailed, Problem
from release.events import Emit, Notice
from release.images.engine import Engine
from release.runspec import Publish, RunSpec
from release.targetspec import SwarmSpec
from release.values import Struct, field

_STAND_IN: Final = "drill:secret"
"""In the place of a fingerprint: the names of the drill's secrets are its own anyway."""
_SURE: Final = 24
"""Characters of a drill's name that are in every name of its objects, however long the rest is."""
_OBJECTS: Final[tuple[tuple[Kind, str], ...]] = (("secrets", specs.SECRET), ("configs", specs.FILE))


class Scratch(Place, frozen=True, kw_only=True):
    """A place for drills beside a real place. Its objects never count as the real place's."""

    drill: str
    marks: tuple[tuple[str, str], ...] = ()
    """Labels with the drill's process and end."""

    @property
    def container(self) -> str:
        """Return the name of the drill's service."""
        return drill_name(
            Place(service=self.service, environment=self.environment, process=self.process), self.drill
        )

    def labels(self, role: str) -> dict[str, str]:
        """Return labels with another role than in the real place."""
        return _labels(self, role) | dict(self.marks)

    def __str__(self) -> str:
        """Return the place as text."""
        return f"{self.service} in {self.environment}, rehearsed"


def _labels(place: Place, role: str) -> dict[str, str]:
    known = {SERVICE: place.service, ENVIRONMENT: place.environment}
    known |= {PROCESS: place.process} if place.process else {}
    return known | {ROLE: DRILL if role == SERVING else f"{DRILL}-{role}"}


class SwarmDrills(Struct, frozen=True, kw_only=True):
    """Drills in a Swarm. See `release.deploy.core.target.Drills`."""

    engine: Engine
    """Engine of a manager."""
    ways: Mapping[str, Route] = field(default_factory=dict)
    """Addresses of the engines of its nodes."""

    @property
    def swarm(self) -> Swarm:
        """Return the Swarm of the engine."""
        return Swarm(engine=self.engine)

    @property
    def what(self) -> str:
        """Return "service"."""
        return "service"

    @property
    def where(self) -> str:
        """Return the Swarm of the manager, in words for a sentence."""
        return f"in the Swarm of {self.engine.host}"

    def name(self, request: DrillRequest) -> str:
        """Return the name of the drill's service."""
        return naming.service_name(scratch_of(request))

    def problems(self, request: DrillRequest) -> list[Problem]:
        """Return the problems of a deployment to the drill's place."""
        rollouts = SwarmRollouts(engine=self.engine, place=scratch_of(request), ways=self.ways)
        return rollouts.settings_problems(order_of(request).spec, request.target.body.image)

    def unchecked(self, request: DrillRequest) -> tuple[str, ...]:
        """Return that several tasks are not proven."""
        return request.unproven_replicas

    def remove_leftovers(self, request: DrillRequest, emit: Emit) -> None:
        """Remove services, secrets and configs of killed drills."""
        remove_leftovers(self.swarm, request.place, emit)

    def fetch(self, request: DrillRequest, found: ImageLocation, emit: Emit) -> None:
        """Pull the image on nodes that may run it."""
        images = SwarmImages(engine=self.engine, place=scratch_of(request), ways=self.ways)
        images.fetch(request.target.body, order_of(request).spec, found, emit)

    def rehearse(self, request: DrillRequest, context: RolloutContext) -> str:
        """Deploy the release beside the running one; return the evidence."""
        try:
            return self.rollout(request, context).run()
        except DeploymentFailed as error:
            context.cancellation.check()
            raise DeploymentFailed(
                f"drill {request.target.body.version} of {request.place}",
                error.found,
                "the serving release was not changed; the lines above show why a rollback to this "
                "release would fail",
                error.tail,
            ) from error

    def rollout(self, request: DrillRequest, context: RolloutContext) -> Rollout:
        """Return the rollout of the service of a drill."""
        return alone(self.swarm, order_of(request), context, self.ways)

    def remove(self, request: DrillRequest, context: RolloutContext) -> None:
        """Remove the service and its objects."""
        place, swarm = scratch_of(request), self.swarm
        self.rollout(request, context).remove()
        for kind, role in _OBJECTS:
            for each in swarm.stored(kind, place.labels(role)):
                swarm.drop(kind, each.id)


def scratch_of(request: DrillRequest) -> Scratch:
    """Return the place of a drill."""
    return Scratch(
        service=request.place.service,
        environment=request.place.environment,
        process=request.place.process,
        drill=request.drill,
        marks=tuple(sorted(request.marks.items())),
    )


def order_of(request: DrillRequest) -> RolloutRequest:
    """Return a drill's rollout: the recorded settings without anything that would touch other objects."""
    return RolloutRequest(
        place=scratch_of(request),
        identity=request.identity,
        image=request.target.body.image,
        spec=_settings(request),
        secrets=request.values(),
        before=InstanceSet(running=(), stopped=()),
        old=None,
        health_timeout=request.health_timeout,
    )


def _settings(request: DrillRequest) -> RunSpec:
    spec = request.spec
    swarm = spec.swarm or SwarmSpec()
    return spec.model_copy(
        update={
            "env": request.stand_ins() | spec.env,
            "secrets": dict.fromkeys(request.values(), _STAND_IN),
            "publish": _port(spec),
            "networks": spec.networks if request.conditions.networks else (),
            "volumes": tuple(empty(mount) for mount in spec.volumes),
            "labels": {},
            "restart": "no",
            "replicas": 1,
            "proxy": None,
            "swarm": swarm.model_copy(update={"publish_mode": "host", "order": "stop-first"}),
        }
    )


def _port(spec: RunSpec) -> tuple[Publish, ...]:
    """Return a free port of the node; None if the service publishes no port."""
    probe = spec.probe
    if probe is None or all(port.container != probe.port for port in spec.publish):
        return ()
    return (Publish.model_construct(host=0, container=probe.port),)


def _is_a_drills(place: Place, service: Service, labels: Mapping[str, str]) -> bool:
    """Return whether labels and name are those of a drill."""
    drill = service.labels.get(DEPLOYMENT, "")
    scratch = Scratch(
        service=place.service,
        environment=place.environment,
        process=process_of(service.labels),
        drill=drill,
    )
    return labels.items() <= service.labels.items() and service.name == naming.service_name(scratch)


def remove_leftovers(swarm: Swarm, place: Place, emit: Emit) -> None:
    """Remove objects of drills of this place whose process is gone, or whose time is over."""
    wanted = _labels(place, SERVING)
    for service in swarm.services():
        if _is_a_drills(place, service, wanted) and is_left_behind(service.labels):
            emit(Notice(text=f"removing {service.name} of a killed drill"))
            swarm.remove(service.id)
    for kind, role in _OBJECTS:
        for each in swarm.stored(kind, _labels(place, role)):
            if is_left_behind(each.labels) and each.name.startswith(drill_name(place, "")[:_SURE]):
                swarm.drop(kind, each.id)
