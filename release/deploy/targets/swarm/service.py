"""The service of a place, as the parts of a Swarm's target find it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from release.deploy.core.place import DEPLOYMENT, SERVING, Place
from release.deploy.targets.swarm import naming, placement, prepull
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.nodes import Machines, Route, look_into
from release.deploy.targets.swarm.objects import Membership, Service
from release.deploy.targets.swarm.tasks import View, view
from release.errors import NotReady
from release.images.engine import Engine
from release.records import Image
from release.runspec import RunSpec
from release.values import Struct, field


class PlacedService(Struct, frozen=True, kw_only=True):
    """A place in a Swarm, with its service."""

    engine: Engine
    """Engine of a manager."""
    place: Place
    ways: Mapping[str, Route] = field(default_factory=dict)
    """Addresses of the engines of its nodes."""

    @property
    def swarm(self) -> Swarm:
        """Return the Swarm of the engine."""
        return Swarm(engine=self.engine)

    @property
    def service(self) -> str:
        """Return the service's name."""
        return naming.service_name(self.place)

    def need_manager(self) -> None:
        """Raise NotReady if this engine is no manager."""
        membership = self.swarm.membership()
        if not membership.is_manager:
            raise NotReady(
                f"read the state of {self.place}",
                no_manager(self.engine.host, membership),
                "show its state: docker info",
            )

    def is_manager(self) -> bool:
        """Return whether the engine is a manager."""
        return self.swarm.membership().is_manager

    def found(self) -> Service | None:
        """Return the service of this name, whoever made it."""
        return self.swarm.service(self.service)

    def owns(self, service: Service) -> bool:
        """Return whether the service belongs to this place, by its labels."""
        return self.place.labels(SERVING).items() <= service.labels.items()

    def view(self, service: Service) -> View:
        """Return the sorted tasks of the service."""
        tasks, nodes = self.swarm.tasks(service.id), self.swarm.nodes()
        return view(service, tasks, nodes, deployment=service.labels.get(DEPLOYMENT, ""))

    def asked(self, spec: RunSpec, image: Image | None) -> placement.NodeRequirements:
        """Return the requirements of the settings on nodes."""
        service = self.found()
        return placement.NodeRequirements(
            spec=spec,
            platform=image.platform if image is not None else None,
            service=service.id if service is not None else "",
        )

    def fitting(self, spec: RunSpec, image: Image | None, stack: ExitStack) -> Machines:
        """Return the nodes that may run the service, with the engines that can be reached."""
        return prepull.fitting(look_into(self.swarm, self.ways, stack), self.asked(spec, image))


def no_manager(host: str, membership: Membership) -> str:
    """Return the engine's role if it is no manager, and what to do."""
    if not membership.is_active:
        return (
            f"the engine at {host} is not in a Swarm: run `docker swarm init` there, or set the "
            "host of a manager"
        )
    known = ", ".join(membership.managers) or "`docker info` there lists them"
    return f"the engine at {host} is not a manager of its Swarm; managers: {known}"
