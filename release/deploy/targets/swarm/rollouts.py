"""Replacement of a place's service in a Swarm: what can fail beforehand, the rollout, and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

from release.config import Environment
from release.deploy.core.failed_output import keep_on_failure
from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import DEPLOYMENT, process_of
from release.deploy.core.problems import listed
from release.deploy.core.rollout import RolloutContext, RolloutRequest, Strategy, Way
from release.deploy.targets.swarm import gates, naming, placement, prepull
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.failed_output import SwarmFailedOutput
from release.deploy.targets.swarm.part import longest, services_of
from release.deploy.targets.swarm.rollout import Rollout, fresh, resumed
from release.deploy.targets.swarm.service import PlacedService, no_manager
from release.errors import Problem, UsageError
from release.records import Image, Release
from release.runspec import RunSpec
from release.values import replace

_STRATEGIES: Final = {
    "rolling": "rolling: the Swarm replaces the tasks, a few at a time, by the recorded update policy",
    "in-order": "in-order: one process after the other, its tasks a few at a time by the recorded update "
    "policy; what ran before is kept until all are proven",
}


class SwarmRollouts(PlacedService, frozen=True, kw_only=True):
    """Rollouts of a service. See `release.deploy.core.target.Rollouts`."""

    @property
    def keeps_seals(self) -> bool:
        """Return True: secrets are objects of the Swarm, each with a seal."""
        return True

    def settings_problems(self, spec: RunSpec, image: Image | None = None) -> list[Problem]:
        """Return problems of the Swarm, of placement on its nodes, and of networks."""
        membership = self.swarm.membership()
        if not membership.is_manager:
            return listed(self.place, {"engine": [no_manager(self.engine.host, membership)]})
        return [
            problem
            for name, one in specs.process_specs(spec).items()
            for problem in listed(self.place.at(name), self._wrong(name, one, image))
        ]

    def _wrong(self, process: str, spec: RunSpec, image: Image | None) -> Mapping[str, Iterator[str]]:
        """Return what is wrong with the settings of one process, by key."""
        part = replace(self, place=self.place.at(process))
        return {
            "swarm": part._placement(spec, image),  # noqa: SLF001 - the same, for one process
            "networks": self._networks(spec),
            "volumes": part._volumes(spec, image),  # noqa: SLF001
            "publish": _addresses(spec),
            "health": part._gates(spec, image),  # noqa: SLF001
        }

    def cautions(self) -> tuple[str, ...]:
        """Return nothing: requests use the Swarm's mesh, or the ports of nodes."""
        return ()

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
        """Return ports of other services, and a service with our name that is not ours."""
        if not self.is_manager():
            return []
        own = {each.name for each in services_of(self.swarm, self.place)}
        own |= {ours.adopted.name} if ours.adopted is not None else set()
        return [
            problem
            for name, one in spec.every.items()
            for problem in listed(
                self.place.at(name), {"publish": self._ports(one, own), "name": self._name(name, ours)}
            )
        ]

    def _placement(self, spec: RunSpec, image: Image | None) -> Iterator[str]:
        asked = self.asked(spec, image)
        return placement.problems(asked, self.swarm.nodes(), self.swarm.all_tasks())

    def _volumes(self, spec: RunSpec, image: Image | None) -> Iterator[str]:
        if prepull.volumes(spec):
            with ExitStack() as stack:
                yield from prepull.missing_volumes(self.fitting(spec, image, stack), spec)

    def _gates(self, spec: RunSpec, image: Image | None) -> Iterator[str]:
        if spec.set_gates:
            with ExitStack() as stack:
                yield from gates.problems(spec, self.fitting(spec, image, stack))

    def _networks(self, spec: RunSpec) -> Iterator[str]:
        for name in spec.networks:
            network = self.swarm.network(name)
            way = f"docker network create --driver overlay {name}"
            if network is None:
                yield f"the Swarm has no network {name}: {way}"
            elif not network.is_for_services:
                yield f"the network {name} exists on this engine only: {way}, with another name"

    def _ports(self, spec: RunSpec, own: set[str]) -> Iterator[str]:
        wanted = {(port.host, port.protocol) for port in spec.publish}
        for other in self.swarm.services():
            ports = (other.spec.get("EndpointSpec") or {}).get("Ports") or []
            taken = {(port.get("PublishedPort"), port.get("Protocol")) for port in ports}
            for number, _ in sorted(wanted & taken if other.name not in own else ()):
                yield f"port {number} is published by the service {other.name}: publish another port"

    def _name(self, process: str, ours: InstanceSet) -> Iterator[str]:
        part = replace(self, place=self.place.at(process))
        found = part.found()
        strangers = [each for each in ours.strangers if each.process == process]
        if strangers or (found is not None and not part.owns(found)):
            name = part.service
            yield (
                f"the service {name} exists, but no record of the ledger proves that a "
                f"deployment made it, so it is not changed. To show it: `docker service inspect {name}`; "
                f"to remove it: `docker service rm {name}`"
            )

    def strategy(self, spec: RunSpec) -> Strategy:
        """Return "rolling": the Swarm replaces task by task; "in-order" for several processes."""
        return "rolling" if spec.processes is None else "in-order"

    def describe(self, strategy: Strategy) -> str:
        """Return the strategy in words."""
        return _STRATEGIES.get(strategy, "")

    def patience(self, spec: RunSpec, health_timeout: int) -> int:
        """Return the milliseconds for all rounds of the update."""
        return longest(spec, health_timeout)

    def roll_out(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Submit the spec, follow its tasks and probe the service. On failure, restore the previous spec."""
        rollout = fresh(self.swarm, order, means, self.ways)
        with self._keeping(rollout):
            return rollout.run()

    def _keeping(self, rollout: Rollout) -> AbstractContextManager[None]:
        """Store the output of tasks that fail in the block."""
        shelf = SwarmFailedOutput(swarm=self.swarm, place=self.place).shelf
        return keep_on_failure(shelf, rollout.written, rollout.means.emit)

    def objection(self, order: RolloutRequest, way: Way) -> UsageError | None:
        """Refuse to finish if the spec is missing, and to revert if the previous spec is not kept."""
        if way == "revert":
            return self._nothing_kept(order)
        wanted, running = order.identity.deployment, order.before.running
        made = {each.process for each in running if each.labels.get(DEPLOYMENT) == wanted}
        there = services_of(self.swarm, self.place)
        made |= {process_of(each.labels) for each in there if each.labels.get(DEPLOYMENT) == wanted}
        missing = [name for name in order.spec.every if name not in made]
        if not missing:
            return None
        whose = f"the spec of {missing[0]}" if missing[0] else "its spec"
        found = f"{whose} was never submitted, or is reverted already"
        return UsageError(f"finish {order}", found, "revert it: --revert")

    def _nothing_kept(self, order: RolloutRequest) -> UsageError | None:
        """Return why the previous specs cannot be restored: a proven rollout has removed them."""
        if order.replaces is None:
            return None
        deployment, news = order.identity.deployment, services_of(self.swarm, self.place)
        made = {process_of(each.labels) for each in news if each.labels.get(DEPLOYMENT) == deployment}
        for name in made.intersection(order.old.every if order.old is not None else order.spec.every):
            kept = naming.before_name(self.place.at(name), deployment)
            if self.swarm.find("configs", kept) is None:
                found = "the new release was proven already, and what ran before is not kept"
                return UsageError(f"revert {order}", found, "finish it: --finish; then roll back")
        return None

    def resume(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Prove what was submitted. On failure, restore the stored spec."""
        rollout = resumed(self.swarm, order, means, self.ways)
        with self._keeping(rollout):
            return rollout.resume()

    def retract(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Verify that the spec from before the first change runs, or restore it."""
        return resumed(self.swarm, order, means, self.ways).retract()

    def verify(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Check the service again, and probe it."""
        return fresh(self.swarm, order, means, self.ways).verify()


def _addresses(spec: RunSpec) -> Iterator[str]:
    """Return problems of addresses that need a single engine, as recorded settings may have."""
    for port in spec.publish:
        if port.address not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            yield f"a Swarm publishes on every address of a node, not only on {port.address}"
