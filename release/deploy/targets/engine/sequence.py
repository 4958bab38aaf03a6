"""The processes of a release, replaced one after the other: all of them, or none.

Everything that is replaced is kept until all processes are proven. Whatever fails before, every process is
put back, the last one first. From then on the deployment has succeeded: the old containers go.
"""

from __future__ import annotations

from collections.abc import Sequence

from release.deploy.core.place import DEPLOYMENT, describe
from release.deploy.core.steps import tail_of
from release.deploy.targets.engine import stop_first
from release.deploy.targets.engine.health import Healthy, keep_watch
from release.deploy.targets.engine.replacement_parts import Part
from release.deploy.targets.engine.restoration import (
    mixed_state,
    nothing_to_restore,
    remove_new,
    restore_obstacle,
)
from release.deploy.targets.engine.rollout import (
    Replacement,
    RolloutTools,
    masked_reason,
    new_containers,
    stay,
)
from release.errors import DeploymentFailed, EngineError, MixedState, ReleaseError, Restored
from release.events import Emit, Event, Warned
from release.images.engine import ContainerState
from release.values import replace

Made = Sequence[Sequence[str]]
"""Ids of the new containers of each part."""


def swap(tools: RolloutTools, parts: Sequence[Part]) -> str:
    """Replace the running containers; return the evidence that all new ones serve.

    Raises:
        DeploymentFailed: nothing was changed, or nothing ran before and nothing runs now.
        Restored: the previous containers run again, proven in the same way.
        MixedState: the restoration failed, or the lock was lost; the message lists all containers.
    """
    return _complete(tools, parts, _created(tools, parts))


def finish(tools: RolloutTools, parts: Sequence[Part]) -> str:
    """Complete an interrupted rollout whose containers exist. See `swap`."""
    try:
        made = [_found(tools, part) for part in parts]
    except BaseException as error:
        raise give_back(tools, parts, error) from error
    return _complete(tools, parts, made)


def _created(tools: RolloutTools, parts: Sequence[Part]) -> Made:
    """Create all new containers without starting them. Raises DeploymentFailed, MixedState: see `_create`."""
    made: list[list[str]] = []
    for place, part in enumerate(parts):
        try:
            made.append(_create(tools, part.order))
        except ReleaseError as error:
            for earlier in parts[:place]:
                if (left := remove_new(tools, earlier.order)) is not None:
                    raise mixed_state(tools, earlier.order, error, left) from error
            raise
    return made


def _create(tools: RolloutTools, order: Replacement) -> list[str]:
    """Create the new containers without starting them; return their ids.

    Raises:
        DeploymentFailed: a container could not be created; all others are removed.
        MixedState: the others could not be removed.
    """
    try:
        made = [tools.engine.create(spec) for spec in order.containers]
        tools.cancellation.check()
    except BaseException as error:
        raise _withdraw(tools, order, error) from error
    return made


def _withdraw(tools: RolloutTools, order: Replacement, error: BaseException) -> ReleaseError:
    left = remove_new(tools, order)
    if left is not None:
        return mixed_state(tools, order, error, left)
    return DeploymentFailed(
        order.attempt,
        f"{masked_reason(tools, error)}; nothing was changed",
        tools.mask(getattr(error, "hint", "")),
        tail_of(error),
    )


def _found(tools: RolloutTools, part: Part) -> list[str]:
    order = part.order
    made = [state.id for state in new_containers(tools, order)]
    if len(made) < len(order.containers):
        found = f"only {len(made)} of {len(order.containers)} containers had been made"
        raise DeploymentFailed(
            f"finish the deployment {order.deployment} of {order}", found, "revert it: --revert"
        )
    return made


def _complete(tools: RolloutTools, parts: Sequence[Part], made: Made) -> str:
    touched: list[Part] = []
    try:
        proven: list[Healthy] = []
        for part, new in zip(parts, made, strict=True):
            touched.append(part)
            proven += _named(part, _bring_up(tools, part, new))
        evidence = stay(tools, parts[-1].order, proven)
        tools.others(lambda: keep_watch(proven, 0))
    except BaseException as error:
        raise give_back(tools, parts, error, touched=touched) from error
    for part, new in zip(parts, made, strict=True):
        _settle(tools, part, new)
    return evidence


def _bring_up(tools: RolloutTools, part: Part, made: Sequence[str]) -> list[Healthy]:
    if part.front is None:
        return stop_first.bring_up(tools, part.order, made)
    from release.deploy.targets.engine import start_first

    return start_first.bring_up(tools, part.order, part.front.proxy, made)


def _named(part: Part, proven: Sequence[Healthy]) -> list[Healthy]:
    """Return the evidence with the name of its process."""
    if not part.name:
        return list(proven)
    return [replace(each, evidence=f"{part.name}: {each.evidence}") for each in proven]


def _settle(tools: RolloutTools, part: Part, made: Sequence[str]) -> None:
    if part.front is None:
        stop_first.settle(tools, part.order, made)
        return
    from release.deploy.targets.engine import start_first

    start_first.settle_behind(tools, part.order, part.front.proxy, made)


def give_back(
    tools: RolloutTools, parts: Sequence[Part], error: BaseException, *, touched: Sequence[Part] | None = None
) -> ReleaseError:
    """Restore every process, the last one first; return the error that describes the result.

    Args:
        tools: tools of the rollout.
        parts: all parts of the rollout.
        error: the error of the rollout.
        touched: parts whose containers may have been stopped or started; None if unknown: all.
    """
    if len(parts) == 1:
        return _put_back(tools, parts[0], error)
    if (lost := restore_obstacle(tools, parts[0].order)) is not None:
        return mixed_state(tools, parts[0].order, error, lost)
    tools = replace(tools, emit=_once(tools.emit))
    ends: list[ReleaseError] = []
    for part in reversed(parts):
        if touched is None or part in touched:
            ends.append(_put_back(tools, part, error))
        elif (left := remove_new(tools, part.order)) is not None:
            ends.append(mixed_state(tools, part.order, error, left))
    return _together(tools, parts, error, ends)


def _put_back(tools: RolloutTools, part: Part, error: BaseException) -> ReleaseError:
    if part.front is None:
        return stop_first.give_back(tools, part.order, error)
    from release.deploy.targets.engine import start_first

    return start_first.give_back(tools, part.order, part.front.proxy, error)


def _once(emit: Emit) -> Emit:
    """Return an emit function that leaves out repeated warnings."""
    told: list[Event] = []

    def once(event: Event) -> None:
        if not isinstance(event, Warned) or event not in told:
            told.append(event)
            emit(event)

    return once


def _together(
    tools: RolloutTools, parts: Sequence[Part], error: BaseException, ends: Sequence[ReleaseError]
) -> ReleaseError:
    """Return one error for all processes: the worst, with the text of each."""
    whole, first = _whole(parts[0]), f"{masked_reason(tools, error)}; "
    failed = [end for end in ends if isinstance(end, MixedState)]
    if failed:
        found = "; ".join(end.found.removeprefix(first) for end in failed)
        return MixedState(whole.attempt, first + found, failed[0].hint, tail_of(error))
    old = [one for part in parts for one in part.order.before.running]
    if not old:
        return nothing_to_restore(tools, whole, error)
    again = f"what ran before runs again: {describe(_now(tools, old))}"
    if parted := _parted(parts, old):
        hint = f"`{whole.place.command('rollback')}` makes one release of them again"
        return MixedState(whole.attempt, f"{first}{again}; {parted}", hint, tail_of(error))
    return Restored(
        whole.attempt, first + again, "read the lines above before the next attempt", tail_of(error)
    )


def _parted(parts: Sequence[Part], old: Sequence[ContainerState]) -> str:
    """Return a note if the previous containers were not one whole release; else an empty text."""
    if len({one.labels.get(DEPLOYMENT) for one in old}) > 1:
        return "these are of several deployments"
    before = [(part.name, part.order.before) for part in parts]
    idle = [name for name, there in before if there.stopped and not there.running]
    return f"before, none of these processes ran: {', '.join(idle)}" if idle else ""


def _whole(part: Part) -> Replacement:
    return replace(part.order, place=part.order.place.at(""))


def _now(tools: RolloutTools, containers: Sequence[ContainerState]) -> list[ContainerState]:
    """Return the containers' current states; the given ones if the engine does not answer."""
    try:
        return [tools.engine.state(one.id) or one for one in containers]
    except EngineError:
        return list(containers)
