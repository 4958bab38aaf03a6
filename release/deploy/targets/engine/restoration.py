"""Restoration after a rollout that failed or was interrupted: containers, and the error with the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from release.deploy.core.place import describe, look
from release.deploy.core.retry_unreachable import until_back
from release.deploy.core.steps import tail_of
from release.deploy.targets.engine.failed_output import collect
from release.deploy.targets.engine.health import await_healthy
from release.deploy.targets.engine.rollout import (
    Replacement,
    RolloutTools,
    masked_reason,
    new_containers,
    watch,
)
from release.deploy.targets.engine.stopping import await_stop
from release.errors import (
    DeploymentFailed,
    EngineError,
    EngineUnreachable,
    LockHeld,
    MixedState,
    ReleaseError,
)
from release.images.engine import ContainerState


def restore_obstacle(tools: RolloutTools, order: Replacement) -> ReleaseError | None:
    """Return why nothing can be restored: lost lock, or a silent engine. None if it can.

    Other errors are ignored here, because the restoration asks the engine again.
    """
    try:
        until_back(tools.still_mine, milliseconds=order.health_timeout, emit=tools.emit)
    except (LockHeld, EngineUnreachable) as error:
        return error
    except EngineError:
        return None
    return None


def remove_new(tools: RolloutTools, order: Replacement, grace: int = 0) -> BaseException | None:
    """Stop and remove this deployment's containers; return any error, or None."""

    def take_away() -> None:
        for container in new_containers(tools, order):
            tools.stop(container.id, grace=max(grace, order.containers[0].stop_grace))
            collect(tools, container)
            tools.remove(container.id)

    return _caught_error(tools, order, take_away)


def start_old(tools: RolloutTools, order: Replacement, old: Iterable[ContainerState]) -> BaseException | None:
    """Start the previous containers and wait until they serve; return any error, or None."""
    olds = tuple(old)

    def start() -> None:
        for container in olds:
            tools.still_mine()
            await_stop(tools.engine, container.id, grace=order.old_grace, emit=tools.emit)
            tools.still_mine()
            tools.engine.start(container.id)

    return _caught_error(tools, order, start) or await_old(tools, order, olds)


def await_old(tools: RolloutTools, order: Replacement, old: Iterable[ContainerState]) -> BaseException | None:
    """Wait until the previous containers serve; return any error, or None."""
    try:
        for container in old:
            await_healthy(watch(tools, order, container.id))
    except Exception as error:  # noqa: BLE001 - what is where must be told, whatever kept it from serving
        return error
    return None


def _caught_error(tools: RolloutTools, order: Replacement, act: Callable[[], None]) -> BaseException | None:
    """Call the function until the engine answers; return any error, or None."""
    try:
        until_back(act, milliseconds=order.health_timeout, emit=tools.emit)
    except Exception as error:  # noqa: BLE001 - what is where must be told, whatever it was
        return error
    return None


def nothing_to_restore(tools: RolloutTools, order: Replacement, error: BaseException) -> DeploymentFailed:
    """Return the error of a failed deployment without previous containers."""
    return DeploymentFailed(
        order.attempt,
        f"{masked_reason(tools, error)}; no release ran before, and none runs now",
        "correct the cause that the lines above show, then deploy again",
        tail_of(error),
    )


def predecessor_removed(tools: RolloutTools, order: Replacement, error: BaseException) -> MixedState:
    """Return the error if the previous containers are removed and only new ones are left."""
    try:
        there = describe(new_containers(tools, order))
    except EngineError as silent:
        there = f"the current state, which the engine does not show ({silent.found}),"
    return MixedState(
        f"finish {order}",
        f"{masked_reason(tools, error)}; what ran before was removed; {there} was not changed",
        f"restore the last healthy release: `{order.place.command('rollback')}`",
        tail_of(error),
    )


def mixed_state(
    tools: RolloutTools, order: Replacement, error: BaseException, left: BaseException, traffic: str = ""
) -> MixedState:
    """Return the error that lists all containers, as far as the engine answers."""
    if isinstance(left, LockHeld):
        return _lock_lost_error(tools, order, error, left, traffic)
    failed = f"the restoration of what ran before failed too ({masked_reason(tools, left)})"
    return MixedState(
        order.attempt,
        f"{masked_reason(tools, error)}; {failed}. {_what_is_where(tools, order)}{traffic}",
        f"run `{order.place.command('status')}`; use `docker logs` and `docker start` with the "
        "names above; then deploy or roll back",
        tail_of(error),
    )


def _lock_lost_error(
    tools: RolloutTools, order: Replacement, error: BaseException, lost: LockHeld, traffic: str
) -> MixedState:
    """Return the error of a lost lock: nothing is undone or removed."""
    first = "" if isinstance(error, LockHeld) else f"{masked_reason(tools, error)}; "
    return MixedState(
        order.attempt,
        f"{first}{masked_reason(tools, lost)}: this command stopped and changes nothing more. "
        f"{_what_is_where(tools, order)}{traffic}",
        "wait for the other deployment and agree with its operator; "
        f"`{order.place.command('status')}` shows what runs; then deploy or roll back",
        tail_of(error),
    )


def _what_is_where(tools: RolloutTools, order: Replacement) -> str:
    try:
        ours = look(tools.engine, order.place.at(""))
    except EngineError as silent:
        return f"the engine does not show what runs ({silent.found}); before: {describe(order.before.up)}"
    return f"running: {describe(ours.running)}; stopped: {describe(ours.stopped)}"
