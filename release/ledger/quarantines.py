"""Quarantined releases: they are not chosen automatically, and their deployment gives a warning."""

from __future__ import annotations

from collections.abc import Iterator

from release.ledger import layout
from release.ledger.index_reader import record_at
from release.ledger.releases import wrong_kind_error
from release.ledger.store import Ledger
from release.records import Actor, Quarantine
from release.text.local_time import local_time
from release.values import Struct


class QuarantineState(Struct, frozen=True, kw_only=True):
    """Record that quarantines a release, or lifts its quarantine."""

    quarantine: Quarantine
    recorded_at: str
    actor: Actor

    def __str__(self) -> str:
        """Return the state as the end of a sentence that begins with the version."""
        where = f" in {self.quarantine.environment}" if self.quarantine.environment is not None else ""
        by = f"{self.actor.name}, {local_time(self.recorded_at)}"
        return f"is quarantined{where}: {self.quarantine.message} ({by})"


def active_quarantine(
    ledger: Ledger, service: str, release: str, environment: str | None
) -> QuarantineState | None:
    """Return the quarantine of a release; None if the release may be deployed.

    The last record for this environment, or for all environments, decides.

    Args:
        ledger: ledger with the quarantines; records that wait for the server come last.
        service: service of the release.
        release: id of the release record.
        environment: environment of the deployment; None: quarantines of all environments.
    """
    applies = [
        word
        for word in _states(ledger, service, release)
        if word.quarantine.environment in (None, environment)
    ]
    return applies[-1] if applies and not applies[-1].quarantine.lifted else None


def _states(ledger: Ledger, service: str, release: str) -> Iterator[QuarantineState]:
    """Yield the quarantines and lifts of a release, in order."""
    folder = layout.quarantine_folder(service, release)
    for name in ledger.names(folder):
        if name.startswith(f"{release}-"):
            record = record_at(ledger, f"{folder}/{name}")
            if not isinstance(record.body, Quarantine):
                raise wrong_kind_error(record, Quarantine.kind)
            place = record.envelope
            yield QuarantineState(quarantine=record.body, recorded_at=place.recorded_at, actor=place.actor)
    for draft in ledger.unsynced():
        body = draft.body
        if draft.service == service and isinstance(body, Quarantine) and body.release == release:
            yield QuarantineState(quarantine=body, recorded_at=draft.recorded_at, actor=draft.actor)
