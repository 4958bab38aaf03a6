"""The end of an interrupted deployment: what ran is finished or put back, and the end is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from release.capped import shorten_for_record
from release.deploy.core.place import Place
from release.deploy.core.rollout import RolloutContext
from release.deploy.core.steps import reason
from release.deploy.environment import identify, lock_claim
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.journal import End
from release.deploy.environment.observe import running_event
from release.deploy.execution import recording
from release.deploy.execution.group_rollout import Part, ServiceEnd, run_together, worst
from release.deploy.execution.handover import replace_adopted, restore_adopted
from release.deploy.execution.interrupted import InterruptedDeployment
from release.deploy.planning import data_changes, migration_containers, policy
from release.errors import DeploymentFailed, EngineError, MixedState, Restored
from release.events import Warned
from release.ledger.query import Event
from release.records import Body, Deployment, Draft, Record
from release.records.events import DataChange
from release.values import Struct


class ConvergeResult(Struct, frozen=True, kw_only=True):
    """End of an interrupted deployment."""

    place: Place
    end: End
    evidence: str
    record: dict[str, Any]


def end_all(
    endings: Sequence[Ending], *, answers: bool
) -> tuple[list[ConvergeResult], DeploymentFailed | None]:
    """Finish or revert the deployments, and record all ends in one append.

    Returns:
        The end of each, and the worst error if not all ended as wanted.
    """
    ran = _finished(endings) if endings[0].interrupted.way == "finish" else _reverted(endings)
    outcomes = [ending.outcome(end) for ending, end in zip(endings, ran, strict=True)]
    bodies = [ending.body(end) for ending, end in zip(endings, outcomes, strict=True)]
    drafts = [ending.drafts(body) for ending, body in zip(endings, bodies, strict=True)]
    first = endings[0]
    records = recording.append_or_warn(
        first.interrupted.live,
        [draft for each in drafts for draft in each],
        f"the event {outcomes[0].end!r}",
        publish=answers,
        mask=first.context.mask,
    )
    known = {record.envelope.service: record for record in records if record.body in bodies}
    done = [
        ending.tell(end, body, known.get(ending.place.service))
        for ending, end, body in zip(endings, outcomes, bodies, strict=True)
    ]
    wrong = [outcome.raised for outcome in outcomes if outcome.raised is not None]
    if len(wrong) < 1 or len(endings) == 1:
        return done, next(iter(wrong), None)
    ends = [
        ServiceEnd(place=each.place, error=end.raised) for each, end in zip(endings, outcomes, strict=True)
    ]
    return done, worst(f"{first.interrupted.way} {first.interrupted.unfinished}", ends)


def _finished(endings: Sequence[Ending]) -> list[ServiceEnd]:
    parts = [
        Part(
            place=each.place,
            attempted=each.interrupted.title,
            act=each.finish,
            context=each.context,
        )
        for each in endings
    ]
    return run_together(parts)


def _reverted(endings: Sequence[Ending]) -> list[ServiceEnd]:
    """Restore the previous releases, last service first; return the ends in the order of services."""
    return [_retracted(each) for each in reversed(endings)][::-1]


def _retracted(ending: Ending) -> ServiceEnd:
    interrupted = ending.interrupted
    try:
        evidence = restore_adopted(
            interrupted.live,
            interrupted.before,
            ending.context,
            interrupted.title,
            lambda: interrupted.live.target.rollouts.retract(interrupted.request, ending.context),
        )
    except DeploymentFailed as error:
        return ServiceEnd(place=ending.place, error=error)
    return ServiceEnd(place=ending.place, evidence=evidence)


class _Outcome(Struct, frozen=True, kw_only=True):
    """End of one service, before it is recorded."""

    end: End
    evidence: str
    raised: DeploymentFailed | None = None


class Ending(Struct, frozen=True, kw_only=True):
    """The end of a deployment that another process began."""

    interrupted: InterruptedDeployment
    context: RolloutContext
    message: str

    @property
    def place(self) -> Place:
        """Return the place of the deployment."""
        return self.interrupted.live.place

    def finish(self, context: RolloutContext) -> str:
        """Complete the rollout; return the evidence that the release serves. See `Rollouts.resume`."""
        each = self.interrupted
        return replace_adopted(
            each.live,
            each.before,
            context,
            each.title,
            lambda: each.live.target.rollouts.resume(each.request, context),
        )

    def outcome(self, end: ServiceEnd) -> _Outcome:
        """Return the end of the deployment, with the error to raise, if any."""
        interrupted, error = self.interrupted, end.error
        match error:
            case None:
                found: End = "healthy" if interrupted.way == "finish" else "restored"
                return self._outcome(found, end.evidence)
            case MixedState():
                return self._outcome("mixed", reason(error), self._with_data(error))
            case Restored():
                return self._outcome(
                    "restored", reason(error), self._with_data(error) if interrupted.asked else None
                )
            case DeploymentFailed():
                is_wanted = interrupted.way == "revert"
                return self._outcome("failed", reason(error), None if is_wanted else self._with_data(error))
            case _:
                raise error

    def _outcome(self, end: End, evidence: str, raised: DeploymentFailed | None = None) -> _Outcome:
        for change in self.interrupted.changes:
            evidence = f"{data_changes.data_change_text(change)}; then: {evidence}"
        return _Outcome(end=end, evidence=self.context.mask(evidence), raised=raised)

    def _with_data(self, error: DeploymentFailed) -> DeploymentFailed:
        """Return the error with what happened to the data before."""
        for change in self.interrupted.changes:
            error = data_changes.with_data(error, change)
        return error

    def drafts(self, body: Deployment) -> list[Draft[Body]]:
        """Return the records that the ledger lacks, with the consequences of a healthy end."""
        unfinished = self.interrupted.unfinished
        start = unfinished.start(self.interrupted.live.workspace)
        ends = lock_claim.endings(unfinished, start, self._draft(body))
        return [*ends, *map(self._draft, self._consequences(body.status))]

    def tell(self, outcome: _Outcome, body: Deployment, record: Record[Body] | None) -> ConvergeResult:
        """Warn of what happened to the data; return the end, with its record if the ledger has it."""
        changes: tuple[DataChange | None, ...] = (body.down, body.up)
        for change in changes:
            if change is not None:
                self._about_data(outcome.end, change, is_known=record is not None)
        data = recording.event_json(self._draft(body), record)
        return ConvergeResult(place=self.place, end=outcome.end, evidence=outcome.evidence, record=data)

    def body(self, outcome: _Outcome) -> Deployment:
        """Return the event of the end."""
        interrupted, target = self.interrupted, self.interrupted.live.target
        up = migration_containers.at_the_end(interrupted.up, interrupted.unfinished.started.up, outcome.end)
        proven = _proven(interrupted, outcome.end)
        body = interrupted.unfinished.ended(
            outcome.end,
            target.name,
            proven,
            outcome.evidence,
            self._message(),
            interrupted.down,
            up,
        )
        if interrupted.breaks is None:
            return body
        return body.model_copy(update={"took_lock_from": shorten_for_record(str(interrupted.breaks))})

    def _about_data(self, end: End, change: DataChange, *, is_known: bool) -> None:
        """Warn about the data. If the ledger has the result, remove the command's container."""
        interrupted = self.interrupted
        if end == "healthy":
            migration_containers.remove_ended(interrupted.live)
            if not data_changes.runs_after(change) or change.status == "done":
                return
        interrupted.live.workspace.emit(
            Warned(text=f"{data_changes.data_change_text(change)}: {data_changes.remedy(change)}")
        )
        if is_known and end != "healthy":
            with suppress(EngineError):  # a failure is no reason to keep the container
                deployment = interrupted.unfinished.started.deployment
                migration_containers.keep_output(interrupted.live, deployment, self.context.mask)
            migration_containers.remove_ended(interrupted.live, interrupted.unfinished.started.deployment)

    def _message(self) -> str:
        done, why = (
            "finished" if self.interrupted.way == "finish" else "reverted",
            self.context.mask(self.message),
        )
        return f"{done} by `invoke converge`" + (f": {why}" if why else "")

    def _consequences(self, end: str) -> Iterator[Body]:
        """Return the quarantine and the freeze of a rollback, as for an uninterrupted one."""
        if end != "healthy":
            return iter(())
        interrupted, live, started = (
            self.interrupted,
            self.interrupted.live,
            self.interrupted.unfinished.started,
        )
        if started.reason == "rollback" and started.previous is not None and interrupted.before is None:
            text = f"this clone's ledger lacks the deployment {started.previous}, which ran before"
            live.workspace.emit(
                Warned(text=f"{text}: its release is not quarantined; to do it: `invoke quarantine`")
            )
        state = policy.read_policy(live.workspace.ledger, live.place, interrupted.release.id)
        after = policy.aftermath(
            live.place,
            "rollback" if started.reason == "rollback" else "promote",
            interrupted.release,
            live.release_of(interrupted.before),
            state,
            freeze=live.settings.freeze_after_rollback,
        )
        return after.bodies(started.deployment, started.message or self._message())

    def _draft(self, body: Body) -> Draft[Body]:
        return recording.draft(self.interrupted.live, self.interrupted.unfinished.started.deployment, body)


def _proven(interrupted: InterruptedDeployment, end: End) -> str | None:
    """Return the digest that is proven to run after this end."""
    if end == "restored":
        runs = _runs(interrupted.live)
        return runs.deployment.digest if runs is not None else None
    return interrupted.unfinished.started.digest if end == "healthy" else None


def _runs(live: LiveEnvironment) -> Event | None:
    """Return the healthy deployment that was restored, if engine and ledger agree on one."""
    try:
        return running_event(live, identify.look(live))
    except EngineError:
        return None
