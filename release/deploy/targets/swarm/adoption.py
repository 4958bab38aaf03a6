"""Services that another program created, as `docker service create` or a stack, and how to take them over."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from release.deploy.core.adopted_image import AdoptedImage, describe_image
from release.deploy.core.adoption import Candidate, Reading
from release.deploy.core.image_location import Tell
from release.deploy.core.instance import Instance
from release.deploy.core.place import SERVICE
from release.deploy.core.rollout import RolloutContext
from release.deploy.core.steps import step
from release.deploy.targets.swarm import marks
from release.deploy.targets.swarm.ending import await_no_task
from release.deploy.targets.swarm.objects import Service, Task, image_digest
from release.deploy.targets.swarm.service import PlacedService
from release.deploy.targets.swarm.service_settings import read_service_settings
from release.errors import DeploymentFailed, EngineError
from release.parsing import jsontext
from release.records import Adoption
from release.reference import Reference

_BEFORE: Final = "release.adopted"
"""Label of a stopped service: number of tasks and ports that it had, as JSON."""
_PAUSE_SECONDS: Final = 0.2
_TRIES: Final = 20
_GRACE_MS: Final = 60_000
_STEADY_SECONDS: Final = 2.0
"""Time that the tasks of a service must run before it counts as started."""


class SwarmAdoptions(PlacedService, frozen=True, kw_only=True):
    """See `release.deploy.core.adoption.Adoptions`."""

    @property
    def kind(self) -> str:
        """Return "service"."""
        return "service"

    @property
    def stops_first(self) -> bool:
        """Return True: a port of the Swarm belongs to one service."""
        return True

    def candidates(self) -> Sequence[Candidate]:
        """Return the services without our labels that want tasks."""
        self.need_manager()
        found = [
            each for each in self.swarm.services() if SERVICE not in each.labels and _replicas(each.spec)
        ]
        return sorted(map(_candidate, found), key=lambda each: each.name)

    def read(self, candidate: Candidate) -> Reading:
        """Return image and settings of a service. Values of secrets are not readable."""
        service = self._found(candidate.id, f"read the settings of {candidate.name}")
        container = marks.container_of(service.spec)
        ids = [each["Target"] for each in service.spec["TaskTemplate"].get("Networks") or ()]
        networks = {each: network.name for each in ids if (network := self.swarm.network(each)) is not None}
        files = {
            each["ConfigID"]: self.swarm.content(each["ConfigID"]) for each in container.get("Configs") or ()
        }
        found = read_service_settings(service.spec, networks, files)
        named = str(container.get("Image") or "")
        digest = image_digest(named)
        reference = Reference.parse(named)
        return Reading(
            image=digest,
            references=(reference.repository.at(digest),) if digest is not None else (),
            platform=self.engine.info.platform,
            spec=found.spec,
            secrets=dict.fromkeys(found.secrets),
            unexpressed=found.unexpressed,
            dropped=found.dropped,
            notes=(f"services that reach it by the name {service.name} must use {self.service}",),
            trouble=self._trouble(service, named),
        )

    def _trouble(self, service: Service, named: str) -> str:
        if image_digest(named) is None:
            return (
                f"its image {named} is only named by a tag: `docker service update --image "
                f"{named} {service.name}` lets the Swarm resolve the tag at the registry"
            )
        if service.name == self.service:
            return (
                f"a deployment needs the name {service.name} itself: give the environment or the service "
                "another name in the configuration"
            )
        wanted, running = _replicas(service.spec), len(self._running(service))
        if running < wanted:
            return f"{running} of {wanted} tasks run"
        return ""

    def _running(self, service: Service) -> list[Task]:
        tasks = self.swarm.tasks(service.id)
        return [each for each in tasks if each.desired == "running" and each.state == "running"]

    def _found(self, service: str, attempted: str) -> Service:
        found = self.swarm.service(service)
        if found is None:
            raise EngineError(attempted, "the service was removed", "run the command again")
        return found

    def describe(self, reading: Reading, attempted: str, tell: Tell) -> AdoptedImage:
        """Return the image as a registry has it."""
        return describe_image(reading.references, reading.platform, None, attempted, tell)

    def instances(self, adopted: Adoption) -> Sequence[Instance]:
        """Return the running tasks of the service."""
        service = self.swarm.service(adopted.id)
        if service is None:
            return ()
        return tuple(
            Instance(
                id=f"{service.id}.{task.slot}",
                name=f"{service.name}.{task.slot}",
                image=task.image,
                status="running",
                health="none",
                restarts=0,
                started_at=task.created_at,
                labels={},
            )
            for task in self._running(service)
            if task.image is not None
        )

    def exists(self, adopted: Adoption) -> bool:
        """Return whether the Swarm has the service."""
        return self.swarm.service(adopted.id) is not None

    def stop(self, adopted: Adoption, context: RolloutContext) -> None:
        """Set the service to no tasks and no ports. A label keeps both."""
        service = self.swarm.service(adopted.id)
        if service is None:
            return
        with step(context.emit, "stop") as say:
            self._write(service, _stopped)
            grace = marks.container_of(service.spec).get("StopGracePeriod") or 0
            await_no_task(self.swarm, service, _GRACE_MS + grace // 1_000_000)
            say(f"{adopted}; it is kept")

    def start(self, adopted: Adoption, context: RolloutContext, timeout: int) -> str:
        """Give the service its tasks and ports again, and wait until they run."""
        service = self._found(adopted.id, f"start {adopted}")
        with step(context.emit, "restore") as say:
            self._write(service, _started)
            say(evidence := self._await_tasks(adopted, timeout))
        return evidence

    def _write(self, service: Service, change: Any) -> None:
        for _ in range(_TRIES):
            now = self._found(service.id, f"change the service {service.name}")
            written = change(now.spec)
            if written == now.spec or self.swarm.update(now, written, None):
                return
        found = f"its version changed {_TRIES} times"
        raise EngineError(
            f"change the service {service.name}", found, "another program updates it: stop that first"
        )

    def _await_tasks(self, adopted: Adoption, timeout: int) -> str:
        deadline, since = time.monotonic() + timeout / 1000, time.monotonic()
        while True:
            service = self._found(adopted.id, f"start {adopted}")
            wanted, running = _replicas(service.spec), len(self._running(service))
            now = time.monotonic()
            if running < wanted:
                since = now
            elif now - since >= _STEADY_SECONDS:
                return f"{running} of {wanted} tasks run"
            if now > deadline:
                raise DeploymentFailed(
                    f"start {adopted}",
                    f"{running} of {wanted} tasks run after {timeout / 1000:g} s",
                    "`docker service ps --no-trunc NAME` on a manager shows why tasks do not start",
                )
            time.sleep(_PAUSE_SECONDS)


def _replicas(spec: Mapping[str, Any]) -> int:
    return int(((spec.get("Mode") or {}).get("Replicated") or {}).get("Replicas") or 0)


def _candidate(service: Service) -> Candidate:
    ports = (service.spec.get("EndpointSpec") or {}).get("Ports") or ()
    numbers = frozenset(port["PublishedPort"] for port in ports if port.get("PublishedPort"))
    image = str(marks.container_of(service.spec).get("Image") or "")
    return Candidate(
        id=service.id,
        name=service.name,
        image=image,
        ports=numbers,
        detail=", ".join(f"port {number}" for number in sorted(numbers)),
    )


def _stopped(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the spec without tasks and ports; a label has both."""
    labels = dict(spec.get("Labels") or {})
    if _BEFORE in labels:
        return spec
    endpoint = dict(spec.get("EndpointSpec") or {})
    labels[_BEFORE] = json.dumps({"replicas": _replicas(spec), "ports": endpoint.get("Ports") or []})
    return {
        **spec,
        "Labels": labels,
        "Mode": {"Replicated": {"Replicas": 0}},
        "EndpointSpec": {**endpoint, "Ports": []},
    }


def _started(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the spec with the tasks and ports that its label has."""
    labels = dict(spec.get("Labels") or {})
    text = labels.pop(_BEFORE, None)
    if text is None:
        return spec
    before = jsontext.read_object(text.encode())
    return {
        **spec,
        "Labels": labels,
        "Mode": {"Replicated": {"Replicas": before["replicas"]}},
        "EndpointSpec": {**(spec.get("EndpointSpec") or {}), "Ports": before["ports"]},
    }
