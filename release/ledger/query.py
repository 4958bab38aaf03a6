"""Questions to the ledger: releases, deployments, and their state.

Each question reads a few short folders of the tree; none reads all records. The functions are sorted by
subject (`releases`, `deployments`, `quarantines`, ...), and imported through this module.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator

from release.ledger import layout
from release.ledger.deployments import (
    Event,
    current_deployment,
    deployment_running_at,
    deployments,
    events_of,
    last_healthy,
    last_run_of_each_release,
)
from release.ledger.freezes import FreezeState, active_freeze, freeze_under_rollback_freeze, freezes
from release.ledger.index_reader import newest_first
from release.ledger.operations import (
    MaintenanceStop,
    RecordedOperation,
    maintenance_stop,
    operations,
    unfinished_operation,
)
from release.ledger.quarantines import QuarantineState, active_quarantine
from release.ledger.releases import (
    readable,
    release_of_commit,
    release_of_digest,
    release_of_version,
    releases,
    versions,
)
from release.ledger.store import Ledger
from release.ledger.target_lookup import find, is_steps_back
from release.ledger.target_question import Found
from release.ledger.time_parsing import Clock, ParsedTime, parse_since, parse_time
from release.ledger.verifications import (
    IN_ENVIRONMENTS,
    RecordedVerification,
    last_drill,
    verifications,
    verifications_of_release,
)
from release.records import Body, Deployment, Record, Release

__all__ = [
    "Clock",
    "Event",
    "Found",
    "FreezeState",
    "MaintenanceStop",
    "ParsedTime",
    "QuarantineState",
    "RecordedOperation",
    "RecordedVerification",
    "active_freeze",
    "active_quarantine",
    "current_deployment",
    "deployment_running_at",
    "deployments",
    "events_of",
    "find",
    "freeze_under_rollback_freeze",
    "history",
    "is_steps_back",
    "last_drill",
    "last_healthy",
    "last_run_of_each_release",
    "maintenance_stop",
    "operations",
    "parse_since",
    "parse_time",
    "release_of_commit",
    "release_of_digest",
    "release_of_version",
    "releases",
    "resolve",
    "unfinished_operation",
    "verifications",
    "verifications_of_release",
    "versions",
]


def resolve(ledger: Ledger, service: str, target: str, *, environment: str | None) -> Record[Release]:
    """Return the release that `--to` names. Raise as `find`, which also returns notes."""
    return find(ledger, service, target, environment=environment).release


def history(
    ledger: Ledger,
    service: str,
    *,
    kind: str | None = None,
    environment: str | None = None,
    since: str | None = None,
) -> Iterator[Record[Body]]:
    """Yield the records of a service, newest first.

    Args:
        ledger: ledger with the records.
        service: service of the records.
        kind: yield only records of this kind, as "release".
        environment: yield only records of this environment, sorted by time.
        since: yield only records from this time on (RFC 3339, UTC, milliseconds), sorted by time.

    Without `environment` and `since`, records are sorted by number. An event that waited for the server has
    the number of its publication.
    """
    if environment is not None:
        words = freezes(ledger, service, environment)
        recent = (record for record in words if record.envelope.recorded_at >= (since or ""))
        folders = (
            layout.environment_folder(service, environment),
            layout.operation_folder(service, environment),
            *(layout.verifications_folder(service, what, environment) for what in IN_ENVIRONMENTS),
        )
        events = (_events_since(ledger, folder, since or "") for folder in folders)
        yield from heapq.merge(*events, recent, key=_in_time, reverse=True)
    elif since is not None:
        yield from (
            record for record in _since(ledger, service, since) if kind in (None, record.envelope.kind)
        )
    else:
        every = newest_first(ledger, layout.seq_folder(service), depth=2)
        yield from readable(ledger, (path for path in every if kind is None or path.endswith(f"-{kind}")))


def _since(ledger: Ledger, service: str, since: str) -> Iterator[Record[Body]]:
    """Yield the records since a time: deployments from their index by time, other kinds from all records."""
    places = ledger.names(layout.environments_folder(service))
    folders = (layout.environment_folder(service, place) for place in places)
    events = (_events_since(ledger, folder, since) for folder in folders)
    paths = newest_first(ledger, layout.seq_folder(service), depth=2)
    others = readable(ledger, (path for path in paths if not path.endswith(f"-{Deployment.kind}")))
    recent = (record for record in others if record.envelope.recorded_at >= since)
    yield from heapq.merge(*events, recent, key=_in_time, reverse=True)


def _events_since(ledger: Ledger, folder: str, since: str) -> Iterator[Record[Body]]:
    """Yield the records in a folder of years, months and days, from the newest down to `since`."""
    records = readable(ledger, newest_first(ledger, folder, depth=3))
    return itertools.takewhile(lambda record: record.envelope.recorded_at >= since, records)


def _in_time(record: Record[Body]) -> tuple[str, int]:
    """Return a sort key: time, then number, because one command may record several in one millisecond."""
    return record.envelope.recorded_at, record.envelope.seq
