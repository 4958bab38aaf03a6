"""Deployment events sorted by time, with the events that wait for the server.

A deployment is verified healthy after a `healthy` event, and after a `restored` event that returned to that
deployment. Attempts that failed, or left a mixed state, never count.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from release.ledger import layout
from release.ledger.index_reader import newest_first, record_at
from release.ledger.releases import readable, release_of_digest, wrong_kind_error
from release.ledger.store import Ledger
from release.records import Actor, Body, Deployment, Draft, Record, Run
from release.values import Struct


class Event(Struct, frozen=True, kw_only=True):
    """Deployment event: in the ledger, or in this clone until the remote answers."""

    deployment: Deployment
    recorded_at: str
    actor: Actor
    run: Run
    record: str | None
    """Id of the event's record; None while the event waits in this clone."""


def deployments(ledger: Ledger, service: str, environment: str, *, until: str = "") -> Iterator[Event]:
    """Yield the deployment events of an environment, newest first.

    Waiting events are sorted by time too, because that is their place after publication.

    Args:
        ledger: ledger with the events.
        service: service that was deployed.
        environment: environment of the deployments.
        until: time (RFC 3339, UTC, milliseconds) of the last event; later events are not read. None: all.
    """
    waiting = [
        event for event in unsynced_events(ledger, service) if event.deployment.environment == environment
    ]
    mine = [event for event in waiting if not until or event.recorded_at <= until]
    folder = layout.environment_folder(service, environment)
    limit = layout.event_entry_path(service, environment, until, "~") if until else ""
    paths = newest_first(ledger, folder, depth=3, limit=limit)
    there = (event_of_record(record) for record in readable(ledger, paths))
    # of two of the same moment, the one that was kept last is the newer
    newest = sorted(mine, key=_moment)[::-1]
    yield from heapq.merge(newest, there, key=_moment, reverse=True)


def _moment(event: Event) -> str:
    return event.recorded_at


def event_of_record(record: Record[Body]) -> Event:
    """Return the event of a deployment record. Raise LedgerError for a record of another kind."""
    if not isinstance(record.body, Deployment):
        raise wrong_kind_error(record, Deployment.kind)
    place = record.envelope
    return Event(
        deployment=record.body,
        recorded_at=place.recorded_at,
        actor=place.actor,
        run=place.run,
        record=record.id,
    )


def unsynced_events(ledger: Ledger, service: str) -> tuple[Event, ...]:
    """Return the deployment events of a service that are not in the ledger yet, oldest first."""
    drafts = (draft for draft in ledger.unsynced() if draft.service == service)
    return tuple(_waiting(draft, draft.body) for draft in drafts if isinstance(draft.body, Deployment))


def _waiting(draft: Draft[Body], body: Deployment) -> Event:
    return Event(
        deployment=body,
        recorded_at=draft.recorded_at,
        actor=draft.actor,
        run=draft.run,
        record=None,
    )


def events_of(ledger: Ledger, service: str, digits: str) -> Iterator[Event]:
    """Yield the events of deployments whose ids begin with `digits` (two or more); waiting events last."""
    folder = layout.deployment_folder(service, digits)
    for name in ledger.names(folder):
        if name.startswith(digits):
            yield event_of_record(record_at(ledger, f"{folder}/{name}"))
    for event in unsynced_events(ledger, service):
        if event.deployment.deployment.startswith(digits):
            yield event


def verified_deployments(
    ledger: Ledger, service: str, environment: str, *, until: str = ""
) -> Iterator[Event]:
    """Yield the healthy deployments that ran, newest first. A restored deployment is listed again."""
    for event in deployments(ledger, service, environment, until=until):
        if event.deployment.status == "healthy":
            yield event
        elif event.deployment.status == "restored":
            restored = _restored(ledger, service, event)
            if restored is not None:
                yield restored


def last_run_of_each_release(ledger: Ledger, service: str, environment: str) -> Iterator[Event]:
    """Yield the last healthy event of each release that ran, beginning with the current release."""
    seen: set[str] = set()
    for event in verified_deployments(ledger, service, environment):
        if event.deployment.release not in seen:
            seen.add(event.deployment.release)
            yield event


def _restored(ledger: Ledger, service: str, event: Event) -> Event | None:
    """Return the healthy deployment that a `restored` event returned to; None if unknown."""
    proven = {target.digest for target in event.deployment.targets if target.status == "restored"} - {None}
    digest = proven.pop() if len(proven) == 1 else None
    release = release_of_digest(ledger, service, digest) if digest is not None else None
    if release is None:
        return None
    known = healthy_deployments_of(ledger, service, event.deployment.environment, release.id)
    before = [healthy for healthy in known if healthy.recorded_at <= event.recorded_at]
    named = [healthy for healthy in before if healthy.deployment.deployment == event.deployment.previous]
    return max(named or before, key=_moment, default=None)


def healthy_deployments_of(ledger: Ledger, service: str, environment: str, release: str) -> Iterator[Event]:
    """Yield the healthy deployments of a release (record id) in an environment, in any order."""
    folder = layout.healthy_folder(service, environment, release)
    for name in ledger.names(folder):
        if name.startswith(f"{release}-"):
            yield event_of_record(record_at(ledger, f"{folder}/{name}"))
    for event in unsynced_events(ledger, service):
        found = event.deployment
        if (found.environment, found.release, found.status) == (environment, release, "healthy"):
            yield event


def current_deployment(ledger: Ledger, service: str, environment: str) -> Event | None:
    """Return the last deployment verified healthy, which should be running; None if there is none."""
    return next(verified_deployments(ledger, service, environment), None)


def last_healthy(ledger: Ledger, service: str, environment: str, release: str) -> Event | None:
    """Return the newest healthy deployment of a release (record id); a rollback restores these settings."""
    return max(healthy_deployments_of(ledger, service, environment, release), key=_moment, default=None)


def deployment_running_at(ledger: Ledger, service: str, environment: str, moment: str) -> Event | None:
    """Return the healthy deployment that ran at a time (RFC 3339, UTC, milliseconds); None if none did."""
    return next(verified_deployments(ledger, service, environment, until=moment), None)


def first_healthy(ledger: Ledger, service: str, environment: str) -> Event | None:
    """Return the first deployment that was verified healthy; None if there is none."""
    mine = [
        event for event in unsynced_events(ledger, service) if event.deployment.environment == environment
    ]
    waiting = [event for event in mine if event.deployment.status == "healthy"]
    paths = _oldest_first(ledger, layout.environment_folder(service, environment), depth=3)
    there = (event_of_record(record) for record in readable(ledger, paths))
    found = next((event for event in there if event.deployment.status == "healthy"), None)
    return min([*([found] if found else []), *waiting], key=_moment, default=None)


def _oldest_first(ledger: Ledger, folder: str, *, depth: int) -> Iterator[str]:
    for name in ledger.names(folder):
        if depth == 0:
            yield f"{folder}/{name}"
        else:
            yield from _oldest_first(ledger, f"{folder}/{name}", depth=depth - 1)
