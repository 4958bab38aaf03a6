"""Parts of a rollout on one engine: the replacement of each process, in their order.

A process that the new settings lack has a part too: what ran of it is only stopped, and goes when all others
are proven. One behind a proxy is replaced by the process that has its proxy now, so requests never lack one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from release.deploy.core.place import DEPLOYMENT, ContainerSet, Place, container_spec, process_of
from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.engine.gates import Gates
from release.deploy.targets.engine.instances import containers_of
from release.deploy.targets.engine.process_proxies import Front, FrontOf, of_process
from release.deploy.targets.engine.rollout import Replacement
from release.images.engine import ContainerSpec, ContainerState
from release.reference import Digest
from release.runspec import RunSpec
from release.values import Struct, replace


class Part(Struct, frozen=True, kw_only=True):
    """The replacement of one process."""

    order: Replacement
    front: Front | None

    @property
    def name(self) -> str:
        """Return the process; empty if it is the only one."""
        return self.order.place.process


class PartsMaker(Struct, frozen=True, kw_only=True):
    """Splits a request into parts, one for each process."""

    place: Place
    request: RolloutRequest
    image: Digest
    """Id that a container reports if it runs the image."""
    front_of: FrontOf

    def fresh(self) -> tuple[Part, ...]:
        """Return the parts of a new rollout. The running containers are those of the plan."""
        return tuple(self._parts(self._before))

    def resumed(self) -> tuple[Part, ...]:
        """Return the parts of an interrupted rollout. Its containers are among the existing ones."""
        others = (*self._before.up, *self._before.stopped)
        kept = self._ran_before([each for each in others if not self.made(each)])
        rest = tuple(each for each in others if not self.made(each) and each not in kept)
        parts = self._parts(ContainerSet(running=tuple(kept), stopped=rest))
        return tuple(replace(part, order=replace(part.order, lost=self._is_lost(part))) for part in parts)

    @property
    def _before(self) -> ContainerSet:
        """Return the containers that are there."""
        return containers_of(self.request.before)

    def made(self, container: ContainerState) -> bool:
        """Return whether the rollout made this container."""
        return container.labels.get(DEPLOYMENT) == self.request.identity.deployment

    def new(self, part: Part) -> tuple[ContainerState, ...]:
        """Return the containers of a part that the rollout made."""
        before = of_process(part.name, self._before)
        return tuple(each for each in (*before.up, *before.stopped) if self.made(each))

    def _is_lost(self, part: Part) -> bool:
        """Return whether the previous containers are gone. A new process has no previous ones."""
        if self.request.replaces is None or part.order.before.running or not self.new(part):
            return False
        old = self.request.old
        return old is None or part.name in old.every

    def _ran_before(self, others: list[ContainerState]) -> list[ContainerState]:
        """Return the previous containers: those that the order replaces; else the running or well-named ones.

        A container gets a good name when it is proven, and keeps it until it goes. One of another deployment
        than the order says was put there by somebody whose events the order's giver did not know.
        """
        named = [each for each in others if each.labels.get(DEPLOYMENT, "") == self.request.replaces]
        up = [each for each in others if each in self._before.up]
        return named or up or [each for each in others if self._named_well(each)]

    def _named_well(self, container: ContainerState) -> bool:
        return self.place.at(process_of(container.labels)).is_own_name(container.name)

    def _parts(self, before: ContainerSet) -> Iterator[Part]:
        specs = self.request.spec.every
        gone = sorted({process_of(each.labels) for each in (*before.up, *before.stopped)} - specs.keys())
        fronts = {name: self.front_of(name) for name in (*specs, *gone)}
        heirs = dict(self._heirs(gone, specs, fronts))
        first = [name for name in gone if name not in heirs and fronts[name] is None]
        last = [name for name in gone if name not in heirs and fronts[name] is not None]
        left = {heir: name for name, heir in heirs.items()}
        for name in (*first, *specs, *last):
            yield self._part(name, specs.get(name), before, fronts[name], left.get(name))

    def _heirs(
        self, gone: Iterable[str], specs: Iterable[str], fronts: Mapping[str, Front | None]
    ) -> Iterator[tuple[str, str]]:
        """Return each process that is removed, with the process that gets its traffic."""
        for name in gone:
            front = fronts[name]
            same = [each for each in specs if _share(front, fronts[each])]
            if same:
                yield name, same[0]

    def _part(
        self, name: str, spec: RunSpec | None, before: ContainerSet, front: Front | None, left: str | None
    ) -> Part:
        request = self.request
        there, olds = of_process(name, before), request.old.every if request.old is not None else {}
        if left is not None:
            there = _joined(there, of_process(left, before))
        old = olds.get(name) or (olds.get(left) if left is not None else None)
        order = Replacement(
            place=self.place.at(name),
            deployment=request.identity.deployment,
            version=request.identity.version,
            containers=tuple(self._containers(name, spec, front)) if spec is not None else (),
            probe=spec.probe if spec is not None else None,
            old_probe=old.probe if old is not None else None,
            old_grace=(old or spec or request.spec).stop_grace,
            health_timeout=request.health_timeouts.get(name, request.health_timeout),
            before=there,
            gates=Gates.of(spec),
            old_gates=Gates.of(old),
            watch=request.watch,
            drain=front.drain if front is not None else 0,
            at_once=front is None or front.checks_at_once,
            exclusive=name in request.spec.exclusive,
            reason=request.reason,
        )
        return Part(order=order, front=front)

    def _containers(self, name: str, spec: RunSpec, front: Front | None) -> Iterator[ContainerSpec]:
        for replica in range(1, spec.replicas + 1):
            yield container_spec(
                self.place.at(name),
                self.request.identity,
                spec,
                image=self.image,
                secrets=self.request.secrets,
                replica=replica,
                labels=front.proxy.labels() if front is not None else None,
            )


def _share(one: Front | None, other: Front | None) -> bool:
    return one is not None and other is not None and bool(one.key) and one.key == other.key


def _joined(one: ContainerSet, other: ContainerSet) -> ContainerSet:
    return replace(
        one,
        running=(*one.running, *other.running),
        waiting=(*one.waiting, *other.waiting),
        stopped=(*one.stopped, *other.stopped),
    )
