"""A place in a Swarm: a service, what it needs, and how it is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from release.deploy.core import image_location
from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.image_location import Bytes, Tell, unheard
from release.deploy.core.lock_store import LockStore
from release.deploy.core.place import DEPLOYMENT, SERVING, ContainerSet, Place
from release.deploy.core.problems import listed
from release.deploy.core.target import RolloutContext, RolloutRequest, Strategy, Way
from release.deploy.targets.swarm import placement, prepull
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.api import Membership, Service, Swarm, image_digest
from release.deploy.targets.swarm.drift import changed
from release.deploy.targets.swarm.lock_store import SwarmLockStore
from release.deploy.targets.swarm.nodes import Machines, Route, look_into, spread
from release.deploy.targets.swarm.rollout import Rollout, identities, longest
from release.deploy.targets.swarm.sealed import foreign
from release.deploy.targets.swarm.tasks import Placed, View, placed, update_of, view
from release.errors import NotReady, Problem, RegistryError, RegistryUnreachable, UsageError
from release.events import Emit, Warned
from release.images.engine import ContainerState, Engine
from release.records import Deployment, Image, Release
from release.reference import Digest, Repository
from release.runspec import RunSpec
from release.values import Struct, field, replace


class Report(Struct, frozen=True, kw_only=True):
    """Report on a service in a Swarm."""

    tasks: tuple[Placed, ...]
    update: str | None
    """State of its last update, if it is not completed."""


class SwarmTarget(Struct, frozen=True, kw_only=True):
    """A place in a Swarm. See `release.deploy.core.target.Target` for what each method promises."""

    engine: Engine
    """Of a manager."""
    place: Place
    ways: Mapping[str, Route] = field(default_factory=dict)
    """Addresses of the engines of its nodes."""

    @property
    def name(self) -> str:
        """The manager's address."""
        return self.engine.host

    @property
    def swarm(self) -> Swarm:
        """The Swarm that the engine manages."""
        return Swarm(engine=self.engine)

    @property
    def service(self) -> str:
        """The service's name."""
        return specs.service_name(self.place)

    def lock_store(self, image: Digest | None = None) -> LockStore:  # noqa: ARG002 - other targets need it
        """The Swarm itself: a config is the lock. Raises NotReady where this engine cannot tell."""
        self._need_manager()
        return SwarmLockStore(swarm=self.swarm)

    # what is there

    def look(self) -> ContainerSet:
        """The tasks that there should be. Raises NotReady where this engine cannot tell."""
        self._need_manager()
        found = self._found()
        if found is None or not self._owns(found):
            return ContainerSet(running=(), stopped=())
        return ContainerSet(running=self._states(found), stopped=())

    def stranger(self) -> ContainerState | None:
        """A service under our name that no deployment made."""
        found = self._found() if self._is_manager() else None
        if found is None or self._owns(found):
            return None
        (state, *_) = (*self._states(found), self._state(self._view(found), 0, found.id))
        return replace(state, name=found.name)

    def id_of(self, image: Image) -> Digest:
        """Services name images by manifest."""
        return Digest(image.digest)

    def _need_manager(self) -> None:
        membership = self.swarm.membership()
        if not membership.is_manager:
            raise NotReady(
                f"read the state of {self.place}",
                no_manager(self.engine.host, membership),
                "show its state: docker info",
            )

    def _is_manager(self) -> bool:
        return self.swarm.membership().is_manager

    def _found(self) -> Service | None:
        return self.swarm.service(self.service)

    def _owns(self, service: Service) -> bool:
        return self.place.labels(SERVING).items() <= service.labels.items()

    def _states(self, service: Service) -> tuple[ContainerState, ...]:
        """The tasks that there should be, in the words of containers; a wrong spec is told once.

        Their ids tell the spec, too: a plan holds for one spec.
        """
        seen = self._view(service)
        wrong = _wrong(service)
        states = [self._state(seen, slot, one) for slot, one in enumerate(identities(service), start=1)]
        return tuple(
            replace(state, status=wrong) if wrong and state is states[0] else state for state in states
        )

    def _state(self, seen: View, slot: int, one: str) -> ContainerState:
        tasks = [task for task in (*seen.waiting, *seen.others, *seen.good) if task.slot == slot]
        task = tasks[-1] if tasks else None
        written = image_digest(str(specs.container_of(seen.service.spec).get("Image") or ""))
        image = task.image if task is not None else written
        return ContainerState(
            id=one,
            name=f"{seen.service.name}.{slot}",
            image=image or _unknown(seen.service),
            status=task.state if task is not None else "missing",
            health="none",
            exit_code=0,
            restarts=sum(task.slot == slot for task in seen.ended),
            oom_killed=False,
            started_at=task.created_at if task is not None else seen.service.updated_at,
            labels={**seen.service.labels, **(task.labels if task is not None else {})},
            ports={},
            address=None,
        )

    def report(self) -> Report | None:
        """The service's tasks and its update, for people; None where there is none of ours."""
        found = self._found() if self._is_manager() else None
        if found is None or not self._owns(found):
            return None
        return Report(tasks=tuple(placed(self._view(found))), update=update_of(found))

    def drift(
        self, deployment: Deployment, release: Release, key: FingerprintKey | None = None
    ) -> Iterator[tuple[str, str]]:
        """Return what was changed of the spec since this deployment of this release wrote it, by setting.

        And which secrets and configs of it are not the recorded ones; `key` is that of their seals.
        """
        found = self._found()
        if found is None or found.labels.get(DEPLOYMENT) != deployment.deployment:
            return
        order = specs.recorded_order(self.place, deployment, release)
        yield from changed(self.swarm, found.spec, order)
        yield from foreign(self.swarm, self.place, found.spec, deployment.run_spec, key)

    def _view(self, service: Service) -> View:
        tasks, nodes = self.swarm.tasks(service.id), self.swarm.nodes()
        return view(service, tasks, nodes, deployment=service.labels.get(DEPLOYMENT, ""))

    # before anything is touched

    def locate(self, image: Image, tell: Tell = unheard) -> Bytes:
        """In the registry that all nodes ask; without one, in the engine of the only node.

        Where the registry cannot give it, on the nodes themselves.
        """
        if Repository(image.repository).host == image_location.EMBEDDED:
            return self._alone(image, image_location.find_stored(self.engine, image) is not None)
        try:
            missing = image_location.missing_in_registry(image, tell)
        except RegistryError as error:
            why, is_silent = f"{error.attempted}: {error.found}", isinstance(error, RegistryUnreachable)
            return replace(self._on_nodes(image, why, is_silent=is_silent), hint=error.hint)
        return self._on_nodes(image, missing, is_silent=False) if missing else Bytes(where="registry")

    def _on_nodes(self, image: Image, why: str, *, is_silent: bool) -> Bytes:
        """A node that has the image asks no registry for it.

        A registry that is silent may answer a node, or soon; one that lacks the image gives it to nobody.
        """
        if not self._is_manager():
            return Bytes(where="nowhere", problem=why)
        with ExitStack() as stack:
            found = spread(look_into(self.swarm, self.ways, stack), image)
        if found.is_everywhere or (is_silent and found.has):
            stored = image_location.find_stored(self.engine, image)
            return Bytes(where="nodes", stored=stored, problem=f"{why}; of the nodes {found}")
        return Bytes(where="nowhere", problem=f"{why}; of the nodes {found or 'none takes tasks'}")

    def _alone(self, image: Image, is_stored: bool) -> Bytes:  # noqa: FBT001 - private, one caller
        if not self._is_manager():
            return image_location.locate(self.engine, image)
        count = len(self.swarm.nodes())
        if count == 1:
            return image_location.locate(self.engine, image)
        has = "this engine has it" if is_stored else "this engine does not have it either"
        return Bytes(
            where="nowhere",
            problem=f"the Swarm has {count} nodes, but without a registry only an engine's own store "
            f"has images: {has}. Set `registry` to one that all nodes can reach, and release "
            "again",
        )

    def fetch(self, release: Release, spec: RunSpec, found: Bytes, emit: Emit) -> None:
        """Pull on nodes that can be looked into; in an engine's own store the image gets a name of its own.

        The others pull when they get a task. What is not known of their volumes is told here, too.
        """
        if found.where == "nodes":
            emit(Warned(text=f"{found.problem}; a node without the image cannot run it"))
        with ExitStack() as stack:
            machines = self._fitting(spec, release.image, stack)
            for text in prepull.unseen_volumes(machines, spec):
                emit(Warned(text=text))
            if found.where == "registry":
                prepull.bring(machines, release.image, emit)
        name = Repository(release.image.repository).tagged(f"sha-{release.source.commit}")
        if found.stored is not None and str(name) not in found.stored.references:
            self.engine.tag(found.stored.id, name)

    def settings_problems(self, spec: RunSpec, image: Image | None = None) -> list[Problem]:
        """The Swarm itself, whether its nodes can run that, and networks that do not reach across it."""
        membership = self.swarm.membership()
        if not membership.is_manager:
            return self._listed({"engine": [no_manager(self.engine.host, membership)]})
        found = {
            "swarm": self._placement(spec, image),
            "networks": self._networks(spec),
            "volumes": self._volumes(spec, image),
            "publish": _addresses(spec),
        }
        found["health"] = _gates(spec)
        return self._listed(found)

    def cautions(self) -> tuple[str, ...]:
        """None: requests go through the Swarm's own mesh, or to the ports of its nodes."""
        return ()

    def occupation_problems(self, spec: RunSpec, ours: ContainerSet) -> list[Problem]:
        """Ports of other services, and a service of our name that is not ours."""
        if not self._is_manager():
            return []
        return self._listed({"publish": self._ports(spec), "name": self._name(ours)})

    def _listed(self, found: Mapping[str, Iterator[str] | list[str]]) -> list[Problem]:
        return listed(self.place, found)

    def _asked(self, spec: RunSpec, image: Image | None) -> placement.Asked:
        service = self._found()
        return placement.Asked(
            spec=spec,
            platform=image.platform if image is not None else None,
            service=service.id if service is not None else "",
        )

    def _placement(self, spec: RunSpec, image: Image | None) -> Iterator[str]:
        asked = self._asked(spec, image)
        return placement.problems(asked, self.swarm.nodes(), self.swarm.all_tasks())

    def _fitting(self, spec: RunSpec, image: Image | None, stack: ExitStack) -> Machines:
        """The nodes that may run it, and the engines of those that can be looked into."""
        return prepull.fitting(look_into(self.swarm, self.ways, stack), self._asked(spec, image))

    def _volumes(self, spec: RunSpec, image: Image | None) -> Iterator[str]:
        if prepull.volumes(spec):
            with ExitStack() as stack:
                yield from prepull.missing_volumes(self._fitting(spec, image, stack), spec)

    def _networks(self, spec: RunSpec) -> Iterator[str]:
        for name in spec.networks:
            network = self.swarm.network(name)
            way = f"docker network create --driver overlay {name}"
            if network is None:
                yield f"the Swarm has no network {name}: {way}"
            elif not network.is_for_services:
                yield f"the network {name} exists on this engine only: {way}, with another name"

    def _ports(self, spec: RunSpec) -> Iterator[str]:
        wanted = {(port.host, port.protocol) for port in spec.publish}
        for other in self.swarm.services():
            ports = (other.spec.get("EndpointSpec") or {}).get("Ports") or []
            taken = {(port.get("PublishedPort"), port.get("Protocol")) for port in ports}
            for number, _ in sorted(wanted & taken if other.name != self.service else ()):
                yield f"port {number} is published by the service {other.name}: publish another port"

    def _name(self, ours: ContainerSet) -> Iterator[str]:
        if ours.strangers or self.stranger() is not None:
            yield (
                f"the service {self.service} exists, but no record of the ledger proves that a "
                "deployment made it, so it is not changed. To show it: `docker service inspect "
                f"{self.service}`; to remove it: `docker service rm {self.service}`"
            )

    def strategy(self, spec: RunSpec) -> Strategy:  # noqa: ARG002 - other targets ask the settings
        """The Swarm replaces task by task."""
        return "rolling"

    def patience(self, spec: RunSpec, health_timeout: int) -> int:
        """For every round of the update."""
        return longest(spec, health_timeout)

    # the rollout

    def roll_out(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Submit the spec, follow its tasks, ask the service; put back what ran before where that fails."""
        return Rollout(swarm=self.swarm, order=order, means=means).run()

    def objection(self, order: RolloutRequest, way: Way) -> UsageError | None:
        """A spec that is not there cannot be proven. What ran before is kept: it can always be put back."""
        found, wanted = self._found(), order.identity.deployment
        labels = [*(one.labels for one in order.before.running), found.labels if found is not None else {}]
        if way == "revert" or any(each.get(DEPLOYMENT) == wanted for each in labels):
            return None
        return UsageError(
            f"finish {order}", "its spec was never submitted, or is reverted already", "revert it: --revert"
        )

    def resume(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Prove what was submitted; put back the spec that was kept where that fails."""
        return Rollout(swarm=self.swarm, order=order, means=means).resume()

    def retract(self, order: RolloutRequest, means: RolloutContext) -> str:
        """See the spec run that was there before the first change; put it back where it is not there."""
        return Rollout(swarm=self.swarm, order=order, means=means).retract()

    def verify(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Look once more, and ask."""
        return Rollout(swarm=self.swarm, order=order, means=means).verify()


# --- small parts


def _unknown(service: Service) -> Digest:
    """In the place of an image that is only named by a tag: a digest that is no image's."""
    return Digest.of(str(specs.container_of(service.spec).get("Image")).encode())


def _wrong(service: Service) -> str:
    """Return what speaks against a service, however its tasks are."""
    if not specs.is_as_written(service.spec):
        return "changed by hand since its deployment"
    return "paused in the middle of an update" if service.update == "paused" else ""


def no_manager(host: str, membership: Membership) -> str:
    """Return what an engine is instead of a manager, and what to do."""
    if not membership.is_active:
        return (
            f"the engine at {host} is not in a Swarm: run `docker swarm init` there, or set the "
            "host of a manager"
        )
    known = ", ".join(membership.managers) or "`docker info` there lists them"
    return f"the engine at {host} is not a manager of its Swarm; managers: {known}"


def _gates(spec: RunSpec) -> Iterator[str]:
    """Recorded settings may be those of one engine, whose containers can be asked one by one."""
    if spec.health_tcp is not None or spec.health_command is not None:
        yield "health_tcp and health_command are for one engine: a Swarm uses its health check"


def _addresses(spec: RunSpec) -> Iterator[str]:
    """Recorded settings may be those of one engine."""
    for port in spec.publish:
        if port.address not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            yield f"a Swarm publishes on every address of a node, not only on {port.address}"
