"""One Docker Engine as a target: the containers of a place are swapped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from release.config import Environment
from release.deploy.core import image_location, watch_time
from release.deploy.core.instance import Instance, InstanceSet
from release.deploy.core.lock_store import EngineLockStore, LockStore
from release.deploy.core.place import Place, describe
from release.deploy.core.problems import listed
from release.deploy.core.rollout import RolloutContext, RolloutRequest, Strategy, Way
from release.deploy.targets.engine import preflight, sequence
from release.deploy.targets.engine.adoption import EngineAdoptions
from release.deploy.targets.engine.commands import EngineCommands
from release.deploy.targets.engine.drill import EngineDrills
from release.deploy.targets.engine.failed_output import keep_on_failure
from release.deploy.targets.engine.gates import Gates
from release.deploy.targets.engine.health import Watch, await_healthy
from release.deploy.targets.engine.images import EngineImages
from release.deploy.targets.engine.instances import EngineInstances
from release.deploy.targets.engine.operations import EngineOperations
from release.deploy.targets.engine.process_proxies import Front, FrontOf, no_front
from release.deploy.targets.engine.replacement_parts import Part, PartsMaker
from release.deploy.targets.engine.rollout import STRATEGIES, RolloutTools
from release.deploy.targets.engine.upkeep import EngineUpkeep
from release.errors import DeploymentFailed, Problem, Restored, UsageError
from release.images.engine import Engine
from release.records import Image, Release
from release.reference import Digest
from release.runspec import RunSpec
from release.values import Struct

if TYPE_CHECKING:
    from release.deploy.targets.engine.proxies import Proxy


class SingleEngine(Struct, frozen=True, kw_only=True):
    """A place on one engine. See `release.deploy.core.target.Target` for each method."""

    engine: Engine
    place: Place
    front_of: FrontOf = no_front
    """The proxy before each process; None if it publishes its ports itself."""
    processes: tuple[str, ...] = ("",)
    """Processes of today's configuration; the name of the only one is empty."""

    @property
    def name(self) -> str:
        """Return the engine's address."""
        return self.engine.host

    @property
    def instances(self) -> EngineInstances:
        """Return the containers of the place."""
        return EngineInstances(engine=self.engine, place=self.place, front_of=self.front_of)

    @property
    def images(self) -> EngineImages:
        """Return the images of the engine's store and the registry."""
        return EngineImages(engine=self.engine)

    @property
    def rollouts(self) -> EngineRollouts:
        """Return the rollouts, which swap containers."""
        return EngineRollouts(
            engine=self.engine, place=self.place, front_of=self.front_of, processes=self.processes
        )

    @property
    def commands(self) -> EngineCommands:
        """Return the commands, each in its own container."""
        return EngineCommands(engine=self.engine, place=self.place)

    @property
    def drills(self) -> EngineDrills:
        """Return the drills, each a container beside the running ones."""
        return EngineDrills(engine=self.engine)

    @property
    def operations(self) -> EngineOperations:
        """Return the operations on containers."""
        return EngineOperations(engine=self.engine, place=self.place, front_of=self.front_of)

    @property
    def adoptions(self) -> EngineAdoptions:
        """Return the containers that another program started."""
        return EngineAdoptions(engine=self.engine, place=self.place)

    @property
    def upkeep(self) -> EngineUpkeep:
        """Return the checks of the engine as a machine."""
        return EngineUpkeep(engine=self.engine)

    @property
    def lock_needs_image(self) -> bool:
        """Return True: a lock is a container."""
        return True

    def lock_store(self, image: Digest | None = None) -> LockStore:
        """Return the engine's lock store: a lock is a container."""
        return EngineLockStore(engine=self.engine, image=image)


class EngineRollouts(Struct, frozen=True, kw_only=True):
    """Replacement of the containers of a place. See `release.deploy.core.target.Rollouts`."""

    engine: Engine
    place: Place
    front_of: FrontOf = no_front
    processes: tuple[str, ...] = ("",)

    @property
    def keeps_seals(self) -> bool:
        """Return False: secrets are in the containers."""
        return False

    def settings_problems(
        self,
        spec: RunSpec,
        image: Image | None = None,
    ) -> list[Problem]:
        """Return missing networks and volumes, and problems of the proxy, for each process."""
        found = [self._problems(name, one, image) for name, one in spec.every.items()]
        return [problem for each in found for problem in each]

    def _problems(self, process: str, spec: RunSpec, image: Image | None) -> list[Problem]:
        place, front = self.place.at(process), self.front_of(process)
        problems = preflight.settings_problems(self.engine, place, spec)
        if front is None:
            return problems
        unfit = self._unfit(front.proxy, image, spec) if image is not None else ""
        said = [
            *preflight.long_names(place, spec),
            *front.proxy.problems(spec.replicas),
            *filter(None, [unfit]),
        ]
        return [*problems, *listed(place, {"proxy": said})]

    def cautions(self) -> tuple[str, ...]:
        """Return risks of lost requests at the proxies."""
        fronts = [front for name in self.processes if (front := self.front_of(name)) is not None]
        found = [text for front in fronts for text in front.proxy.cautions()]
        return tuple(dict.fromkeys(found))

    def completed(
        self,
        spec: RunSpec,
        settings: Environment,  # noqa: ARG002 - the settings are complete
        release: Release,  # noqa: ARG002
        root: Path,  # noqa: ARG002
    ) -> tuple[RunSpec, list[Problem]]:
        """Return the settings unchanged."""
        return spec, []

    def occupation_problems(self, spec: RunSpec, ours: InstanceSet) -> list[Problem]:
        """Return ports and container names that are in use."""
        found = [
            preflight.occupation_problems(self.engine, self.place.at(name), one, ours)
            for name, one in spec.every.items()
        ]
        return [problem for each in found for problem in each]

    def strategy(self, spec: RunSpec) -> Strategy:
        """Return start-first behind a proxy, else stop-first: a port belongs to one container."""
        if spec.processes is not None:
            return "in-order"
        return "stop-first" if self.front_of("") is None else "start-first"

    def describe(self, strategy: Strategy) -> str:
        """Return the strategy in words."""
        return STRATEGIES.get(strategy, "")

    def patience(self, spec: RunSpec, health_timeout: int) -> int:
        """Return the milliseconds until all are healthy, with drain and stop of the old containers."""
        times = [self._patience(name, one, health_timeout) for name, one in spec.every.items()]
        return sum(times) + max(watch_time.longest(one) for one in spec.every.values())

    def _patience(self, process: str, spec: RunSpec, health_timeout: int) -> int:
        front = self.front_of(process)
        drain = front.drain if front is not None else 0
        return spec.replicas * (health_timeout + drain + spec.stop_grace)

    def roll_out(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Swap the containers of each process."""
        for name, spec in order.spec.every.items():
            self._fits(order, self.front_of(name), spec)
        with keep_on_failure(self._tools(means), self.place) as tools:
            return sequence.swap(tools, self.parts(order).fresh())

    def _fits(self, order: RolloutRequest, front: Front | None, spec: RunSpec) -> None:
        """Check the image again, because it was pulled after all other checks."""
        if front is not None and (reason := self._unfit(front.proxy, order.image, spec)):
            raise DeploymentFailed(
                order.attempt,
                f"{reason}; nothing was changed",
                "`invoke history` lists other releases; another `kind` in "
                f"environments.{order.place.environment}.proxy may accept this one",
            )

    def _unfit(self, proxy: Proxy, image: Image, spec: RunSpec) -> str:
        stored = image_location.find_stored(self.engine, image)
        return proxy.image_problem(stored, spec.healthcheck) if stored is not None else ""

    def parts(self, order: RolloutRequest) -> PartsMaker:
        """Return the parts of the rollout, one for each process."""
        image = EngineImages(engine=self.engine).id_of(order.image)
        return PartsMaker(place=self.place, request=order, image=image, front_of=self.front_of)

    def objection(self, order: RolloutRequest, way: Way) -> UsageError | None:
        """Return a problem if a new container was never created, or an old one is gone."""
        maker = self.parts(order)
        parts = maker.resumed()
        if way == "revert":
            return _gone(order) if any(part.order.lost for part in parts) else None
        missing = [part for part in parts if part.order.containers and not maker.new(part)]
        if missing:
            found = f"{_its_container(missing[0])} was never created"
            return UsageError(f"finish {order}", found, "revert it: --revert")
        new = [container for part in parts for container in maker.new(part)]
        has_files = any(spec.files or spec.secret_files for spec in order.spec.every.values())
        if has_files and all(one.status == "created" for one in new):
            found = f"{describe(new)} never ran, and it is unknown if it has its files"
            return UsageError(f"finish {order}", found, "revert it with --revert, then deploy again")
        return None

    def resume(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Start and prove the created containers, then clean up."""
        with keep_on_failure(self._tools(means), self.place) as tools:
            return sequence.finish(tools, self.parts(order).resumed())

    def retract(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Remove the created containers, and let the previous ones serve."""
        error = DeploymentFailed(order.attempt, "it was interrupted")
        with keep_on_failure(self._tools(means), self.place) as tools:
            ended = sequence.give_back(tools, self.parts(order).resumed(), error)
            if isinstance(ended, Restored):
                return ended.found
            raise ended

    def _tools(self, means: RolloutContext) -> RolloutTools:
        return RolloutTools(
            engine=self.engine,
            emit=means.emit,
            cancellation=means.cancellation,
            mask=means.mask,
            still_mine=means.still_mine,
            others=means.others,
        )

    def verify(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Wait for each serving container; return the evidence of the last one of each process."""
        seen = {one.process: self._verified(order, means, one) for one in order.before.running}
        return "; ".join(f"{name}: {said}" if name else said for name, said in seen.items())

    def _verified(self, order: RolloutRequest, means: RolloutContext, container: Instance) -> str:
        return await_healthy(self._watch(order, means, container)).evidence

    def _watch(self, order: RolloutRequest, means: RolloutContext, container: Instance) -> Watch:
        process = container.process
        spec, front = order.spec.every[process], self.front_of(process)
        return Watch(
            engine=self.engine,
            container=container.id,
            probe=spec.probe,
            timeout=order.health_timeouts.get(process, order.health_timeout),
            emit=means.emit,
            mask=means.mask,
            process=process,
            cancellation=means.cancellation,
            gates=Gates.of(spec),
            at_once=front is None or front.checks_at_once,
        )


def _its_container(part: Part) -> str:
    return f"the container of {part.name}" if part.name else "its container"


def _gone(order: RolloutRequest) -> UsageError:
    there = describe(order.before.every)
    return UsageError(
        f"revert {order}",
        f"the container of the deployment before, {order.replaces}, was removed; there is only {there}",
        f"if it is healthy: `{order.place.command('converge --finish')}`; or else: "
        f"`{order.place.command('rollback')}`",
    )
