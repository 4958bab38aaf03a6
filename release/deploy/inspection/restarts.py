"""Containers that were started again after their deployment was proven: in between they look healthy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from release.deploy.core.instance import Instance
from release.deploy.core.place import DEPLOYMENT
from release.deploy.environment.environment import LiveEnvironment
from release.ledger import query
from release.ledger.query import Event
from release.text.local_time import local_time

_MARGIN = timedelta(seconds=1)
"""Clocks of two machines that are set by the same servers differ by less."""

_PROOFS = ("healthy", "restored")
_STARTS = ("restart", "start")


def restarted(live: LiveEnvironment, containers: Iterable[Instance], event: Event | None) -> Iterator[str]:
    """Return a note for each container of this deployment that was restarted."""
    if event is None:
        return
    for container in containers:
        if container.labels.get(DEPLOYMENT) != event.deployment.deployment:
            continue
        hint = f"`docker logs {container.name}` shows why"
        if container.restarts:
            times = "once" if container.restarts == 1 else f"{container.restarts} times"
            yield f"{container.name} ended, and the engine restarted it {times}: {hint}"
        elif _started_late(container, event) and _started_after(container, _proven_at(live, event), live):
            at = local_time(container.started_at)
            yield f"{container.name} was started again at {at}, after it was verified healthy: {hint}"


def _started_late(container: Instance, event: Event) -> bool:
    """Return whether the container started later than its deployment could, by the engine's clock."""
    if not container.created_at or event.deployment.duration_ms is None:
        return False
    started, made = map(datetime.fromisoformat, (container.started_at, container.created_at))
    return started - made > timedelta(milliseconds=event.deployment.duration_ms)


def _started_after(container: Instance, moment: str, live: LiveEnvironment) -> bool:
    """Return whether the container started after this time of this machine's clock."""
    ahead = timedelta(milliseconds=live.target.instances.clock_ahead)
    started = datetime.fromisoformat(container.started_at) - ahead
    return started > datetime.fromisoformat(moment) + _MARGIN


def _proven_at(live: LiveEnvironment, event: Event) -> str:
    """Return when the container was last proven: by a deployment, a restoration, or an operator's start."""
    where = (live.workspace.ledger, live.place.service, live.place.environment)
    deployed = (each.recorded_at for each in query.deployments(*where) if each.deployment.status in _PROOFS)
    started = (
        each.recorded_at
        for each in query.operations(*where)
        if each.operation.what in _STARTS and each.operation.status == "done"
    )
    return max(next(deployed, event.recorded_at), next(started, ""))
