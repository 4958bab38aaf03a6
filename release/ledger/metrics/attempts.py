"""Attempts to deploy, and their results. Only `read_attempts` reads the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from release.ledger.deployments import Event, deployments
from release.ledger.metrics.values import earlier
from release.ledger.store import Ledger
from release.values import Struct

_BAD: Final = frozenset({"restored", "failed", "mixed"})
_DAY: Final = timedelta(days=1)


class Attempt(Struct, frozen=True, kw_only=True):
    """All events of one attempt."""

    deployment: str
    reason: str
    release: str
    """Id of the release record."""
    started: str
    ends: tuple[tuple[str, str], ...]
    """Status and moment of each event after the start, oldest first."""

    @property
    def is_change(self) -> bool:
        """Return whether the attempt is a deployment (not a rollback) with a known end."""
        return self.reason != "rollback" and bool(self.ends)

    @property
    def healthy(self) -> str | None:
        """Return the time at which the attempt was verified healthy; None if it never was."""
        return next((moment for status, moment in self.ends if status == "healthy"), None)

    @property
    def ended_badly(self) -> bool:
        """Return whether the attempt was restored, failed or mixed, even if it was finished later."""
        return any(status in _BAD for status, _ in self.ends)

    @property
    def left_no_release(self) -> bool:
        """Return whether the last end is `failed` or `mixed`, so that no release runs."""
        return bool(self.ends) and self.ends[-1][0] in ("failed", "mixed")

    @property
    def recovered(self) -> str | None:
        """Return the time of the first healthy or restored end after the first bad end; None if none."""
        bad = next((moment for status, moment in self.ends if status in _BAD), None)
        good = (moment for status, moment in self.ends if status in ("healthy", "restored"))
        return next((moment for moment in good if bad is not None and moment >= bad), None)


class Outcome(Struct, frozen=True, kw_only=True):
    """Deployment with its result."""

    attempt: Attempt
    before: str | None
    """Id of the release that ran before; None if it is older than what was read."""
    failed: bool
    recovered: str | None
    """Moment at which the environment was healthy again after a failed deployment; None if it was not yet."""
    rework: bool


def read_attempts(ledger: Ledger, service: str, environment: str, since: str) -> tuple[Attempt, ...]:
    """Return the last healthy deployment before `since`, and all attempts after it, oldest first.

    Raises:
        LedgerError: a record cannot be read.
    """
    groups: dict[str, list[Event]] = {}
    for event in _back_to(deployments(ledger, service, environment), since):
        groups.setdefault(event.deployment.deployment, []).append(event)
    return tuple(sorted(map(_attempt, groups.values()), key=lambda each: each.started))


def _back_to(events: Iterable[Event], since: str) -> Iterator[Event]:
    """Yield the events down to the start of the last deployment that was healthy before a moment."""
    known, limit = "", ""
    for event in events:
        if limit and event.recorded_at < limit:
            return
        yield event
        body = event.deployment
        if known == body.deployment and body.status == "started":
            return
        is_healthy = body.status == "healthy" and body.reason != "rollback"
        if not known and is_healthy and event.recorded_at < since:
            known, limit = body.deployment, earlier(event.recorded_at, _DAY)


def _attempt(events: Iterable[Event]) -> Attempt:
    ordered = sorted(events, key=lambda each: (each.recorded_at, each.deployment.status != "started"))
    body = ordered[0].deployment
    ends = ((each.deployment.status, each.recorded_at) for each in ordered)
    return Attempt(
        deployment=body.deployment,
        reason=body.reason,
        release=body.release,
        started=ordered[0].recorded_at,
        ends=tuple((status, moment) for status, moment in ends if status != "started"),
    )


def outcomes(attempts: Sequence[Attempt]) -> list[Outcome]:
    """Return the results of the deployments among the attempts, which are sorted oldest first.

    A deployment failed if it ended badly, or if a rollback or a hotfix began while its release ran.
    """
    found: list[Outcome] = []
    before: str | None = None
    for place, attempt in enumerate(attempts):
        if attempt.is_change:
            after_failed = bool(found) and found[-1].failed
            found.append(_outcome(attempts, place, before, after_failed=after_failed))
        before = attempt.release if attempt.healthy is not None else before
    return found


def _outcome(attempts: Sequence[Attempt], place: int, before: str | None, *, after_failed: bool) -> Outcome:
    attempt = attempts[place]
    failed = attempt.ended_badly or _is_mended(attempts, place)
    recovered = attempt.recovered or _next_healthy(attempts, place)
    return Outcome(
        attempt=attempt,
        before=before,
        failed=failed,
        recovered=recovered if failed else None,
        rework=attempt.reason == "hotfix" or after_failed,
    )


def _is_mended(attempts: Sequence[Attempt], place: int) -> bool:
    """Return whether a rollback or a hotfix began while the release of the attempt at this place ran."""
    for later in _after(attempts, place):
        if later.reason in ("rollback", "hotfix"):
            return True
        if later.healthy is not None or later.left_no_release:
            return False
    return False


def _next_healthy(attempts: Sequence[Attempt], place: int) -> str | None:
    return next((each.healthy for each in _after(attempts, place) if each.healthy is not None), None)


def _after(attempts: Sequence[Attempt], place: int) -> Iterator[Attempt]:
    return (attempts[later] for later in range(place + 1, len(attempts)))
