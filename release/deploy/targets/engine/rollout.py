"""Shared parts of both ways of replacing containers: the order, proof, removal and reports.

New containers are found by their deployment's label, not remembered: nothing is lost when a call to the
engine is cut in the middle, and a later command finds what an earlier one left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from release.deploy.core.place import DEPLOYMENT, SERVING, ContainerSet, Place, process_of
from release.deploy.core.rollout import Look
from release.deploy.core.steps import reason, step
from release.deploy.core.verbs import attempt
from release.deploy.targets.engine.failed_output import CapturedOutput
from release.deploy.targets.engine.gates import Gates
from release.deploy.targets.engine.health import Healthy, Watch, await_healthy, keep_watch, warn_unreachable
from release.errors import (
    DeploymentFailed,
    EngineError,
    LockHeld,
)
from release.events import Emit, Warned
from release.images.engine import ContainerSpec, ContainerState, Engine
from release.programs.cancellation import Cancellation
from release.runspec import Probe
from release.secrets.redact import Mask
from release.values import Struct, field, replace

STRATEGIES: Final = {
    "stop-first": "stop-first: the old container is stopped, and kept until the new one is proven",
    "start-first": "start-first: the new container is healthy before the proxy gives it the traffic",
}
"""Ways to replace containers, as a plan tells them."""


class Replacement(Struct, frozen=True, kw_only=True):
    """Replacement of a process: the new containers and their checks, and those of the old containers."""

    place: Place
    deployment: str
    version: str
    containers: tuple[ContainerSpec, ...]
    """One; behind a proxy, one for each replica. None if what runs is only taken away."""
    probe: Probe | None
    old_probe: Probe | None
    """Of what runs now: it must answer again if it has to be put back."""
    old_grace: int
    """Milliseconds that what runs now has to stop."""
    health_timeout: int
    """Milliseconds."""
    before: ContainerSet
    """Containers that were there when the plan was made."""
    gates: Gates = Gates()
    old_gates: Gates = Gates()
    watch: int = 0
    """Milliseconds that the new ones must stay healthy while the old ones are kept."""
    drain: int = 0
    """Milliseconds that requests under way may take when the traffic has moved on."""
    at_once: bool = False
    """See `Watch.at_once`. Not where a proxy goes by what the engine says of a container's health."""
    lost: bool = False
    """True: what ran before is lost, so the new ones stay."""
    exclusive: bool = False
    """True: a new one starts only after the old one has ended, and the other way round."""
    reason: str = "promote"
    """Of the deployment, as its record has it."""

    def made(self, container: ContainerState) -> bool:
        """Return whether this deployment made the container: by its labels and its name."""
        replicas = range(1, len(self.containers) + 1)
        if container.name in {self.place.fresh(self.deployment, replica) for replica in replicas}:
            return True
        good = {self.place.named(replica) for replica in replicas}
        return container.name in good and container.image == self.containers[0].image

    def __str__(self) -> str:
        """Return the replacement as text: `0.2.0 of api in production`."""
        return f"{self.version} of {self.place}"

    @property
    def attempt(self) -> str:
        """Return the attempted action, for errors."""
        return attempt(self.reason, self)


class RolloutTools(Struct, frozen=True, kw_only=True):
    """Tools of a rollout: engine, output, cancellation, lock."""

    engine: Engine
    emit: Emit
    cancellation: Cancellation
    mask: Mask
    still_mine: Callable[[], None] = lambda: None
    """Raises LockHeld where somebody else has the lock by now."""
    others: Callable[[Look], None] = lambda _: None
    written: list[CapturedOutput] = field(default_factory=list)

    def stop(self, container: str, *, grace: int) -> None:
        """Stop the container if the lock is still ours. Raises LockHeld, EngineError."""
        self.still_mine()
        self.engine.stop(container, grace=grace)

    def remove(self, container: str) -> None:
        """Remove the container if the lock is still ours. Raises LockHeld, EngineError."""
        self.still_mine()
        self.engine.remove(container)


def prove(tools: RolloutTools, order: Replacement, new: str, spec: ContainerSpec) -> Healthy:
    """Wait until the container is healthy; check that it runs the recorded image.

    Args:
        tools, order: tools and order of the rollout.
        new, spec: the container and its spec.

    Raises DeploymentFailed if the container is not healthy or runs another image.
    """
    watched = watch_new(tools, order, new)
    warn_unreachable(watched)
    seen = await_healthy(watched)
    if (found := seen.state.image) != spec.image:
        text = f"the container runs {found}, not {spec.image}"
        hint = "another program changed the container: run the command again"
        raise DeploymentFailed(f"prove that {order} runs", text, hint)
    return seen


def watch(tools: RolloutTools, order: Replacement, container: str) -> Watch:
    """Return the watch for an old container."""
    return Watch(
        engine=tools.engine,
        container=container,
        probe=order.old_probe,
        timeout=order.health_timeout,
        emit=tools.emit,
        mask=tools.mask,
        process=order.place.process,
        gates=order.old_gates,
        at_once=order.at_once,
    )


def watch_new(tools: RolloutTools, order: Replacement, container: str) -> Watch:
    """Return the watch for a new container."""
    old = watch(tools, order, container)
    return replace(old, probe=order.probe, cancellation=tools.cancellation, gates=order.gates)


def stay(tools: RolloutTools, order: Replacement, proven: Sequence[Healthy]) -> str:
    """Watch the new containers for the configured time; return the evidence.

    Also check that the lock is still ours.

    Raises:
        DeploymentFailed: a container changed. LockHeld: another holder has the lock.
    """
    evidence = "; ".join(_last_of_each(proven))
    if order.watch:
        with step(tools.emit, "watch") as say:
            say(said := keep_watch(proven, order.watch))
        evidence = f"{evidence}, {said}"
    else:
        keep_watch(proven, 0)
    tools.still_mine()
    return evidence


def _last_of_each(proven: Sequence[Healthy]) -> list[str]:
    """Return the evidence of the last replica of each process."""
    return list({process_of(each.state.labels): each.evidence for each in proven}.values())


def settle(tools: RolloutTools, order: Replacement, made: Sequence[str]) -> None:
    """Remove the replaced containers and rename the new ones. A failure is only a warning."""
    try:
        for old in (*order.before.up, *order.before.stopped):
            tools.remove(old.id)
        for replica, new in enumerate(made, 1):
            rename(tools.engine, new, order.place.named(replica))
    except (EngineError, LockHeld) as error:
        tools.emit(
            Warned(
                text=f"{order} serves, but the removal of the old container failed: {error.attempted}: "
                f"{error.found}. The next deployment removes it"
            )
        )


def rename(engine: Engine, container: str, name: str) -> None:
    """Give the container the name, if it has another one."""
    if (state := engine.state(container)) is None or state.name != name:
        engine.rename(container, name)


def new_containers(tools: RolloutTools, order: Replacement) -> Sequence[ContainerState]:
    """Return this deployment's containers from the engine. Raises EngineError.

    Containers of an image that was committed from these have the same labels, but other names.
    """
    labelled = tools.engine.containers(order.place.labels(SERVING) | {DEPLOYMENT: order.deployment})
    return [container for container in labelled if order.made(container)]


def masked_reason(tools: RolloutTools, error: BaseException) -> str:
    """Return the error's reason without secrets: an engine may quote its input."""
    return tools.mask(reason(error))
