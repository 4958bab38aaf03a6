"""Verifications (readiness checks, drills, rebuilds), with those that wait for the server."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, Literal

from release.ledger import layout
from release.ledger.index_reader import newest_first, record_at
from release.ledger.releases import wrong_kind_error
from release.ledger.store import Ledger
from release.records import Actor, Body, Record, Verification
from release.values import Struct

What = Literal["readiness", "drill", "rebuild"]
IN_ENVIRONMENTS: Final[tuple[What, ...]] = ("readiness", "drill")
"""Verifications of an environment; a rebuild is of a release only."""


class RecordedVerification(Struct, frozen=True, kw_only=True):
    """Record of a verification, with its time and actor."""

    verification: Verification
    recorded_at: str
    actor: Actor

    @property
    def passed(self) -> bool:
        """Return whether the verification passed."""
        return self.verification.result == "passed"


def verifications(
    ledger: Ledger, service: str, environment: str, what: What
) -> Iterator[RecordedVerification]:
    """Yield the verification records of one kind (readiness, drill) of an environment, newest first."""
    folder = layout.verifications_folder(service, what, environment)
    there = (_tried(record_at(ledger, path)) for path in newest_first(ledger, folder, depth=3))
    waiting = (
        tried
        for tried in _waiting(ledger, service)
        if (tried.verification.what, tried.verification.environment) == (what, environment)
    )
    newest = sorted(waiting, key=_moment, reverse=True)
    yield from heapq.merge(newest, there, key=_moment, reverse=True)


def last_drill(ledger: Ledger, service: str, environment: str) -> RecordedVerification | None:
    """Return the newest passed drill of an environment, which measured the recovery time; None if none."""
    drills = verifications(ledger, service, environment, "drill")
    return next((tried for tried in drills if tried.passed), None)


def verifications_of_release(ledger: Ledger, service: str, release: str) -> tuple[RecordedVerification, ...]:
    """Return the drills and rebuilds of a release (record id), in the ledger's order; waiting ones last."""
    folder = layout.verified_folder(service, release)
    there = tuple(
        _tried(record_at(ledger, f"{folder}/{name}"))
        for name in ledger.names(folder)
        if name.startswith(f"{release}-")
    )
    waiting = (tried for tried in _waiting(ledger, service) if tried.verification.what != "readiness")
    mine = (tried for tried in waiting if release in {each.release for each in tried.verification.releases})
    return (*there, *mine)


def _tried(record: Record[Body]) -> RecordedVerification:
    if not isinstance(record.body, Verification):
        raise wrong_kind_error(record, Verification.kind)
    place = record.envelope
    return RecordedVerification(verification=record.body, recorded_at=place.recorded_at, actor=place.actor)


def _waiting(ledger: Ledger, service: str) -> Iterator[RecordedVerification]:
    for draft in ledger.unsynced():
        if draft.service == service and isinstance(draft.body, Verification):
            yield RecordedVerification(
                verification=draft.body, recorded_at=draft.recorded_at, actor=draft.actor
            )


def _moment(tried: RecordedVerification) -> str:
    return tried.recorded_at
