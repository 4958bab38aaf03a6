"""The events of one deployment: its start, its end, and the end of an interrupted one that it replaces."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal

from release.deploy.core.steps import elapsed_ms
from release.deploy.environment import journal, lock_claim
from release.deploy.environment.journal import Unfinished
from release.deploy.execution import recording
from release.deploy.planning import migration_containers
from release.deploy.planning.prepare import Prepared
from release.errors import LedgerError
from release.events import Warned
from release.records import Body, Deployment, Draft, GroupDeployment, TargetState
from release.records.events import C, Undoing, Upgrade
from release.values import Struct, field

Status = Literal["started", "healthy", "restored", "failed", "mixed"]


class AttemptEvents(Struct, frozen=True, kw_only=True):
    """Makes and records the events of one deployment."""

    prepared: Prepared
    deployment: str
    message: str
    group: GroupDeployment | None = None
    """Group of services that are deployed together; None for a single service."""
    began: float = field(default_factory=time.monotonic)
    ends: list[dict[str, Any]] = field(default_factory=list)
    """Its end as JSON data, once it is recorded."""

    def start(self) -> Draft[Body]:
        """Return the event of the deployment's start."""
        return self.draft(self.event("started", ""))

    def event(self, status: Status, detail: str) -> Deployment:
        """Return an event of this deployment. `detail` describes the state of the target."""
        prepared, breaks = self.prepared, self.prepared.found.takeover.breaks
        return Deployment(
            deployment=self.deployment,
            environment=prepared.live.place.environment,
            release=prepared.target.id,
            digest=prepared.target.body.image.digest,
            run_spec=prepared.spec,
            previous=prepared.previous.deployment.deployment if prepared.previous is not None else None,
            reason=prepared.request.reason,
            message=prepared.mask(self.message),
            status=status,
            targets=self._targets(status, detail),
            duration_ms=elapsed_ms(self.began) if status != "started" else None,
            took_lock_from=str(breaks) if breaks is not None else None,
            down=self._undoing if status == "started" else None,
            up=self._upgrade if status == "started" else None,
            group=self.group,
        )

    def draft(self, body: Body) -> Draft[Body]:
        """Return a record with the current time."""
        return recording.draft(self.prepared.live, self.deployment, body)

    @property
    def _undoing(self) -> Undoing | None:
        return self.prepared.down.change if self.prepared.down is not None else None

    @property
    def _upgrade(self) -> Upgrade | None:
        return self.prepared.up.change if self.prepared.up is not None else None

    def _targets(self, status: Status, detail: str) -> tuple[TargetState, ...]:
        """Return the state of the target, and the digest that is proven to run there."""
        if status == "started":
            return ()
        before, prepared = self.prepared.event, self.prepared
        proven = {
            "healthy": prepared.target.body.image.digest,
            "restored": before.deployment.digest if before is not None else None,
        }
        return (
            TargetState(
                name=prepared.live.target.name,
                status="failed" if status == "mixed" else status,
                digest=proven.get(status),
                detail=detail,
            ),
        )

    def end(self, status: Status, detail: str) -> Draft[Body]:
        """Return the event of the deployment's end; it says whether migrations ran, were undone or failed."""
        live = self.prepared.live
        down = migration_containers.own_outcome(live, self.deployment, self._undoing)
        ran = migration_containers.own_outcome(live, self.deployment, self._upgrade)
        up = migration_containers.at_the_end(ran, self._upgrade, status)
        return self.draft(self.event(status, detail).model_copy(update={"down": down, "up": up}))

    def tidy(self, status: Status, record: dict[str, Any]) -> None:
        """Store the recorded end, and remove the container of a migration command if it is not needed."""
        live = self.prepared.live
        self.ends.append(record)
        if status == "healthy" and live.workspace.service.migrations is not None:
            migration_containers.remove_ended(live)
        elif (self._undoing or self._upgrade) is not None and record["id"] is not None:
            migration_containers.remove_ended(live, self.deployment)

    def record(self, status: Status, drafts: Sequence[Draft[Body]]) -> list[dict[str, Any]]:
        """Add events in one append; return each as JSON data.

        A deployment whose start cannot be recorded does not start; a rollback does.
        A rollback's start is only kept in this clone: its end publishes it, so that it waits for no server.
        """
        live, required = self.prepared.live, self._is_required(status)
        publish = self.prepared.answers and (status != "started" or required)
        try:
            records = live.workspace.ledger.append_events(drafts, publish=publish, keep=not required)
        except Exception as error:
            if required:
                raise self._not_begun(error) from error
            missing = f"the event {status!r}"
            live.workspace.emit(Warned(text=self.prepared.mask(recording.unrecorded(missing, error))))
            return [recording.event_json(draft, None) for draft in drafts]
        if records is None and status != "started":
            text = (
                "the git remote does not answer: the events wait in this clone. Run `invoke sync` when the "
                "remote answers"
            )
            live.workspace.emit(Warned(text=text))
        known = records if records is not None else [None] * len(drafts)
        return [recording.event_json(draft, one) for draft, one in zip(drafts, known, strict=True)]

    def _is_required(self, status: Status) -> bool:
        """Return whether the deployment must not go on if this event cannot be recorded."""
        return status == "started" and self.prepared.request.reason == "promote"

    def _not_begun(self, error: Exception) -> Exception:
        """Return the error of a deployment whose start could not be recorded."""
        place = self.prepared.live.place
        untouched = f"{place} was not changed"
        if isinstance(error, LedgerError):
            error.hint = "; ".join(filter(None, [error.hint, untouched]))
            return error
        attempted = f"record that the deployment to {place} starts"
        return LedgerError(attempted, recording.error_text(error), untouched)

    def interrupted_end(self) -> list[Draft[Body]]:
        """Return the end of an interrupted deployment, because this one takes its place."""
        left = self.prepared.observation.unfinished
        if left is None or self._has_ended(left):
            return []
        live = self.prepared.live
        detail = f"it was interrupted; the deployment {self.deployment} replaces it"
        down, up = self._changed_by(left, left.started.down), self._changed_by(left, left.started.up)
        end = left.ended("failed", live.target.name, None, detail, "", down, up)
        return lock_claim.endings(left, left.start(live.workspace), self.draft(end))

    def _has_ended(self, left: Unfinished) -> bool:
        """Return whether its end was recorded since the ledger was read."""
        if self.prepared.answers:
            self.prepared.live.workspace.refresh()
        return journal.ended(self.prepared.live, left.started.deployment)

    def _changed_by(self, left: Unfinished, planned: C | None) -> C | None:
        """Return the interrupted deployment's change of the data."""
        if planned is None:
            return None
        containers = migration_containers.find_own(self.prepared.live)
        locked = self.prepared.observation.holder is not None
        return migration_containers.outcome(containers, left.started.deployment, planned, locked=locked)


class End(Struct, frozen=True, kw_only=True):
    """End of a deployment, before it is recorded."""

    events: AttemptEvents
    status: Status
    detail: str
    more: tuple[Body, ...] = ()
    """Records that follow from the end."""

    def drafts(self) -> list[Draft[Body]]:
        """Return the records of the end, the event first."""
        return [self.events.end(self.status, self.detail), *map(self.events.draft, self.more)]


def record_ends(ends: Sequence[End]) -> list[dict[str, Any]]:
    """Record the ends of deployments in one append; return each as JSON data."""
    drafts = [each.drafts() for each in ends]
    recorded = ends[0].events.record(ends[0].status, [one for each in drafts for one in each])
    firsts = accumulate((len(each) for each in drafts[:-1]), initial=0)
    records = [recorded[first] for first in firsts]
    for each, record in zip(ends, records, strict=True):
        each.events.tidy(each.status, record)
    return records
