"""One Docker Engine as a target: the container of a place is swapped."""

from __future__ import annotations

from dataclasses import dataclass

from release.deploy import preflight
from release.deploy.docker import Ours, Place, container_spec, look
from release.deploy.health import Watch, await_healthy
from release.deploy.keeper import EngineKeeper, Keeper
from release.deploy.plan import Strategy
from release.deploy.preflight import Bytes
from release.deploy.rollout import Crew, Swap, step, swap
from release.deploy.target import Means, Order
from release.errors import Problem
from release.events import Emit
from release.images.engine import ContainerState, Engine
from release.records import Image, Release
from release.reference import Digest, Repository
from release.runspec import RunSpec


@dataclass(frozen=True, kw_only=True)
class SingleEngine:
    """A place on one engine. See `release.deploy.target.Target` for what each method promises."""

    engine: Engine
    place: Place

    @property
    def name(self) -> str:
        """The engine's address."""
        return self.engine.host

    def keeper(self, image: Digest | None = None) -> Keeper:
        """The engine itself: a container is the lock."""
        return EngineKeeper(engine=self.engine, image=image)

    def look(self) -> Ours:
        """The containers of this place."""
        return look(self.engine, self.place)

    def stranger(self) -> ContainerState | None:
        """A container under the name of ours."""
        return self.engine.state(self.place.container)

    def id_of(self, image: Image) -> Digest:
        """The manifest's digest in a containerd store, the config's in a graph driver."""
        is_containerd = self.engine.info.image_store == "containerd"
        return Digest(image.digest if is_containerd else image.config_digest)

    def locate(self, image: Image) -> Bytes:
        """In its store, else in the registry."""
        return preflight.locate(self.engine, image)

    def fetch(self, release: Release, found: Bytes, emit: Emit) -> None:
        """Pull what is not there, and give it a name of its own: that spares it when images are tidied."""
        image = found.stored
        if image is None:
            with step(emit, "pull") as say:
                image = preflight.fetch(self.engine, release.image)
                say(str(preflight.image_reference(release.image)))
        name = Repository(release.image.repository).tagged(f"sha-{release.source.commit}")
        if str(name) not in image.references:
            self.engine.tag(image.id, name)

    def settings_problems(self, spec: RunSpec) -> list[Problem]:
        """Networks and volumes that are not there."""
        return preflight.settings_problems(self.engine, self.place, spec)

    def occupation_problems(self, spec: RunSpec) -> list[Problem]:
        """Ports, and the container's name."""
        return preflight.occupation_problems(self.engine, self.place, spec)

    def strategy(self, spec: RunSpec) -> Strategy:  # noqa: ARG002 - other targets ask the settings
        """The old container is kept until the new one is proven."""
        return "stop-first"

    def patience(self, spec: RunSpec, health_timeout: int) -> int:
        """Until it is healthy, and what the old one takes to stop."""
        return health_timeout + spec.stop_grace

    def roll_out(self, order: Order, means: Means) -> str:
        """Swap the containers."""
        crew = Crew(engine=self.engine, emit=means.emit, cancellation=means.cancellation, mask=means.mask)
        return swap(crew, self._swap(order))

    def _swap(self, order: Order) -> Swap:
        return Swap(
            place=self.place,
            deployment=order.identity.deployment,
            version=order.identity.version,
            container=container_spec(
                self.place,
                order.identity,
                order.spec,
                image=self.id_of(order.image),
                secrets=order.secrets,
            ),
            probe=order.spec.probe,
            old_probe=order.old.probe if order.old is not None else None,
            old_grace=(order.old or order.spec).stop_grace,
            health_timeout=order.health_timeout,
            before=order.before,
        )

    def verify(self, order: Order, means: Means) -> str:
        """Wait for the one container that runs."""
        (container,) = order.before.running
        watch = Watch(
            engine=self.engine,
            container=container.id,
            probe=order.spec.probe,
            timeout=order.health_timeout,
            emit=means.emit,
            mask=means.mask,
            check=means.cancellation.check,
        )
        return await_healthy(watch)
