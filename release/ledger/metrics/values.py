"""Metrics: their definitions, their values, and the span of time that they cover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from statistics import fmean, median
from typing import Any, Final, Literal

from release.values import Struct, field

Unit = Literal["per day", "ratio", "seconds"]


class Definition(Struct, frozen=True):
    """Definition of a metric: unit, counted objects, kinds of records, and meaning."""

    unit: Unit
    counted: str
    records: tuple[str, ...]
    meaning: str


DEFINITIONS: Final[Mapping[str, Definition]] = {
    "deployment_frequency": Definition(
        "per day", "deployments", ("deployment",), "Deployments that ended healthy, for each day."
    ),
    "lead_time": Definition(
        "seconds",
        "releases",
        ("deployment", "release"),
        "Median time from the commit of a release to its first healthy deployment.",
    ),
    "change_fail_rate": Definition(
        "ratio", "deployments", ("deployment",), "Failed deployments, as a part of all deployments."
    ),
    "failed_deployment_recovery_time": Definition(
        "seconds",
        "recovered deployments",
        ("deployment",),
        "Median time from the start of a failed deployment until the environment was healthy again.",
    ),
    "rework_rate": Definition(
        "ratio",
        "deployments",
        ("deployment",),
        "Hotfixes and first deployments after a failed one, as a part of all deployments.",
    ),
    "dependency_recovery_time": Definition(
        "seconds",
        "recovered deployments",
        ("deployment", "release"),
        "Mean time to recover from failed deployments of releases that changed only the lockfile.",
    ),
    "rollback_frequency": Definition("per day", "rollbacks", ("deployment",), "Rollbacks, for each day."),
    "lock_age": Definition(
        "seconds",
        "releases with it",
        ("release", "deployment"),
        "Time since the lockfile of the running release (without environment: of the newest) was new.",
    ),
    "reproducibility_rate": Definition(
        "ratio", "rebuilds", ("verification",), "Rebuilds that gave the recorded image, as a part of all."
    ),
    "emergency_pin_frequency": Definition("per day", "pins", (), "Emergency pins, for each day."),
    "chain_duration": Definition(
        "seconds", "releases", ("release",), "Median time from the first stage of a release to its record."
    ),
    "stage_duration": Definition("seconds", "releases", ("release",), "Median time of a stage of a release."),
}
"""All metrics, by name."""


class Metric(Struct, frozen=True, kw_only=True):
    """Metric with its value."""

    name: str
    value: float | None = None
    """In the unit of the definition; None if it is not known."""
    count: int | None = None
    """Number of observations that it is computed from; None if they are not recorded."""
    labels: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    """Reason why the value is not known; empty if it is."""

    @property
    def definition(self) -> Definition:
        """Return the definition of the metric."""
        return DEFINITIONS[self.name]


class Span(Struct, frozen=True, kw_only=True):
    """Span of time. `since` and `until`: RFC 3339, UTC, milliseconds, as in records."""

    since: str
    until: str

    @property
    def days(self) -> float:
        """Return the length of the span in days of 24 hours."""
        return seconds_between(self.since, self.until) / 86_400

    def holds(self, moment: str) -> bool:
        """Return whether a time lies in the span, whose end is excluded."""
        return self.since <= moment < self.until

    def before(self) -> Span:
        """Return the span of the same length that ends at the beginning of this span."""
        length = timedelta(seconds=seconds_between(self.since, self.until))
        return Span(since=earlier(self.since, length), until=self.since)

    def from_(self, moment: str) -> Span:
        """Return the part of the span that begins at a time; the whole span if the time is earlier."""
        return Span(since=max(self.since, moment), until=self.until)


class Metrics(Struct, frozen=True, kw_only=True):
    """All metrics of a service over a span."""

    service: str
    span: Span
    metrics: tuple[Metric, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as JSON data."""
        rows = [
            {
                "name": each.name,
                **each.labels,
                "value": each.value,
                "unit": each.definition.unit,
                "count": each.count,
                "counted": each.definition.counted,
                "records": list(each.definition.records),
                "note": each.note,
            }
            for each in self.metrics
        ]
        return {
            "service": self.service,
            "since": self.span.since,
            "until": self.span.until,
            "metrics": rows,
        }


def rate(name: str, count: int, span: Span, labels: Mapping[str, str], *, unknown: str = "") -> Metric:
    """Return a metric of the number for each day; without a value for a span of less than a day."""
    if not unknown and span.days < 1:
        unknown = "less than a day is recorded"
    value = None if unknown else count / span.days
    return Metric(name=name, value=value, count=None if unknown else count, labels=labels, note=unknown)


def ratio(name: str, part: int, whole: int, labels: Mapping[str, str], note: str) -> Metric:
    """Return a metric of the part of a whole; with `note` and no value if the whole is empty."""
    if whole == 0:
        return Metric(name=name, count=0, labels=labels, note=note)
    return Metric(name=name, value=part / whole, count=whole, labels=labels)


def typical(
    name: str, values: Iterable[float], labels: Mapping[str, str], note: str, *, mean: bool = False
) -> Metric:
    """Return a metric of the median or mean of durations; with `note` and no value if there are none.

    A negative duration is left out: the clocks of two machines differed.
    """
    given = list(values)
    every = [each for each in given if each >= 0]
    if not every:
        reason = "the clocks of the machines contradict each other" if given else note
        return Metric(name=name, count=0, labels=labels, note=reason)
    value = fmean(every) if mean else median(every)
    return Metric(name=name, value=value, count=len(every), labels=labels)


def seconds_between(earlier_moment: str, later_moment: str) -> float:
    """Return the elapsed seconds from one moment to the other."""
    start, end = (datetime.fromisoformat(each) for each in (earlier_moment, later_moment))
    return (end - start).total_seconds()


def earlier(moment: str, length: timedelta) -> str:
    """Return the time that is `length` before another one, as records write it."""
    found = datetime.fromisoformat(moment).astimezone(UTC) - length
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")
