"""Data of the report, read from the ledger, with all texts cleaned."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Final

from release.commands.text.history import Entry, history_row
from release.commands.text.marks import version_text
from release.deploy.environment.environment import Workspace
from release.deploy.environment.unconfigured import unconfigured
from release.errors import LedgerError, TargetUnavailable
from release.ledger import query
from release.ledger.metrics import Metrics, Span, measure
from release.ledger.metrics.locks import is_lock_change
from release.ledger.release_diff import base_digests
from release.records import Body, Deployment, Quarantine, Record, Release, Verification
from release.text.local_time import utc_time
from release.values import Struct

Clean = Callable[[str], str]
"""Function that returns a text without control sequences and secrets."""

MOST_RELEASES: Final = 1000
MOST_EVENTS: Final = 3000
MOST_PACKAGES: Final = 40
"""Largest number of changed packages that are listed for a release."""

_MONTHS: Final = timedelta(days=90)


class ReportEnvironment(Struct, frozen=True, kw_only=True):
    """State of an environment by the ledger."""

    name: str
    version: str
    digest: str
    since: str
    who: str
    back: str
    """Version that a rollback would restore; empty if there is none."""
    back_note: str
    """Reason why there is no such version, or the last check that it can be restored."""
    frozen: str


class ReportData(Struct, frozen=True, kw_only=True):
    """All data of the report."""

    service: str
    looked_at: str
    ledger: str
    places: tuple[ReportEnvironment, ...]
    events: tuple[tuple[str, ...], ...]
    """Rows of `invoke history`, newest first."""
    more_events: bool
    releases: tuple[dict[str, Any], ...]
    more_releases: bool
    metrics: Metrics
    deployments: tuple[tuple[str, str, str], ...]
    """Time, environment and outcome of each ended deployment of the metrics' period, newest first."""


def collect_report_data(workspace: Workspace, since: str | None, clean: Clean) -> ReportData:
    """Return all data of the report. Raise LedgerError; UsageError for an invalid time."""
    clock = query.Clock()
    begun = query.parse_since(since, clock).text if since is not None else None
    service, ledger = workspace.service.service, workspace.ledger
    environments = [*workspace.service.environments, *unconfigured(workspace.service, ledger)]
    span = Span(since=begun or _moment_text(clock.now - _MONTHS), until=_moment_text(clock.now))
    entries = list(islice(_report_entries(workspace, begun), MOST_EVENTS + 1))
    version = version_lookup(workspace)
    kept = entries[:MOST_EVENTS]
    found = list(islice(_release_objects(workspace, begun, clean), MOST_RELEASES + 1))
    head = ledger.head
    return ReportData(
        service=service,
        looked_at=span.until,
        ledger=str(head)[:12] if head is not None else "empty",
        places=tuple(_environment_state(workspace, name, span.until, clean) for name in environments),
        events=tuple(tuple(map(clean, history_row(each, version(each.body), utc_time))) for each in kept),
        more_events=len(entries) > MOST_EVENTS,
        releases=tuple(found[:MOST_RELEASES]),
        more_releases=len(found) > MOST_RELEASES,
        metrics=measure(
            ledger, service, environments, span, is_lock_change=partial(is_lock_change, workspace.source)
        ),
        deployments=tuple(_deployment_outcomes(entries, span)),
    )


def _moment_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _report_entries(workspace: Workspace, since: str | None) -> Iterator[Entry]:
    """Yield the last record of each deployment, and all other records, newest first."""
    service, seen = workspace.service.service, set[str]()
    waiting = [draft for draft in reversed(workspace.ledger.unsynced()) if draft.service == service]
    recorded: Iterator[Entry] = query.history(workspace.ledger, service, since=since)
    for entry in itertools.chain(waiting, recorded):
        body = entry.body
        if isinstance(body, Deployment):
            if body.deployment in seen:
                continue
            seen.add(body.deployment)
        yield entry


def version_lookup(workspace: Workspace) -> Callable[[Body], str]:
    """Return a function from a record to its version, which reads each release once."""
    known: dict[str, str] = {}

    def of_release(record: str) -> str:
        if record not in known:
            try:
                body = workspace.ledger.record(record).body
            except LedgerError:
                body = None
            known[record] = _version_with_mark(body) if isinstance(body, Release) else "?"
        return known[record]

    def of(body: Body) -> str:
        if isinstance(body, Release):
            return _version_with_mark(body)
        if isinstance(body, Verification):
            return of_release(body.releases[0].release) if len(body.releases) == 1 else ""
        return of_release(body.release) if isinstance(body, Deployment | Quarantine) else ""

    return of


def _version_with_mark(release: Release) -> str:
    return version_text(release.version, recovered=release.is_recovered)


def _environment_state(workspace: Workspace, name: str, moment: str, clean: Clean) -> ReportEnvironment:
    """Return the state of an environment: the running version and the rollback version."""
    service, ledger = workspace.service.service, workspace.ledger
    event = query.current_deployment(ledger, service, name)
    back, note = _find_rollback_version(workspace, name)
    frozen = query.active_freeze(ledger, service, name, moment)
    version = version_lookup(workspace)(event.deployment) if event is not None else "nothing"
    return ReportEnvironment(
        name=clean(name),
        version=clean(version),
        digest=event.deployment.digest if event is not None else "",
        since=event.recorded_at if event is not None else "",
        who=clean(event.actor.name) if event is not None else "",
        back=clean(back),
        back_note=clean(note),
        frozen=clean(str(frozen)) if frozen is not None else "",
    )


def _find_rollback_version(workspace: Workspace, name: str) -> tuple[str, str]:
    service, ledger = workspace.service.service, workspace.ledger
    try:
        found = query.find(ledger, service, "previous", environment=name)
    except (TargetUnavailable, LedgerError) as error:
        return "", error.found
    for check in query.verifications(ledger, service, name, "readiness"):
        for each in check.verification.releases:
            if each.release == found.release.id:
                return found.release.body.version, f"{each.result} at {check.recorded_at[:16]}Z"
    return found.release.body.version, "not proven yet: invoke verify"


def _deployment_outcomes(entries: list[Any], span: Span) -> Iterator[tuple[str, str, str]]:
    """Yield ended deployments with their outcome: healthy, rollback or failed."""
    for entry in entries:
        place = entry.envelope if isinstance(entry, Record) else entry
        body = entry.body
        if isinstance(body, Deployment) and body.status != "started" and span.holds(place.recorded_at):
            good = "rollback" if body.reason == "rollback" else "healthy"
            yield place.recorded_at, body.environment, good if body.status == "healthy" else "failed"


def _release_objects(workspace: Workspace, since: str | None, clean: Clean) -> Iterator[dict[str, Any]]:
    """Yield releases as short JSON objects, newest first, each with its changes."""
    records = query.releases(workspace.ledger, workspace.service.service)
    newer: Record[Release] | None = None
    for record in records:
        if newer is not None:
            yield _release_object(newer, record.body, clean)
        if since is not None and record.envelope.recorded_at < since:
            return
        newer = record
    if newer is not None:
        yield _release_object(newer, None, clean)


def _release_object(record: Record[Release], before: Release | None, clean: Clean) -> dict[str, Any]:
    """Return a release as a short JSON object: keys are first letters, `n` is the number of tests."""
    body = record.body
    started = [datetime.fromisoformat(gate.started) for gate in body.gates]
    first = min(started, default=None)
    gates = [
        [clean(gate.name), round((begun - first).total_seconds() * 1000) if first else 0, gate.duration_ms]
        for gate, begun in zip(body.gates, started, strict=True)
    ]
    tests = next((gate.tests.count for gate in body.gates if gate.tests is not None), None)
    found: dict[str, Any] = {
        "v": clean(_version_with_mark(body)),
        "t": record.envelope.recorded_at[:19],
        "w": clean(record.envelope.actor.name),
        "d": body.image.digest.removeprefix("sha256:"),
        "c": body.source.commit[:12],
        "s": body.image.size,
        "g": gates,
    }
    if tests is not None:
        found["n"] = tests
    if before is not None:
        packages = _changed_versions(_locked_packages(before), _locked_packages(body), clean)
        images = _changed_versions(base_digests(before.bases), base_digests(body.bases), clean)
        found |= {key: rows for key, rows in {"p": packages, "b": images}.items() if rows}
    return found


def _locked_packages(release: Release) -> Mapping[str, str]:
    return release.lock.packages if release.lock is not None else {}


def _changed_versions(old: Mapping[str, str], new: Mapping[str, str], clean: Clean) -> list[list[str]]:
    """Return name, old and new version of each difference; an empty text for a missing version."""
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    rows = [
        [clean(name), clean(old.get(name, "")), clean(new.get(name, ""))] for name in names[:MOST_PACKAGES]
    ]
    return [
        *rows,
        *([[f"and {len(names) - MOST_PACKAGES} more", "", ""]] if len(names) > MOST_PACKAGES else []),
    ]
