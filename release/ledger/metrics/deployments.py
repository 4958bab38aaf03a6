"""Metrics of one environment, from its deployment events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from release.ledger import query
from release.ledger.deployments import healthy_deployments_of
from release.ledger.metrics.attempts import Attempt, Outcome, outcomes
from release.ledger.metrics.releases import Releases
from release.ledger.metrics.values import Metric, Span, rate, ratio, seconds_between, typical
from release.records import Release
from release.values import Struct

IsLockChange = Callable[[Release, Release], bool | None]


class EnvironmentHistory(Struct, frozen=True, kw_only=True, dict=True):
    """Environment of a service, with its attempts to deploy, oldest first."""

    past: Releases
    environment: str
    attempts: Sequence[Attempt]

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """Return the results of all deployments, including those before the span."""
        return outcomes(self.attempts)

    def running(self) -> str | None:
        """Return the record id of the release that was verified healthy last; None if there is none."""
        found = query.current_deployment(self.past.ledger, self.past.service, self.environment)
        return found.deployment.release if found is not None else None

    @cached_property
    def _first(self) -> dict[str, str]:
        """Return the time of each release's first healthy attempt among the attempts that were read."""
        return {each.release: each.healthy for each in reversed(self.attempts) if each.healthy is not None}

    def is_first_healthy(self, attempt: Attempt) -> bool:
        """Return whether a healthy attempt is the first of its release in this environment."""
        if attempt.healthy != self._first[attempt.release]:
            return False
        if self.past.find(attempt.release).envelope.recorded_at >= self.attempts[0].started:
            return True
        every = healthy_deployments_of(self.past.ledger, self.past.service, self.environment, attempt.release)
        return attempt.healthy == min((event.recorded_at for event in every), default=None)

    def release(self, record: str) -> Release:
        """Return a release by the id of its record. Raises LedgerError."""
        return self.past.find(record).body

    def before(self, outcome: Outcome) -> Release | None:
        """Return the release that ran before a deployment; None if there was none. Raises LedgerError."""
        if outcome.before is not None:
            return self.release(outcome.before)
        start = outcome.attempt.started
        event = query.deployment_running_at(self.past.ledger, self.past.service, self.environment, start)
        return self.release(event.deployment.release) if event is not None else None


def environment_metrics(
    known: EnvironmentHistory, span: Span, rated: Span, is_lock_change: IsLockChange
) -> Iterator[Metric]:
    """Yield the metrics of an environment.

    Args:
        known: history of the environment.
        span: a deployment or rollback counts if it started in this span.
        rated: the part of the span that the ledger has records of; rates are for each day of it.
        is_lock_change: see `release.ledger.metrics.measure`.

    Raises:
        LedgerError: a record cannot be read.
    """
    labels = {"environment": known.environment}
    changes = [each for each in known.outcomes if span.holds(each.attempt.started)]
    healthy = [each.attempt for each in changes if each.attempt.healthy is not None]
    failed = [each for each in changes if each.failed]
    begun = [each for each in known.attempts if span.holds(each.started)]
    rollbacks = sum(each.reason == "rollback" for each in begun)
    none = "" if known.attempts else "nothing was deployed"
    yield rate("deployment_frequency", len(healthy), rated, labels, unknown=none)
    yield _lead_time(known, healthy, labels)
    yield ratio("change_fail_rate", len(failed), len(changes), labels, none or "no deployment ended")
    yield typical("failed_deployment_recovery_time", _recoveries(failed), labels, _no_recovery(failed))
    reworks = sum(each.rework for each in changes)
    yield ratio("rework_rate", reworks, len(changes), labels, none or "no deployment ended")
    yield _dependency_recovery(known, failed, labels, is_lock_change)
    yield rate("rollback_frequency", rollbacks, rated, labels, unknown=none)


def _lead_time(known: EnvironmentHistory, healthy: Iterable[Attempt], labels: dict[str, str]) -> Metric:
    first = {attempt.release: attempt for attempt in reversed(list(healthy))}
    times = (
        seconds_between(known.release(release).source.commit_time, attempt.healthy or "")
        for release, attempt in first.items()
        if known.is_first_healthy(attempt)
    )
    return typical("lead_time", times, labels, "no release was deployed for the first time")


def _recoveries(failed: Iterable[Outcome]) -> list[float]:
    return [seconds_between(each.attempt.started, each.recovered) for each in failed if each.recovered]


def _no_recovery(failed: Sequence[Outcome]) -> str:
    return "no failed deployment has recovered yet" if failed else "no deployment failed"


def _dependency_recovery(
    known: EnvironmentHistory, failed: Iterable[Outcome], labels: dict[str, str], is_lock_change: IsLockChange
) -> Metric:
    incidents: list[Outcome] = []
    unjudged = 0
    for each in failed:
        before = known.before(each)
        judged = is_lock_change(before, known.release(each.attempt.release)) if before is not None else False
        unjudged += judged is None
        incidents += [each] if judged else []
    name, note = "dependency_recovery_time", "no failed deployment changed only the lockfile"
    if unjudged:
        note = (
            f"this clone lacks the commits of {unjudged} failed deployments, so their changes are not known"
        )
        return Metric(name=name, labels=labels, note=note)
    note = _no_recovery(incidents) if incidents else note
    return typical(name, _recoveries(incidents), labels, note, mean=True)
