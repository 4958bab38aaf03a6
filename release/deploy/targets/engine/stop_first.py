"""Stop-first: the new container takes the place of the old one, or the old one serves again.

The old container is stopped and kept, with its name, until the new one is proven; then it goes and the new
one gets the name. So putting back is starting what is still there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from release.deploy.core.place import UP, describe
from release.deploy.core.steps import elapsed_ms, step, tail_of
from release.deploy.targets.engine.health import Healthy
from release.deploy.targets.engine.restoration import (
    mixed_state,
    nothing_to_restore,
    predecessor_removed,
    remove_new,
    restore_obstacle,
    start_old,
)
from release.deploy.targets.engine.rollout import (
    Replacement,
    RolloutTools,
    masked_reason,
    prove,
    settle,
)
from release.errors import DeploymentFailed, EngineError, ReleaseError, Restored
from release.events import Notice, Warned
from release.images.engine import ContainerState
from release.values import replace

__all__ = ["bring_up", "give_back", "settle"]


def bring_up(tools: RolloutTools, order: Replacement, made: Sequence[str]) -> list[Healthy]:
    """Stop and keep the old container, start the new one; return the evidence that it serves.

    Also for an interrupted swap. Raises any error; `give_back` then restores the previous container.
    """
    engine = tools.engine
    served, began = [old.name for old in order.before.running if old.status == "running"], time.monotonic()
    if order.before.running:
        with step(tools.emit, "stop") as say:
            for old in order.before.running:
                tools.stop(old.id, grace=order.old_grace)
            say(", ".join(old.name for old in order.before.running))
    tools.cancellation.check()
    if not made:
        return []
    (new,), (spec,) = made, order.containers
    if order.exclusive:
        _ensure_ended(tools, order)
    with step(tools.emit, "start") as say:
        engine.start(new)
        say(spec.name or new)
    with step(tools.emit, "health") as say:
        proven = prove(tools, order, new, spec)
        say(proven.evidence)
    if served:
        text = _downtime(tools, order, served, elapsed_ms(began))
        proven = replace(proven, evidence=f"{proven.evidence}, {text}")
    return [proven]


def _ensure_ended(tools: RolloutTools, order: Replacement) -> None:
    """Raise DeploymentFailed if another container of the process runs."""
    states = [tools.engine.state(old.id) for old in (*order.before.up, *order.before.stopped)]
    running = [state for state in states if state is not None and state.status in UP]
    if running:
        raise DeploymentFailed(
            f"start {order}",
            f"it is exclusive, and {describe(running)} did not end",
            "`docker logs` shows what it does; raise stop_grace if it needs more time",
        )


def _downtime(tools: RolloutTools, order: Replacement, served: list[str], milliseconds: int) -> str:
    """Emit and return the time without service, for the record."""
    measured = f"{milliseconds / 1000:.1f} s"
    old = ", ".join(served)
    text = f"downtime {measured}: from the stop of {old} until {order.version} was healthy"
    tools.emit(Notice(text=text))
    return f"after {measured} of downtime"


def give_back(tools: RolloutTools, order: Replacement, error: BaseException) -> ReleaseError:
    """Remove the new container and start the previous one; return the error with the result.

    Also for an interrupted swap.
    """
    if (lost := restore_obstacle(tools, order)) is not None:
        return mixed_state(tools, order, error, lost)
    if order.lost:
        return predecessor_removed(tools, order, error)
    tools.emit(Warned(text=f"{masked_reason(tools, error)}: restoring what ran before"))
    removal = remove_new(tools, order)
    two_would_run = removal is not None and order.exclusive
    start = None if two_would_run else start_old(tools, order, order.before.running)
    if (left := removal or start) is not None:
        return mixed_state(tools, order, error, left)
    if not order.before.running:
        return nothing_to_restore(tools, order, error)
    found = f"{masked_reason(tools, error)}; what ran before runs again"
    return Restored(
        order.attempt,
        f"{found}: {describe(_now(tools, order.before.running))}",
        "read the lines above before the next attempt",
        tail_of(error),
    )


def _now(tools: RolloutTools, containers: Iterable[ContainerState]) -> list[ContainerState]:
    """Return the containers' current states; the given ones if the engine does not answer."""
    known = list(containers)
    try:
        return [tools.engine.state(one.id) or one for one in known]
    except EngineError:
        return known
