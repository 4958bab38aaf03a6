"""Parts of a rollout in a Swarm: the service of each process, in the order of replacement.

A process that the new settings lack has a part too: its service is paused before the others are replaced, so
that its ports are free, and goes when all others are proven.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from release.deploy.core import watch_time
from release.deploy.core.place import DEPLOYMENT, SERVING, Place, process_of
from release.deploy.core.rollout import RolloutContext, RolloutRequest
from release.deploy.targets.swarm import naming
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.nodes import Route
from release.deploy.targets.swarm.objects import Service
from release.deploy.targets.swarm.tasks import replicas
from release.errors import EngineError
from release.runspec import RunSpec
from release.targetspec import SwarmSpec
from release.values import Struct, field, replace

PAUSE_SECONDS: Final = 0.5

T = TypeVar("T")


class Part(Struct, frozen=True, kw_only=True):
    """The service of one process."""

    swarm: Swarm
    order: RolloutRequest
    """Order for this process alone; for a removed process, with its previous settings."""
    means: RolloutContext
    ways: Mapping[str, Route] = field(default_factory=dict)
    """Addresses of the engines of nodes."""
    is_exclusive: bool = False
    """True: an old and a new task of it never run at the same time."""
    goes: bool = False
    """True: the new settings lack this process."""
    is_new: bool = False
    """True: the previous deployment is known, and lacked this process."""

    @property
    def name(self) -> str:
        """Return the process; empty if it is the only one."""
        return self.order.place.process

    @property
    def service(self) -> str:
        """Return the service's name."""
        return naming.service_name(self.order.place)

    def found(self) -> Service | None:
        """Return the current service; None if there is none. Raises EngineError."""
        return self.swarm.service(self.service)

    def found_patiently(self) -> Service | None:
        """Return the current service; wait for a manager if it does not answer. Raises EngineError."""
        return patient(self.found, self.order.health_timeout)

    def made(self, service: Service | None) -> bool:
        """Return whether this rollout submitted the spec of the service."""
        return service is not None and service.labels.get(DEPLOYMENT) == self.order.identity.deployment

    def with_process(self, text: str) -> str:
        """Return a text with the name of the process before it."""
        return f"{self.name}: {text}" if self.name else text


def longest(spec: RunSpec, health_timeout: int) -> int:
    """Return the milliseconds for all rounds of each process's update, and its watch."""
    rounds = sum(_longest_update(one, health_timeout) for one in spec.every.values())
    return rounds + max(watch_time.longest(one) for one in spec.every.values())


def _longest_update(spec: RunSpec, health_timeout: int) -> int:
    """Return the milliseconds to start, watch and stop all tasks, with the pauses."""
    swarm = spec.swarm or SwarmSpec()
    rounds = -(-spec.replicas // (swarm.parallelism or spec.replicas)) + 1
    return rounds * (health_timeout + swarm.monitor + swarm.delay + spec.stop_grace)


def identities(service: Service) -> list[str]:
    """Return an id for each wanted task, which depends on the service and its spec.

    The service's version is not used, because the Swarm itself raises it, too.
    """
    text = hashlib.sha256(json.dumps(service.spec, sort_keys=True).encode()).hexdigest()
    return [f"{service.id}.{slot}@{text[:16]}" for slot in range(1, replicas(service) + 1)]


def services_of(swarm: Swarm, place: Place) -> tuple[Service, ...]:
    """Return the services of a place, of all processes, that have a deployment's names.

    Raises EngineError.
    """
    labelled = swarm.services(place.labels(SERVING))
    return tuple(each for each in labelled if each.name == service_name_of(place, each.labels))


def service_name_of(place: Place, labels: Mapping[str, str]) -> str:
    """Return the name that a deployment gives to the service of the process in these labels."""
    return naming.service_name(place.at(process_of(labels)))


def parts_of(
    swarm: Swarm,
    order: RolloutRequest,
    means: RolloutContext,
    gone: Iterable[str],
    ways: Mapping[str, Route],
) -> tuple[Part, ...]:
    """Return the parts of a rollout in their order.

    Args:
        swarm: the Swarm.
        order: the order for all processes.
        means: context of the rollout.
        gone: processes that have a service, or had one, and that the new settings lack.
        ways: addresses of the engines of nodes.
    """
    olds = order.old.every if order.old is not None else {}
    exclusive = order.spec.exclusive | (order.old.exclusive if order.old is not None else frozenset())

    def part(name: str, spec: RunSpec, *, goes: bool) -> Part:
        return Part(
            swarm=swarm,
            order=replace(
                order,
                place=order.place.at(name),
                spec=spec,
                old=olds.get(name),
                health_timeout=order.health_timeouts.get(name, order.health_timeout),
            ),
            means=means,
            ways=ways,
            is_exclusive=name in exclusive,
            goes=goes,
            is_new=order.old is not None and name not in olds,
        )

    news = specs.process_specs(order.spec)
    leaving = [part(name, olds.get(name, order.spec), goes=True) for name in sorted({*gone} - news.keys())]
    return (*leaving, *(part(name, spec, goes=False) for name, spec in news.items()))


def spec_of(service: Service | None) -> Mapping[str, Any] | None:
    """Return the spec of a service; None without a service."""
    return service.spec if service is not None else None


def patient(question: Callable[[], T], milliseconds: int) -> T:
    """Return the result of the question; repeat it until a manager answers. Raises EngineError."""
    deadline = time.monotonic() + milliseconds / 1000
    while True:
        try:
            return question()
        except EngineError:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)
