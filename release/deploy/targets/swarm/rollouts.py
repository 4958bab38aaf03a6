"""Replacement of a place's service in a Swarm: what can fail beforehand, the rollout, and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import DEPLOYMENT
from release.deploy.core.problems import listed
from release.deploy.core.rollout import RolloutContext, RolloutRequest, Strategy, Way
from release.deploy.targets.swarm import placement, prepull
from release.deploy.targets.swarm.objects import Service
from release.deploy.targets.swarm.rollout import Rollout, longest
from release.deploy.targets.swarm.service import PlacedService, no_manager
from release.errors import Problem, UsageError
from release.records import Image
from release.runspec import RunSpec


class SwarmRollouts(PlacedService, frozen=True, kw_only=True):
    """Rollouts of a service. See `release.deploy.core.target.Rollouts`."""

    @property
    def keeps_seals(self) -> bool:
        """Secrets are objects of the Swarm, and each has a seal."""
        return True

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
        found |= {"health": _gates(spec), "processes": _processes(spec)}
        return self._listed(found)

    def cautions(self) -> tuple[str, ...]:
        """None: requests go through the Swarm's own mesh, or to the ports of its nodes."""
        return ()

    def occupation_problems(self, spec: RunSpec, ours: InstanceSet) -> list[Problem]:
        """Ports of other services, and a service of our name that is not ours."""
        if not self.is_manager():
            return []
        return self._listed({"publish": self._ports(spec), "name": self._name(ours)})

    def _listed(self, found: Mapping[str, Iterator[str] | list[str]]) -> list[Problem]:
        return listed(self.place, found)

    def _placement(self, spec: RunSpec, image: Image | None) -> Iterator[str]:
        asked = self.asked(spec, image)
        return placement.problems(asked, self.swarm.nodes(), self.swarm.all_tasks())

    def _volumes(self, spec: RunSpec, image: Image | None) -> Iterator[str]:
        if prepull.volumes(spec):
            with ExitStack() as stack:
                yield from prepull.missing_volumes(self.fitting(spec, image, stack), spec)

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

    def _name(self, ours: InstanceSet) -> Iterator[str]:
        if ours.strangers or self._stranger() is not None:
            yield (
                f"the service {self.service} exists, but no record of the ledger proves that a "
                "deployment made it, so it is not changed. To show it: `docker service inspect "
                f"{self.service}`; to remove it: `docker service rm {self.service}`"
            )

    def _stranger(self) -> Service | None:
        """Return a service under our name that no deployment made."""
        found = self.found()
        return found if found is not None and not self.owns(found) else None

    def strategy(self, spec: RunSpec) -> Strategy:  # noqa: ARG002 - other targets ask the settings
        """The Swarm replaces task by task."""
        return "rolling"

    def describe(self, strategy: Strategy) -> str:  # noqa: ARG002 - there is one
        """For the plan."""
        return "rolling: the Swarm replaces the tasks, a few at a time, by the recorded update policy"

    def patience(self, spec: RunSpec, health_timeout: int) -> int:
        """For every round of the update."""
        return longest(spec, health_timeout)

    def roll_out(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Submit the spec, follow its tasks, ask the service; put back what ran before where that fails."""
        return Rollout(swarm=self.swarm, order=order, means=means).run()

    def objection(self, order: RolloutRequest, way: Way) -> UsageError | None:
        """A spec that is not there cannot be proven. What ran before is kept: it can always be put back."""
        found, wanted = self.found(), order.identity.deployment
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


def _gates(spec: RunSpec) -> Iterator[str]:
    """Recorded settings may be those of one engine, whose containers can be asked one by one."""
    if spec.health_tcp is not None or spec.health_command is not None:
        yield "health_tcp and health_command are for one engine: a Swarm uses its health check"


def _processes(spec: RunSpec) -> Iterator[str]:
    """Recorded settings may be those of one engine."""
    if spec.processes is not None:
        names = ", ".join(spec.every)
        yield f"{names} ran together on one engine: an environment in a Swarm runs one process"


def _addresses(spec: RunSpec) -> Iterator[str]:
    """Recorded settings may be those of one engine."""
    for port in spec.publish:
        if port.address not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            yield f"a Swarm publishes on every address of a node, not only on {port.address}"
