"""Containers that another program started, as `docker run` or Compose, and how they are taken over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from release.deploy.core.adopted_image import AdoptedImage, describe_image, own_reference
from release.deploy.core.adoption import Candidate, Reading
from release.deploy.core.image_location import Tell
from release.deploy.core.instance import Instance
from release.deploy.core.place import ROLE, SERVICE, Place
from release.deploy.core.rollout import RolloutContext
from release.deploy.core.steps import step
from release.deploy.targets.engine.container_settings import is_removed_when_stopped, read_container
from release.deploy.targets.engine.gates import Gates
from release.deploy.targets.engine.health import Watch, await_healthy
from release.deploy.targets.engine.instances import instance_of
from release.deploy.targets.engine.stopping import await_stop
from release.errors import EngineError
from release.images.engine import Engine
from release.programs.cancellation import Cancellation
from release.records import Adoption
from release.reference import Digest, Reference
from release.runspec import RunSpec
from release.values import Struct

_DEFAULT_GRACE: Final = 10


class EngineAdoptions(Struct, frozen=True, kw_only=True):
    """See `release.deploy.core.adoption.Adoptions`."""

    engine: Engine
    place: Place

    @property
    def kind(self) -> str:
        """Return "container"."""
        return "container"

    @property
    def stops_first(self) -> bool:
        """Return True: it may hold a port of the machine."""
        return True

    def candidates(self) -> Sequence[Candidate]:
        """Return the running containers without our labels."""
        found = [each for each in self.engine.running() if not _is_ours(each)]
        return sorted(map(_candidate, found), key=lambda each: each.name)

    def read(self, candidate: Candidate) -> Reading:
        """Return image and settings of a container."""
        about = self.engine.inspected(candidate.id)
        if about is None:
            raise EngineError(
                f"read the settings of {candidate.name}",
                "the container was removed",
                "run the command again; `docker ps` lists the containers",
            )
        image = Digest(about["Image"])
        found = read_container(about, self.engine.image_settings(image))
        return Reading(
            image=image,
            references=self._references(about["Config"].get("Image") or "", image),
            platform=self.engine.info.platform,
            spec=found.spec,
            unexpressed=found.unexpressed,
            dropped=found.dropped,
            notes=_notes(candidate.name, found.spec),
            trouble=_trouble(about),
        )

    def _references(self, named: str, image: Digest) -> tuple[Reference, ...]:
        """Return the digests under which the engine got the image; that of the container's own name first."""
        stored = self.engine.inspect(image)
        known = [Reference.parse(text) for text in (stored.references if stored is not None else ())]
        there = [each for each in known if each.digest is not None]
        own = named.partition("@")[0]
        first = sorted(there, key=lambda each: not own.startswith(str(each.repository)))
        return (*first, own_reference(f"localhost/{self.place.service}", image))

    def describe(self, reading: Reading, attempted: str, tell: Tell) -> AdoptedImage:
        """Return the image as a registry has it, or the engine itself."""
        return describe_image(reading.references, reading.platform, self.engine, attempted, tell)

    def instances(self, adopted: Adoption) -> Sequence[Instance]:
        """Return the container, if it runs."""
        found = self.engine.state(adopted.id)
        return (instance_of(found),) if found is not None and found.status == "running" else ()

    def exists(self, adopted: Adoption) -> bool:
        """Return whether the engine has the container."""
        return self.engine.state(adopted.id) is not None

    def stop(self, adopted: Adoption, context: RolloutContext) -> None:
        """Stop the container; a name that the deployment needs is given free."""
        about = self.engine.inspected(adopted.id)
        if about is None:
            return
        with step(context.emit, "stop") as say:
            self.engine.let_rest(adopted.id)
            self.engine.stop(adopted.id, grace=self._grace(adopted))
            if self.place.is_own_name(adopted.name):
                self.engine.rename(adopted.id, f"{adopted.name}-adopted-{adopted.id[:6]}")
            say(f"{adopted}; it is kept")

    def start(self, adopted: Adoption, context: RolloutContext, timeout: int) -> str:
        """Start the container again under its own name, and wait until it is healthy."""
        with step(context.emit, "restore") as say:
            found = self.engine.state(adopted.id)
            if found is not None and found.name != adopted.name:
                self.engine.rename(adopted.id, adopted.name)
            await_stop(self.engine, adopted.id, grace=self._grace(adopted), emit=context.emit)
            self.engine.start(adopted.id)
            watch = Watch(
                engine=self.engine,
                container=adopted.id,
                probe=None,
                timeout=timeout,
                emit=context.emit,
                mask=context.mask,
                process="",
                cancellation=Cancellation(),
                gates=Gates.of(RunSpec()),
                at_once=True,
            )
            say(evidence := await_healthy(watch).evidence)
        return evidence

    def _grace(self, adopted: Adoption) -> int:
        """Return the milliseconds that the container gets to stop."""
        about = self.engine.inspected(adopted.id)
        return int((about and about["Config"].get("StopTimeout")) or _DEFAULT_GRACE) * 1000


def _is_ours(about: Mapping[str, Any]) -> bool:
    """Return whether a deployment, or another command of this library, made the container."""
    labels = about["Config"].get("Labels") or {}
    return SERVICE in labels or ROLE in labels


def _candidate(about: Mapping[str, Any]) -> Candidate:
    bindings = about["HostConfig"].get("PortBindings") or {}
    ports = [str(place.get("HostPort") or "") for places in bindings.values() for place in places or ()]
    numbers = frozenset(int(port) for port in ports if port.isdecimal())
    return Candidate(
        id=about["Id"],
        name=about["Name"].removeprefix("/"),
        image=str(about["Config"].get("Image") or about["Image"]),
        ports=numbers,
        detail=", ".join(f"port {number}" for number in sorted(numbers)),
    )


def _notes(name: str, spec: RunSpec) -> tuple[str, ...]:
    if not spec.networks:
        return ()
    where = ", ".join(spec.networks)
    return (f"containers on {where} that reach it by the name {name} must use the name of the deployed one",)


def _trouble(about: Mapping[str, Any]) -> str:
    state = about["State"]
    health = (state.get("Health") or {}).get("Status")
    if state.get("Status") != "running" or health == "unhealthy":
        return f"it is {state.get('Status')}, health {health or 'none'}"
    if is_removed_when_stopped(about):
        return "it was started with --rm, so the engine would remove it when a deployment stops it"
    return ""
