"""A rehearsal in a Swarm: a service of its own, of one task, through the very code that deploys.

It has a name, labels, secrets and configs of its own, empty volumes in the place of the real ones, and of
ports only a free one of its node, where the service itself publishes the one that is asked. So nothing that
serves is touched, and all of it is found again, by the next drill too, if this one is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Final

from release.cancellation import Cancellation
from release.deploy.core.image_location import Bytes, telling
from release.deploy.core.place import (
    DEPLOYMENT,
    ENVIRONMENT,
    ROLE,
    SERVICE,
    SERVING,
    ContainerSet,
    Identity,
    Place,
)
from release.deploy.core.target import RolloutContext, RolloutRequest
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.inspection.drill import (
    DRILL,
    Conditions,
    Drill,
    Drilled,
    drill_name,
    empty,
    is_left_behind,
    refuse,
)
from release.deploy.planning.settings import read_secrets, recorded_settings
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.api import Kind, Service, Swarm
from release.deploy.targets.swarm.nodes import Route
from release.deploy.targets.swarm.rollout import Rollout
from release.deploy.targets.swarm.target import SwarmTarget
from release.errors import DeploymentFailed, EngineError
from release.events import Emit, Notice, Warned
from release.ledger.query import Event
from release.records import Record, Release
from release.redact import Mask
from release.reference import Digest
from release.runspec import Publish, RunSpec, SwarmSpec
from release.values import field

_STAND_IN: Final = "drill:secret"
"""In the place of a fingerprint: the names of the drill's secrets are its own anyway."""
_SURE: Final = 24
"""Characters of a drill's name that are in every name of its objects, however long the rest is."""
_OBJECTS: Final[tuple[tuple[Kind, str], ...]] = (("secrets", specs.SECRET), ("configs", specs.FILE))


class Scratch(Place, frozen=True, kw_only=True):
    """A place beside a real one: what is in it is never taken for the real one's."""

    drill: str
    marks: tuple[tuple[str, str], ...] = ()
    """Labels that tell whose it is, and until when."""

    @property
    def container(self) -> str:
        """The name of its service."""
        return f"{self.service}-{self.environment}-drill-{self.drill}"

    def labels(self, role: str) -> dict[str, str]:
        """Return what carries another role than in the real place."""
        return _labels(self, role) | dict(self.marks)

    def __str__(self) -> str:
        """For people."""
        return f"{self.service} in {self.environment}, rehearsed"


def _labels(place: Place, role: str) -> dict[str, str]:
    known = {SERVICE: place.service, ENVIRONMENT: place.environment}
    return known | {ROLE: DRILL if role == SERVING else f"{DRILL}-{role}"}


class SwarmDrill(Drill, frozen=True, kw_only=True, dict=True):
    """Plan of a drill in a Swarm; made before anything is started."""

    target_of: SwarmTarget
    """The real place there, whose manager is talked to."""
    found: Bytes = field(default_factory=lambda: Bytes(where="registry"))

    @cached_property
    def scratch(self) -> SwarmTarget:
        """The place of the rehearsal."""
        place = Scratch(
            service=self.place.service,
            environment=self.place.environment,
            drill=self.drill,
            marks=tuple(sorted(self.marks.items())),
        )
        return SwarmTarget(engine=self.engine, place=place, ways=self.target_of.ways)

    @property
    def what(self) -> str:
        """Return what is started."""
        return "service"

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Return what it does not prove."""
        several = (f"replicas: 1 of {self.spec.replicas}",) if self.spec.replicas > 1 else ()
        asked = self.spec.health_tcp is not None or self.spec.health_command is not None
        gates = ("health_tcp and health_command: a Swarm uses its health check",) if asked else ()
        return (*super().unchecked, *several, *gates)

    def order(self) -> RolloutRequest:
        """As recorded, but for what would touch anything."""
        body = self.target.body
        return RolloutRequest(
            place=self.scratch.place,
            identity=Identity(
                deployment=self.drill,
                version=body.version,
                commit=body.source.commit,
                digest=Digest(body.image.digest),
                record=self.target.id,
            ),
            image=body.image,
            spec=self._settings(),
            secrets=self.values(),
            before=ContainerSet(running=(), stopped=()),
            old=None,
            health_timeout=self.health_timeout,
        )

    def _settings(self) -> RunSpec:
        swarm = self.spec.swarm or SwarmSpec()
        return self.spec.model_copy(
            update={
                "env": self.stand_ins() | self.spec.env,
                "secrets": dict.fromkeys(self.values(), _STAND_IN),
                "publish": self._port(),
                "networks": self.spec.networks if self.conditions.networks else (),
                "volumes": tuple(empty(mount) for mount in self.spec.volumes),
                "labels": {},
                "restart": "no",
                "replicas": 1,
                "proxy": None,
                "swarm": swarm.model_copy(update={"publish_mode": "host", "order": "stop-first"}),
            }
        )

    def _port(self) -> tuple[Publish, ...]:
        """A free one of the node; none where the service itself is not to be reached from outside."""
        probe = self.spec.probe
        if probe is None or all(port.container != probe.port for port in self.spec.publish):
            return ()
        return (Publish.model_construct(host=0, container=probe.port),)


def prepare(
    live: LiveEnvironment,
    ground: LiveEnvironment,
    target: Record[Release],
    ran: Event | None,
    conditions: Conditions,
) -> SwarmDrill:
    """Find out everything before anything is started.

    Args:
        site: the environment whose release and settings are rehearsed.
        ground: where: the same, or another one, in a Swarm.
        target: the release.
        ran: the deployment whose settings are; absent: the release's last healthy one.
        conditions: what is real.

    Raises:
        TargetUnavailable: no settings are recorded, or the bytes are nowhere.
        NotReady: a secret cannot be read, or no node can run it.
        EngineError.
    """
    spec = recorded_settings(live, target, ran)
    secrets, missing = read_secrets(live, spec) if conditions.secrets else ({}, [])
    here = SwarmTarget(engine=ground.engine, place=live.place, ways=_ways(ground))
    found = here.locate(target.body.image, telling(live.workspace.emit))
    drill_run = SwarmDrill(
        place=live.place,
        engine=ground.engine,
        target=target,
        spec=spec,
        conditions=conditions,
        secrets=secrets,
        bytes_from=found.where,
        stored=found.stored,
        health_timeout=live.settings.health_timeout,
        target_of=here,
        found=found,
    )
    lacking = drill_run.scratch.settings_problems(drill_run.order().spec, target.body.image)
    attempted = f"drill {target.body.version} of {live.place} in the Swarm of {ground.engine.host}"
    refuse(attempted, found, [*missing, *lacking])
    return drill_run


def _ways(ground: LiveEnvironment) -> Mapping[str, Route]:
    return ground.target.ways if isinstance(ground.target, SwarmTarget) else {}


def drill(
    drill_run: SwarmDrill, emit: Emit, cancellation: Cancellation, elapsed: Callable[[], int]
) -> Drilled:
    """Deploy it beside what runs, see it healthy, take it away.

    Args:
        rehearsal: what and where.
        emit: is told the steps.
        cancellation: gives up; what was started is taken away all the same.
        elapsed: milliseconds since the command began.

    Raises:
        DeploymentFailed: it does not become healthy; with its last lines.
        EngineError, Cancelled.
    """
    swarm = drill_run.scratch.swarm
    sweep(swarm, drill_run.place, emit)
    drill_run.scratch.fetch(drill_run.target.body, drill_run.order().spec, drill_run.found, emit)
    means = RolloutContext(emit=emit, cancellation=cancellation, mask=Mask(drill_run.secrets.values()))
    rollout = Rollout(swarm=swarm, order=drill_run.order(), means=means)
    with apart(rollout, emit):
        evidence = _rehearsed(rollout, drill_run)
        took = elapsed()
    return Drilled(drill_run=drill_run, evidence=evidence, duration_ms=took)


def _rehearsed(rollout: Rollout, drill_run: SwarmDrill) -> str:
    try:
        return rollout.run()
    except DeploymentFailed as error:
        rollout.means.cancellation.check()
        raise DeploymentFailed(
            f"drill {drill_run.target.body.version} of {drill_run.place}",
            error.found,
            "the serving release was not changed; the lines above show why a rollback to this "
            "release would fail",
            error.tail,
        ) from error


@contextmanager
def apart(rollout: Rollout, emit: Emit) -> Iterator[None]:
    """The service and its objects are gone when the block ends, however it ends."""
    place, swarm = rollout.order.place, rollout.swarm
    try:
        yield
    finally:
        try:
            rollout.remove()
            for kind, role in _OBJECTS:
                for each in swarm.stored(kind, place.labels(role)):
                    swarm.drop(kind, each.id)
        except EngineError as error:
            left = (
                f"could not remove {rollout.name}: {error.found}. The next drill removes it. No "
                "action needed."
            )
            emit(Warned(text=left))


def _is_a_drills(place: Place, service: Service, labels: Mapping[str, str]) -> bool:
    """Return whether its labels and its name are those that a drill gives."""
    drill = service.labels.get(DEPLOYMENT, "")
    scratch = Scratch(service=place.service, environment=place.environment, drill=drill)
    return labels.items() <= service.labels.items() and service.name == specs.service_name(scratch)


def sweep(swarm: Swarm, place: Place, emit: Emit) -> None:
    """Remove what drills of this place left whose process is gone, or whose time is over."""
    wanted = _labels(place, SERVING)
    for service in swarm.services():
        if _is_a_drills(place, service, wanted) and is_left_behind(service.labels):
            emit(Notice(text=f"removing {service.name} of a killed drill"))
            swarm.remove(service.id)
    for kind, role in _OBJECTS:
        for each in swarm.stored(kind, _labels(place, role)):
            if is_left_behind(each.labels) and each.name.startswith(drill_name(place, "")[:_SURE]):
                swarm.drop(kind, each.id)
