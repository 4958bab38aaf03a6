"""Metrics of releases and deployments, computed from the ledger's records alone.

docs/reference/metrics.md defines each metric and shows a worked example. What the records do not hold is not
known, and the metric says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from release.ledger.metrics.attempts import read_attempts
from release.ledger.metrics.deployments import EnvironmentHistory, environment_metrics
from release.ledger.metrics.releases import Releases, lock_age, rebuild_metrics, stage_metrics
from release.ledger.metrics.values import DEFINITIONS, Definition, Metric, Metrics, Span
from release.ledger.store import Ledger
from release.records import Release

__all__ = ["DEFINITIONS", "Definition", "Metric", "Metrics", "Span", "measure"]


def measure(
    ledger: Ledger,
    service: str,
    environments: Iterable[str],
    span: Span,
    *,
    is_lock_change: Callable[[Release, Release], bool | None],
) -> Metrics:
    """Compute the metrics of a service.

    Args:
        ledger: the ledger with its records.
        service: the service.
        environments: those whose deployments are measured.
        span: from its beginning to its end.
        is_lock_change: returns if the lockfile is all that differs from one release to the other; None if
            that is not known.

    Raises:
        LedgerError: a record cannot be read.
    """
    past = Releases(ledger, service)
    past.first_number_to_read(span.before().since)  # reads them once, for the environments too
    begun = past.first_record()
    rated = span.from_(begun) if begun is not None else span
    found: list[Metric] = []
    for name in environments:
        attempts = read_attempts(ledger, service, name, span.since)
        known = EnvironmentHistory(past=past, environment=name, attempts=attempts)
        found += environment_metrics(known, span, rated, is_lock_change)
        found.append(lock_age(past, span, known.running(), {"environment": name}))
    return Metrics(service=service, span=span, metrics=(*found, *_of_service(past, span)))


def _of_service(past: Releases, span: Span) -> Iterator[Metric]:
    newest = next(iter(past), None)
    yield from rebuild_metrics(past, span)
    yield Metric(
        name="emergency_pin_frequency",
        note="this version of the ledger has no record of emergency pins",
    )
    yield from stage_metrics(past, span)
    yield lock_age(past, span, newest.id if newest is not None else None, {})
