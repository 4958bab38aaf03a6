"""Maintenance of an environment: what is stopped on purpose is no drift and no leftover."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import process_of
from release.deploy.environment.environment import EnvironmentRef
from release.ledger import query
from release.ledger.query import Event, MaintenanceStop
from release.values import Struct, replace


class Maintenance(Struct, frozen=True, kw_only=True):
    """Which processes operators have stopped in an environment, by the ledger."""

    paused: MaintenanceStop | None
    operation: str | None
    """Operation without a recorded end."""

    @property
    def text(self) -> str | None:
        """Return the current stop as text; None if there is none."""
        return str(self.paused) if self.paused is not None else None

    def wanted(self, counts: Mapping[str, int]) -> Mapping[str, int]:
        """Return the wanted number of containers by process, without stopped processes."""
        paused = self.paused
        return counts if paused is None else {key: n for key, n in counts.items() if not paused.holds(key)}

    def kept(self, ours: InstanceSet, event: Event | None) -> InstanceSet:
        """Return the instances without those that are stopped on purpose."""
        paused = self.paused
        if paused is None or event is None:
            return ours
        name = event.deployment.deployment
        left = (
            each
            for each in ours.stopped
            if each.deployment != name or not paused.holds(process_of(each.labels))
        )
        return replace(ours, stopped=tuple(left))

    def drift(self, ours: InstanceSet) -> Iterator[str]:
        """Return running instances of processes that are stopped for maintenance."""
        if self.paused is None:
            return
        for each in ours.up:
            if self.paused.holds(process_of(each.labels)):
                yield f"{each.name} runs, although it is {self.paused}: `invoke start` ends the maintenance"


def read_maintenance(env_ref: EnvironmentRef) -> Maintenance:
    """Return the maintenance state in the ledger. Raises LedgerError."""
    ledger, place = env_ref.workspace.ledger, env_ref.place
    left = query.unfinished_operation(ledger, place.service, place.environment)
    return Maintenance(
        paused=query.maintenance_stop(ledger, place.service, place.environment),
        operation=str(left) if left is not None else None,
    )
