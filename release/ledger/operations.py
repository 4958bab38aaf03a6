"""Operations on running services: commands, restarts, stops, starts; with those that wait for the server."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from release.ledger import layout
from release.ledger.deployments import deployments
from release.ledger.index_reader import newest_first, record_at
from release.ledger.releases import wrong_kind_error
from release.ledger.store import Ledger
from release.records import Actor, Body, Draft, Operation, Record
from release.text.local_time import local_time
from release.values import Struct

_SERVES: Final = ("healthy", "restored")
"""Ends of a deployment after which something runs, whatever was stopped before."""


class RecordedOperation(Struct, frozen=True, kw_only=True):
    """Record of an operation, with its time and actor."""

    operation: Operation
    recorded_at: str
    actor: Actor

    @property
    def since(self) -> str:
        """Return time, actor and reason of the operation as text."""
        message = self.operation.message
        return f"{local_time(self.recorded_at)} by {self.actor.name}{f': {message}' if message else ''}"

    def __str__(self) -> str:
        """Return text such as `restart 0123456789ab by Ada, started 2026-11-30 10:00:00 UTC`."""
        body = self.operation
        return f"{body.what} {body.operation} by {self.actor.name}, started {local_time(self.recorded_at)}"


class MaintenanceStop(Struct, frozen=True, kw_only=True):
    """Stop for maintenance, and the processes that it stopped."""

    stop: RecordedOperation
    """Newest stop that is still in force."""
    processes: frozenset[str]
    all: bool
    """True: all processes are stopped, except those in `but`."""
    but: frozenset[str]

    def holds(self, process: str) -> bool:
        """Return whether this process is stopped. The only process of an environment has the name \"\"."""
        return process in self.processes or (self.all and process not in self.but)

    def __str__(self) -> str:
        """Return text such as `stopped for maintenance since 2026-11-30T10:00:00Z by Ada: disk`."""
        what = "" if self.all else f" ({', '.join(sorted(self.processes))})"
        return f"stopped for maintenance{what} since {self.stop.since}"


def operations(ledger: Ledger, service: str, environment: str) -> Iterator[RecordedOperation]:
    """Yield the operations in an environment, newest first."""
    folder = layout.operation_folder(service, environment)
    there = (_done(record_at(ledger, path)) for path in newest_first(ledger, folder, depth=3))
    waiting = sorted(_waiting(ledger, service, environment), key=_moment, reverse=True)
    yield from heapq.merge(waiting, there, key=_moment, reverse=True)


def maintenance_stop(ledger: Ledger, service: str, environment: str) -> MaintenanceStop | None:
    """Return the stop for maintenance that is still in force; None if there is none."""
    events = deployments(ledger, service, environment)
    served = next((event.recorded_at for event in events if event.deployment.status in _SERVES), "")
    later = takewhile(lambda each: each.recorded_at > served, operations(ledger, service, environment))
    failed: set[str] = set()
    started: set[str] = set()
    stops: list[RecordedOperation] = []
    for each in later:
        body = each.operation
        if body.status == "failed":
            failed.add(body.operation)
        elif body.what == "stop" and body.operation not in failed:
            stops.append(each)
            if body.process is None:
                break
        elif body.what == "start" and body.status == "done":
            if body.process is None:
                break
            started.add(body.process)
    kept = [stop for stop in stops if stop.operation.process not in started]
    if not kept:
        return None
    names = [stop.operation.process for stop in kept]
    return MaintenanceStop(
        stop=kept[0], processes=frozenset(filter(None, names)), all=None in names, but=frozenset(started)
    )


def unfinished_operation(ledger: Ledger, service: str, environment: str) -> RecordedOperation | None:
    """Return the newest operation if its end is not recorded and no deployment followed; else None."""
    last = next(operations(ledger, service, environment), None)
    if last is None or last.operation.status != "started":
        return None
    event = next(deployments(ledger, service, environment), None)
    return last if event is None or event.recorded_at < last.recorded_at else None


def _done(record: Record[Body]) -> RecordedOperation:
    if not isinstance(record.body, Operation):
        raise wrong_kind_error(record, Operation.kind)
    place = record.envelope
    return RecordedOperation(operation=record.body, recorded_at=place.recorded_at, actor=place.actor)


def _waiting(ledger: Ledger, service: str, environment: str) -> Iterator[RecordedOperation]:
    drafts: tuple[Draft[Body], ...] = ledger.unsynced()
    for draft in drafts:
        body = draft.body
        if draft.service == service and isinstance(body, Operation) and body.environment == environment:
            yield RecordedOperation(operation=body, recorded_at=draft.recorded_at, actor=draft.actor)


def _moment(done: RecordedOperation) -> str:
    return done.recorded_at
