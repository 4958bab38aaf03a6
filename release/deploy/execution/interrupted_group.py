"""Interrupted deployment of several services together: all of them are finished, or all are reverted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from release.deploy.core import lock
from release.deploy.core.rollout import Way
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.execution.interrupted import InterruptedDeployment, LockedState, examine, find
from release.ledger import query
from release.records import GroupDeployment
from release.values import Struct, replace

_LOOKED_AT: Final = 100
"""Number of latest deployment events that are searched for one of the group."""


class InterruptedGroup(Struct, frozen=True, kw_only=True):
    """The services of an interrupted deployment, in the order of replacement."""

    group: GroupDeployment
    members: tuple[InterruptedDeployment, ...]
    """Services without an end, with one way for all."""
    idle: tuple[tuple[LiveEnvironment, LockedState], ...]
    """Services that ran as asked already; only their locks are left."""

    @property
    def title(self) -> str:
        """Return the action as text."""
        return f"{self.members[0].way} {self.group}, of {self.members[0].live.place.environment}"


def examine_group(
    group: GroupDeployment,
    first: InterruptedDeployment,
    others: Sequence[LiveEnvironment],
    *,
    way: Way | None,
    break_lock: bool,
) -> InterruptedGroup:
    """Examine all services of a group; choose one way for those without an end.

    Args:
        group: as the start of the first one names it.
        first: the service that was found interrupted.
        others: the other services of the group.
        way: what to do; absent: finish if each of them runs or what ran before is gone, else revert.
        break_lock: also if the holder of a lock seems to be alive.

    Raises LockHeld, NotReady, TargetUnavailable: see `find` and `examine`.
    """
    members, idle = {first.live.place.service: first}, list[tuple[LiveEnvironment, LockedState]]()
    for live in others:
        found = find(live, break_lock=break_lock)
        one = examine(live, found, way=way)
        if one is not None and _is_of(one, group):
            members[live.place.service] = one
        elif found.observation.holder is not None and found.observation.holder.deployment == group.id:
            idle.append((live, found))
    ordered = [members[service] for service in group.services if service in members]
    chosen = way or _way(group, ordered, [first.live, *others])
    return InterruptedGroup(
        group=group, members=tuple(replace(each, way=chosen) for each in ordered), idle=tuple(idle)
    )


def _is_of(interrupted: InterruptedDeployment, group: GroupDeployment) -> bool:
    found = interrupted.unfinished.started.group
    return found is not None and found.id == group.id


def _way(
    group: GroupDeployment, members: Sequence[InterruptedDeployment], lives: Sequence[LiveEnvironment]
) -> Way:
    """Return the way that is possible for all services. A recorded end of one service decides."""
    ends = {status for live in lives for status in _ends(live, group)}
    if ends:
        return "finish" if "healthy" in ends else "revert"
    if all(each.way == "finish" for each in members):
        return "finish"
    asked = (each.live.target.rollouts.objection(each.request, "revert") for each in members)
    return "revert" if all(objection is None for objection in asked) else "finish"


def _ends(live: LiveEnvironment, group: GroupDeployment) -> set[str]:
    """Return the statuses of the ends that are recorded of a service's part."""
    events = query.deployments(live.workspace.ledger, live.place.service, live.place.environment)
    for event in islice(events, _LOOKED_AT):
        found = event.deployment.group
        if found is not None and found.id == group.id:
            return {str(event.deployment.status)} - {"started"}
    return set()


def release_locks(idle: Sequence[tuple[LiveEnvironment, LockedState]]) -> None:
    """Remove the locks of services that already ran as asked. Raises EngineError."""
    for live, found in idle:
        if found.observation.holder is not None:
            lock.drop(live.target.lock_store(), live.place, found.observation.holder)
