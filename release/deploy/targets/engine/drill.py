"""A drill on one engine: a container in a network of its own, with a free port on loopback."""

from __future__ import annotations

import re
from contextlib import suppress

from release.deploy.core import image_location
from release.deploy.core.drill_request import DRILL, DrillRequest, drill_name, empty, is_left_behind
from release.deploy.core.image_location import ImageLocation
from release.deploy.core.place import DEPLOYMENT, Place, container_spec
from release.deploy.core.rollout import RolloutContext
from release.deploy.core.steps import step
from release.deploy.targets.engine import preflight
from release.deploy.targets.engine.gates import Gates
from release.deploy.targets.engine.health import Watch, await_healthy, warn_unreachable
from release.deploy.targets.engine.images import EngineImages
from release.errors import DeploymentFailed, EngineError, Problem
from release.events import Emit, Notice
from release.images.engine import ContainerSpec, Engine
from release.reference import Digest
from release.values import Struct, replace


class EngineDrills(Struct, frozen=True, kw_only=True):
    """Drills on one engine. See `release.deploy.core.target.Drills`."""

    engine: Engine

    @property
    def what(self) -> str:
        """Return "container"."""
        return "container"

    @property
    def where(self) -> str:
        """Return "on" with the engine's address."""
        return f"on {self.engine.host}"

    def name(self, request: DrillRequest) -> str:
        """Return the name of the container and its network."""
        return request.name

    def problems(self, request: DrillRequest) -> list[Problem]:
        """Return the networks that the engine lacks. Volumes of a drill are empty."""
        if not request.conditions.networks:
            return []
        bare = request.spec.model_copy(update={"volumes": ()})
        return preflight.settings_problems(self.engine, request.place, bare)

    def unchecked(self, request: DrillRequest) -> tuple[str, ...]:  # noqa: ARG002 - as on the place itself
        """Return nothing more."""
        return ()

    def remove_leftovers(self, request: DrillRequest, emit: Emit) -> None:
        """Remove containers and networks of killed drills."""
        remove_leftovers(self.engine, request.place, emit)

    def fetch(self, request: DrillRequest, found: ImageLocation, emit: Emit) -> None:
        """Pull the image if the engine does not have it."""
        if found.stored is not None:
            return
        with step(emit, "pull") as say:
            image_location.fetch(self.engine, request.target.body.image, emit)
            say(str(image_location.image_reference(request.target.body.image)))

    def rehearse(self, request: DrillRequest, context: RolloutContext) -> str:
        """Start the container; return the evidence that it is healthy."""
        image = EngineImages(engine=self.engine).id_of(request.target.body.image)
        self.engine.create_network(request.name, request.labels)
        container = self.engine.create(container_of(request, image))
        with step(context.emit, "start") as say:
            self.engine.start(container)
            say(request.name)
        with step(context.emit, "health") as say:
            evidence = self._proven(request, container, image, context)
            say(evidence)
        return evidence

    def _proven(self, request: DrillRequest, container: str, image: Digest, context: RolloutContext) -> str:
        """Return the evidence of the release's request, the image's health check and the image's id."""
        watch = Watch(
            engine=self.engine,
            container=container,
            probe=request.spec.probe,
            timeout=request.health_timeout,
            emit=context.emit,
            mask=context.mask,
            cancellation=context.cancellation,
            gates=Gates.of(request.spec),
        )
        warn_unreachable(watch)
        seen = await_healthy(watch)
        if (found := seen.state.image) != image:
            raise DeploymentFailed(
                f"drill {request.target.body.version}",
                f"the drill's container runs the image {found}, but the record has {image}",
                "another program changed the container: run the drill again",
            )
        return seen.evidence

    def remove(self, request: DrillRequest, context: RolloutContext) -> None:  # noqa: ARG002
        """Remove this drill's container and network. Objects of others with that name stay."""
        state = self.engine.state(request.name)
        if state is not None and state.labels.get(DEPLOYMENT) == request.drill:
            self.engine.remove(state.id)
        self.engine.remove_network(request.name)


def container_of(request: DrillRequest, image: Digest) -> ContainerSpec:
    """Return the drill's container: as recorded, without anything that would touch other containers."""
    spec = request.spec
    ports = {publish.container for publish in spec.publish if publish.protocol == "tcp"}
    ports |= {spec.probe.port} if spec.probe is not None else set()
    joined = spec.networks if request.conditions.networks else ()
    apart = spec.model_copy(
        update={
            "env": request.stand_in_paths() | spec.env,
            "publish": (),
            "networks": (request.name, *joined),
            "volumes": tuple(empty(mount) for mount in spec.volumes),
            "labels": {},
            "restart": "no",
            "replicas": 1,
            "proxy": None,
        }
    )
    made = container_spec(request.place, request.identity, apart, image=image, secrets=request.values())
    return replace(
        made,
        name=request.name,
        aliases=(),  # a name of the service on a proxy's network would bring it requests
        labels=request.identity.labels() | request.labels,
        publish_ephemeral=tuple(sorted(ports)),
    )


def remove_leftovers(engine: Engine, place: Place, emit: Emit) -> None:
    """Remove objects of drills of this place whose process is gone, or whose time is over."""
    labels = place.labels(DRILL)
    for state in engine.containers(labels):
        if state.name == drill_name(place, state.labels.get(DEPLOYMENT, "")) and is_left_behind(state.labels):
            emit(Notice(text=f"removing {state.name} of a killed drill"))
            engine.remove(state.id)
    own = re.compile(re.escape(drill_name(place, "")) + "[0-9a-f]{12}")
    for name, about in engine.labelled_networks(labels).items():
        if own.fullmatch(name) and is_left_behind(about):
            emit(Notice(text=f"removing the network {name} of a killed drill"))
            with suppress(EngineError):  # something was connected to it by hand: it stays, and is told again
                engine.remove_network(name)
