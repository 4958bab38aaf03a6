"""Objections to a possible deployment, and records that a rollback adds.

A release may be set aside and an environment frozen. Both stand in the ledger, so they hold for every
operator and every CI job; a rollback is never stopped by a freeze.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, Literal

from release.actor import utc_now_text
from release.deploy.core.place import Place
from release.deploy.planning.plan import Reason
from release.errors import Problem
from release.ledger import query
from release.ledger.query import FreezeState, QuarantineState
from release.ledger.store import Ledger
from release.ledger.target_errors import lift_options
from release.records import Body, Freeze, Quarantine, Record, Release
from release.scalars import duration_text
from release.values import Struct


class Allowance(Struct, frozen=True, kw_only=True):
    """Exceptions that the command line allows; each is recorded."""

    quarantined: bool = False
    thaw: bool = False
    cross_migrations: bool = False
    down: Literal["done", "again"] | None = None
    """State of migrations that were to be undone: they are, or have to be undone once more."""
    up: bool = False
    """True if the data is migrated already, so that the `up` command does not run."""
    break_lock: bool = False
    rebuild: bool = False
    """Build the image again from its record, where its bytes are nowhere."""
    again: bool = False
    """Replace what runs though it runs as asked."""


NOTHING: Final = Allowance()
"""The usual."""


class PolicyState(Struct, frozen=True, kw_only=True):
    """The ledger's quarantine of a release and freezes of an environment."""

    quarantine: QuarantineState | None = None
    freeze: FreezeState | None = None
    beneath: FreezeState | None = None
    """Freeze that a later freeze of a rollback covers."""


def read_policy(ledger: Ledger, place: Place, release: str) -> PolicyState:
    """Return the quarantine and the freezes. `release` is the record's id. Raises LedgerError."""
    where = (ledger, place.service, place.environment, utc_now_text())
    return PolicyState(
        quarantine=query.active_quarantine(ledger, place.service, release, place.environment),
        freeze=query.active_freeze(*where),
        beneath=query.freeze_under_rollback_freeze(*where),
    )


def quarantine_problems(
    state: PolicyState, place: Place, target: Record[Release], allowed: Allowance
) -> list[Problem]:
    """Return the quarantine of the release as a problem, unless an option allows it."""
    if state.quarantine is None or allowed.quarantined:
        return []
    version = target.body.version
    lift = place.command(lift_options(version, state.quarantine.quarantine.environment))
    text = (
        f"{version} {state.quarantine}; to end that: `{lift}`; to accept it anyway: "
        "--allow-quarantined --message WHY"
    )
    return [Problem(path="quarantine", message=text)]


def freeze_problems(state: PolicyState, place: Place, why: Reason, allowed: Allowance) -> list[Problem]:
    """Return the freeze as a problem, unless an option lifts it or the request is a rollback."""
    if state.freeze is None or allowed.thaw or why == "rollback":
        return []
    text = (
        f"{place.environment} {state.freeze}; to deploy anyway: --thaw --message WHY; to end "
        f"the freeze: `{place.command('thaw --message WHY')}`"
    )
    return [Problem(path="freeze", message=text)]


class Aftermath(Struct, frozen=True, kw_only=True):
    """Quarantines and freezes to record with a deployment."""

    place: Place
    target: Record[Release]
    abandoned: Record[Release] | None = None
    """Set aside when the rollback is healthy."""
    welcome: bool = False
    """True: the quarantine of the target ends when it is healthy."""
    freeze: int = 0
    """Milliseconds that the environment is frozen for when the rollback is healthy."""
    thaw: bool = False
    """True: a freeze ends when this is healthy."""
    refreeze: Freeze | None = None
    """Freeze of a person from before a rollback, which continues if the rollback is undone."""

    def sentences(self) -> tuple[str, ...]:
        """Return the records as sentences for the plan."""
        where, version = self.place.environment, self.target.body.version
        sentences = {
            f"{self.abandoned.body.version} is quarantined in {where}" if self.abandoned else "": True,
            f"{version} is no longer quarantined in {where}": self.welcome,
            f"{where} is frozen for {duration_text(self.freeze)}": bool(self.freeze),
            f"{where} is thawed": self.thaw,
            f"{where} stays frozen, as it was before the rollback": self.refreeze is not None,
        }
        return tuple(text for text, holds in sentences.items() if text and holds)

    def bodies(self, deployment: str, message: str) -> Iterator[Body]:
        """Return the records for the healthy end."""
        where, version = self.place.environment, self.target.body.version
        why = f"rolled back to {version}" + (f": {message}" if message else "")
        if self.welcome:
            yield Quarantine(
                release=self.target.id,
                environment=where,
                message=message,
                lifted=True,
                deployment=deployment,
            )
        if self.abandoned is not None:
            yield Quarantine(release=self.abandoned.id, environment=where, message=why, deployment=deployment)
        if self.thaw:
            yield Freeze(environment=where, message=message, thawed=True, deployment=deployment)
        if self.refreeze is not None:
            yield self.refreeze
        if self.freeze:
            yield Freeze(
                environment=where,
                message=why,
                until=later_time(utc_now_text(), self.freeze),
                deployment=deployment,
            )


def aftermath(
    place: Place,
    why: Reason,
    target: Record[Release],
    left: Record[Release] | None,
    state: PolicyState,
    *,
    freeze: int,
) -> Aftermath:
    """Return the quarantines and freezes that follow from the deployment.

    A release that a rollback set aside, and that is put back all the same, is welcome again; going back to
    it undoes that rollback, so nothing is set aside or frozen for it. What a person froze is not shortened by
    a rollback, and not ended by undoing it.

    Args:
        place: where.
        why: deploy or rollback.
        target: what is put there.
        left: what is set aside, if it is another one.
        state: about the target and the environment.
        freeze: milliseconds, as configured.
    """
    undoes = state.quarantine is not None and state.quarantine.quarantine.deployment is not None
    back = why == "rollback" and not undoes
    by_rollback = state.freeze is not None and state.freeze.freeze.deployment is not None
    over = (state.freeze is not None and why == "promote") or (undoes and by_rollback)
    holds = state.beneath if why == "rollback" and over else None
    return Aftermath(
        place=place,
        target=target,
        abandoned=left if back and left is not None and left.id != target.id else None,
        welcome=undoes,
        freeze=freeze if back and not _outlasts(state.freeze, freeze) else 0,
        thaw=over and holds is None,
        refreeze=holds.freeze if holds is not None else None,
    )


def _outlasts(frozen: FreezeState | None, milliseconds: int) -> bool:
    """Return whether the current freeze ends later."""
    if frozen is None:
        return False
    return frozen.freeze.until is None or frozen.freeze.until > later_time(utc_now_text(), milliseconds)


def later_time(moment: str, milliseconds: int) -> str:
    """Return the time plus milliseconds, as records write it."""
    later = datetime.fromisoformat(moment) + timedelta(milliseconds=milliseconds)
    return later.isoformat(timespec="milliseconds").replace("+00:00", "Z")
