"""One Docker Engine as a target: the containers of a place are swapped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from release.deploy.core import image_location, watch
from release.deploy.core.instance import Instance, InstanceSet
from release.deploy.core.lock_store import EngineLockStore, LockStore
from release.deploy.core.place import DEPLOYMENT, ContainerSet, Place, container_spec, describe
from release.deploy.core.rollout import RolloutContext, RolloutRequest, Strategy, Way
from release.deploy.targets.engine import checks, stop_first
from release.deploy.targets.engine.commands import EngineCommands
from release.deploy.targets.engine.drill import EngineDrills
from release.deploy.targets.engine.gates import Gates
from release.deploy.targets.engine.health import Watch, await_healthy
from release.deploy.targets.engine.images import EngineImages
from release.deploy.targets.engine.instances import EngineInstances, containers_of
from release.deploy.targets.engine.rollout import STRATEGIES, Replacement, RolloutTools
from release.deploy.targets.engine.upkeep import EngineUpkeep
from release.errors import DeploymentFailed, Problem, Restored, UsageError
from release.images.engine import ContainerSpec, ContainerState, Engine
from release.records import Image
from release.reference import Digest
from release.runspec import RunSpec
from release.values import Struct, replace

if TYPE_CHECKING:
    from release.deploy.targets.engine.proxies import Proxy

_LABEL: Final = 63


class SingleEngine(Struct, frozen=True, kw_only=True):
    """A place on one engine. See `release.deploy.core.target.Target` for what each part promises."""

    engine: Engine
    place: Place
    proxy: Proxy | None = None
    """Proxy before the place; None if it publishes its ports itself."""
    drain: int = 0
    """Milliseconds that requests under way may take behind the proxy."""

    @property
    def name(self) -> str:
        """The engine's address."""
        return self.engine.host

    @property
    def instances(self) -> EngineInstances:
        """The containers of the place."""
        return EngineInstances(engine=self.engine, place=self.place, proxy=self.proxy)

    @property
    def images(self) -> EngineImages:
        """The engine's own store, and the registry."""
        return EngineImages(engine=self.engine)

    @property
    def rollouts(self) -> EngineRollouts:
        """Containers are swapped."""
        return EngineRollouts(engine=self.engine, place=self.place, proxy=self.proxy, drain=self.drain)

    @property
    def commands(self) -> EngineCommands:
        """Containers of their own."""
        return EngineCommands(engine=self.engine, place=self.place)

    @property
    def drills(self) -> EngineDrills:
        """A container beside what runs."""
        return EngineDrills(engine=self.engine)

    @property
    def upkeep(self) -> EngineUpkeep:
        """The engine as a machine."""
        return EngineUpkeep(engine=self.engine)

    @property
    def lock_needs_image(self) -> bool:
        """A lock is a container."""
        return True

    def lock_store(self, image: Digest | None = None) -> LockStore:
        """The engine itself: a container is the lock."""
        return EngineLockStore(engine=self.engine, image=image)


class EngineRollouts(Struct, frozen=True, kw_only=True):
    """Replacement of the containers of a place. See `release.deploy.core.target.Rollouts`."""

    engine: Engine
    place: Place
    proxy: Proxy | None = None
    drain: int = 0

    @property
    def keeps_seals(self) -> bool:
        """Secrets are in the containers."""
        return False

    def settings_problems(self, spec: RunSpec, image: Image | None = None) -> list[Problem]:
        """Networks and volumes that are not there, and what the proxy lacks."""
        problems = checks.settings_problems(self.engine, self.place, spec)
        if self.proxy is None:
            return problems
        where = f"environments.{self.place.environment}.proxy"
        unfit = self._unfit(self.proxy, image, spec) if image is not None else ""
        said = [*self._long_names(spec), *self.proxy.problems(spec.replicas), *filter(None, [unfit])]
        return [*problems, *(Problem(path=where, message=message) for message in said)]

    def _long_names(self, spec: RunSpec) -> Iterator[str]:
        """A name server's names are of 63 octets at most between two dots (RFC 1035, section 2.3.4)."""
        name = self.place.fresh("0" * 12, spec.replicas).partition(".")[0]
        if len(name) > _LABEL:
            yield (
                f"{self.place} makes names of {len(name)} letters, but a name server allows "
                f"{_LABEL}: shorten the name of the service or environment"
            )

    def cautions(self) -> tuple[str, ...]:
        """Return what the proxy may lose."""
        return tuple(self.proxy.cautions()) if self.proxy is not None else ()

    def occupation_problems(self, spec: RunSpec, ours: InstanceSet) -> list[Problem]:
        """Ports, and the containers' names."""
        return checks.occupation_problems(self.engine, self.place, spec, ours)

    def strategy(self, spec: RunSpec) -> Strategy:  # noqa: ARG002 - other targets ask the settings
        """Behind a proxy two can run at once; a port of the machine belongs to one."""
        return "stop-first" if self.proxy is None else "start-first"

    def describe(self, strategy: Strategy) -> str:
        """For the plan."""
        return STRATEGIES[strategy]

    def patience(self, spec: RunSpec, health_timeout: int) -> int:
        """Until each is healthy, and what the old ones take to drain and to stop."""
        return spec.replicas * (health_timeout + self.drain + spec.stop_grace) + watch.longest(spec)

    def roll_out(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Swap the containers."""
        crew = self._crew(means)
        if self.proxy is None:
            return stop_first.swap(crew, self.swap(order))
        from release.deploy.targets.engine import start_first

        self._fits(order, self.proxy)
        return start_first.swap(crew, self.swap(order), self.proxy)

    def _fits(self, order: RolloutRequest, proxy: Proxy) -> None:
        """Once more, for an image that was pulled after everything else was asked."""
        if reason := self._unfit(proxy, order.image, order.spec):
            raise DeploymentFailed(
                order.attempt,
                f"{reason}; nothing was changed",
                "`invoke history` lists other releases; another `kind` in "
                f"environments.{order.place.environment}.proxy may accept this one",
            )

    def _unfit(self, proxy: Proxy, image: Image, spec: RunSpec) -> str:
        stored = image_location.find_stored(self.engine, image)
        return proxy.unfit(stored, spec.healthcheck) if stored is not None else ""

    def swap(self, order: RolloutRequest) -> Replacement:
        """Return what is to be done with containers."""
        return Replacement(
            place=self.place,
            deployment=order.identity.deployment,
            version=order.identity.version,
            containers=tuple(
                self._container(order, replica) for replica in range(1, order.spec.replicas + 1)
            ),
            probe=order.spec.probe,
            old_probe=order.old.probe if order.old is not None else None,
            old_grace=(order.old or order.spec).stop_grace,
            health_timeout=order.health_timeout,
            before=containers_of(order.before),
            gates=Gates.of(order.spec),
            old_gates=Gates.of(order.old),
            watch=order.watch,
            drain=self.drain,
            at_once=self._checks_at_once,
            reason=order.reason,
        )

    @property
    def _checks_at_once(self) -> bool:
        """Nobody but us goes by what the engine says of a container's health."""
        return self.proxy is None or not self.proxy.traffic_with_health

    def _container(self, order: RolloutRequest, replica: int) -> ContainerSpec:
        return container_spec(
            self.place,
            order.identity,
            order.spec,
            image=EngineImages(engine=self.engine).id_of(order.image),
            secrets=order.secrets,
            replica=replica,
            labels=self.proxy.labels() if self.proxy is not None else None,
        )

    def objection(self, order: RolloutRequest, way: Way) -> UsageError | None:
        """A container that was never made, or one whose files may be missing; an old one that is gone."""
        new, swapped = self._halves(order)
        if way == "revert":
            return _gone(order) if swapped.lost else None
        if not new:
            return UsageError(f"finish {order}", "its container was never created", "revert it: --revert")
        if (order.spec.files or order.spec.secret_files) and any(one.status == "created" for one in new):
            found = f"{describe(new)} never ran, and it is unknown if it has its files"
            return UsageError(f"finish {order}", found, "revert it with --revert, then deploy again")
        return None

    def resume(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Start and prove what was made, then tidy up."""
        new, swapped = self._halves(order)
        if self.proxy is None:
            return stop_first.finish(self._crew(means), swapped, new[0].id)
        from release.deploy.targets.engine import start_first

        return start_first.finish(self._crew(means), swapped, self.proxy)

    def retract(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Remove what was made, and let what ran before serve."""
        _, swapped = self._halves(order)
        crew, error = self._crew(means), DeploymentFailed(order.attempt, "it was interrupted")
        from release.deploy.targets.engine import start_first

        if self.proxy is None:
            ended = stop_first.give_back(crew, swapped, error)
        else:
            ended = start_first.give_back(crew, swapped, self.proxy, error)
        if isinstance(ended, Restored):
            return ended.found
        raise ended

    def _halves(self, order: RolloutRequest) -> tuple[tuple[ContainerState, ...], Replacement]:
        """The containers that the order made, if there are any, and the swap as it was meant."""
        mine = {DEPLOYMENT: order.identity.deployment}.items()
        before = containers_of(order.before)
        there = (*before.up, *before.stopped)
        new = tuple(each for each in there if mine <= each.labels.items())
        others = [each for each in there if each not in new]
        kept = self._ran_before(order, others)
        rest = tuple(each for each in others if each not in kept)
        return new, replace(
            self.swap(order),
            before=ContainerSet(running=tuple(kept), stopped=rest),
            lost=bool(new) and not kept and order.replaces is not None,
        )

    def _ran_before(self, order: RolloutRequest, others: list[ContainerState]) -> list[ContainerState]:
        """Which of them ran before: those that it replaces; else what runs; else what has the good names.

        A container gets a good name when it is proven, and keeps it until it goes. One of another deployment
        than the order says was put there by somebody whose events the order's giver did not know.
        """
        named = [each for each in others if each.labels.get(DEPLOYMENT, "") == order.replaces]
        up = [each for each in others if each.id in order.before.ids]
        return named or up or [each for each in others if self.place.gave(each.name)]

    def _crew(self, means: RolloutContext) -> RolloutTools:
        return RolloutTools(
            engine=self.engine,
            emit=means.emit,
            cancellation=means.cancellation,
            mask=means.mask,
            still_mine=means.still_mine,
        )

    def verify(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Wait for each container that serves; what is said of the last."""
        seen = [await_healthy(self._watch(order, means, one)) for one in order.before.running]
        return seen[-1].evidence

    def _watch(self, order: RolloutRequest, means: RolloutContext, container: Instance) -> Watch:
        return Watch(
            engine=self.engine,
            container=container.id,
            probe=order.spec.probe,
            timeout=order.health_timeout,
            emit=means.emit,
            mask=means.mask,
            cancellation=means.cancellation,
            gates=Gates.of(order.spec),
            at_once=self._checks_at_once,
        )


def _gone(order: RolloutRequest) -> UsageError:
    there = describe(order.before.every)
    return UsageError(
        f"revert {order}",
        f"the container of the deployment before, {order.replaces}, was removed; there is only {there}",
        f"if it is healthy: `{order.place.command('converge --finish')}`; or else: "
        f"`{order.place.command('rollback')}`",
    )
