"""Freezes of environments: deployments are refused, rollbacks never are."""

from __future__ import annotations

from collections.abc import Iterator

from release.ledger import layout
from release.ledger.index_reader import record_at
from release.ledger.releases import wrong_kind_error
from release.ledger.store import Ledger
from release.records import Actor, Body, Draft, Envelope, Freeze, Record
from release.text.local_time import local_time
from release.values import Struct


class FreezeState(Struct, frozen=True, kw_only=True):
    """Record that freezes an environment, or ends its freeze."""

    freeze: Freeze
    recorded_at: str
    actor: Actor

    def holds(self, moment: str) -> bool:
        """Return whether this record freezes the environment at a time (RFC 3339, UTC, milliseconds)."""
        return not self.freeze.thawed and (self.freeze.until is None or moment < self.freeze.until)

    def __str__(self) -> str:
        """Return the state as the end of a sentence that begins with the environment."""
        until = self.freeze.until
        end = f"until {local_time(until)}" if until is not None else "until `invoke thaw`"
        return f"is frozen {end}: {self.freeze.message} ({self.actor.name}, {local_time(self.recorded_at)})"


def active_freeze(ledger: Ledger, service: str, environment: str, moment: str) -> FreezeState | None:
    """Return the freeze of an environment at a time; None if there is none. The last record decides.

    Args:
        ledger: ledger with the freezes; records that wait for the server come last.
        service: service of the environment.
        environment: name of the environment.
        moment: time, usually now (RFC 3339, UTC, milliseconds).
    """
    last = next(_states(ledger, service, environment), None)
    return last if last is not None and last.holds(moment) else None


def freeze_under_rollback_freeze(
    ledger: Ledger, service: str, environment: str, moment: str
) -> FreezeState | None:
    """Return the freeze that would hold if no rollback had frozen the environment. See `active_freeze`."""
    words = _states(ledger, service, environment)
    last = next((word for word in words if word.freeze.thawed or word.freeze.deployment is None), None)
    return last if last is not None and last.holds(moment) else None


def _states(ledger: Ledger, service: str, environment: str) -> Iterator[FreezeState]:
    """Yield the freezes and thaws of an environment, newest first."""
    waiting = [_state(draft, draft.body) for draft in _unsynced(ledger, service, environment)]
    yield from reversed(waiting)
    yield from _recorded(ledger, service, environment)


def freezes(ledger: Ledger, service: str, environment: str) -> Iterator[Record[Body]]:
    """Yield the records of an environment's freezes, newest first."""
    folder = layout.freeze_folder(service, environment)
    yield from (record_at(ledger, f"{folder}/{name}") for name in reversed(ledger.names(folder)))


def _recorded(ledger: Ledger, service: str, environment: str) -> Iterator[FreezeState]:
    for record in freezes(ledger, service, environment):
        if not isinstance(record.body, Freeze):
            raise wrong_kind_error(record, Freeze.kind)
        yield _state(record.envelope, record.body)


def _unsynced(ledger: Ledger, service: str, environment: str) -> Iterator[Draft[Freeze]]:
    for draft in ledger.unsynced():
        body = draft.body
        if draft.service == service and isinstance(body, Freeze) and body.environment == environment:
            yield draft.of(body)


def _state(place: Envelope | Draft[Freeze], body: Freeze) -> FreezeState:
    return FreezeState(freeze=body, recorded_at=place.recorded_at, actor=place.actor)
