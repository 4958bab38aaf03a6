"""Releases that must stay, by the ledger: recent ones, and those that a rollback may need."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from release.config import Retention
from release.deploy.environment.environment import Workspace
from release.errors import LedgerError
from release.ledger import layout, query
from release.ledger.query import Event

_WHOLE_LEDGER: Final = (
    "no image was removed; prove the ledger: invoke verify --ledger. Or use a fresh clone, or "
    "a later version of the library"
)

REMEMBERED: Final = 500
"""Number of deployment events that are read for what has an end, and what is recent."""


SETTLED: Final = ("healthy", "restored", "failed")
"""Ends after which nothing is to be put back any more."""


def needed(workspace: Workspace, retention: Retention, now: datetime) -> dict[str, list[str]]:
    """Return the record ids of releases that a rollback may need, with the reasons. Raises LedgerError."""
    reasons: dict[str, list[str]] = {}
    since = window_start(retention, now)
    for release, reason in _reasons(workspace, retention.releases, since):
        told = reasons.setdefault(release, [])
        if reason not in told:
            told.append(reason)
    _check_complete(workspace)
    return reasons


def _check_complete(workspace: Workspace) -> None:
    """Raise LedgerError if only a part of the ledger is here."""
    if workspace.ledger.unproven is not None:
        raise workspace.ledger.unproven
    if workspace.ledger.skipped:
        path, found = next(iter(workspace.ledger.skipped.items()))
        raise LedgerError(
            "find out which releases are needed", f"{path} cannot be read: {found}", _WHOLE_LEDGER
        )


def window_start(retention: Retention, now: datetime) -> str:
    """Return the time since which all releases and deployments are kept (RFC 3339, UTC)."""
    since = (now - timedelta(milliseconds=retention.window)).isoformat(timespec="milliseconds")
    return since.replace("+00:00", "Z")


def _reasons(workspace: Workspace, count: int, since: str) -> Iterator[tuple[str, str]]:
    ledger, service = workspace.ledger, workspace.service.service
    releases = query.releases(ledger, service)
    for record in takewhile(lambda each: each.envelope.recorded_at >= since, releases):
        yield record.id, f"released {record.envelope.recorded_at[:10]}"
    known = ledger.names(layout.environments_folder(service))
    for environment in sorted({*known, *workspace.service.environments}):
        yield from _of_environment(workspace, environment, count, since)


def _of_environment(
    workspace: Workspace, environment: str, count: int, since: str
) -> Iterator[tuple[str, str]]:
    ledger, service = workspace.ledger, workspace.service.service
    standing = 0
    for event in query.last_run_of_each_release(ledger, service, environment):
        if standing == count:
            break
        release = event.deployment.release
        if query.active_quarantine(ledger, service, release, environment) is not None:
            yield release, f"healthy in {environment}, and quarantined since then"
            continue
        standing += 1
        yield release, f"healthy in {environment}, number {standing} from now"
    events = query.deployments(ledger, service, environment)
    for position, event in enumerate(events):
        if event.recorded_at < since and not (position == 0 and event.deployment.status == "started"):
            break
        yield event.deployment.release, f"{_done(event)} in {environment} {event.recorded_at[:10]}"


def _done(event: Event) -> str:
    return "begun" if event.deployment.status == "started" else f"deployed ({event.deployment.status})"
