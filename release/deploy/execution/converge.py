"""Finish or revert a deployment that ended in the middle, and record its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from release.capped import brief
from release.deploy.core import lock
from release.deploy.core.lock import Holder
from release.deploy.core.lock_store import LockStore
from release.deploy.core.rollout import RolloutContext
from release.deploy.core.steps import reason
from release.deploy.environment import claim, identify, journal
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.journal import End
from release.deploy.environment.observe import running_event
from release.deploy.execution import recording
from release.deploy.execution.interrupted import InterruptedDeployment, refuse_busy
from release.deploy.execution.locking import ensure_unchanged, make_holder
from release.deploy.planning import migration_containers, policy, undone
from release.errors import DeploymentFailed, EngineError, LockHeld, MixedState, Restored
from release.events import Warned
from release.interruption import Interruption
from release.ledger.query import Event
from release.records import Body, Deployment, Draft
from release.records.events import DataChange
from release.redact import Mask
from release.values import Struct, replace


class Converged(Struct, frozen=True, kw_only=True):
    """End of an interrupted deployment."""

    end: End
    evidence: str
    record: dict[str, Any]


def carry_out(
    interrupted: InterruptedDeployment, *, message: str, answers: bool, interruption: Interruption
) -> Converged:
    """Finish or revert it, and record how the deployment ended.

    Raises:
        Restored: finishing was asked for and failed, and what ran before runs again.
        MixedState: neither succeeded; the message lists what is where.
        LockHeld: another operator was faster.
        UsageError: this way is not open any more, or not yet; nothing was changed.
    """
    live = interrupted.live
    refuse_busy(interrupted.title, interrupted.busy)
    _refuse_objections(interrupted)
    kept = journal.keep(live, interrupted.unfinished, publish=answers) or interrupted.unfinished
    interrupted = replace(interrupted, unfinished=kept)
    store = live.target.lock_store(live.target.images.id_of(interrupted.release.body.image))
    holder = _holder(interrupted, store)
    context = _context(interrupted, interruption, store, holder)
    with interruption.held(), _locked(interrupted, store, holder):
        ensure_unchanged(live, interrupted.observation.ours, interrupted.title, stopped=True)
        _ensure_not_ended(interrupted, answers=answers)
        done = _Ending(interrupted=interrupted, context=context, message=message, answers=answers).run()
        interruption.too_late = True
    return done


def _refuse_objections(interrupted: InterruptedDeployment) -> None:
    live = interrupted.live
    objection = live.target.rollouts.objection(interrupted.request, interrupted.way)
    if interrupted.way == "finish":
        objection = claim.objection(live, interrupted.unfinished, interrupted.observation.ours) or objection
    if objection is not None:
        raise objection


def _locked(
    interrupted: InterruptedDeployment, store: LockStore, holder: Holder
) -> AbstractContextManager[None]:
    live, left = interrupted.live, interrupted.observation.holder
    return lock.held(store, live.place, holder, live.workspace.emit, breaking=left, task="converge")


def _context(
    interrupted: InterruptedDeployment, interruption: Interruption, store: LockStore, holder: Holder
) -> RolloutContext:
    return RolloutContext(
        emit=interrupted.live.workspace.emit,
        cancellation=interruption.cancellation,
        mask=Mask(interrupted.secrets),
        still_mine=lambda: lock.ensure(store, interrupted.live.place, holder),
    )


def _holder(interrupted: InterruptedDeployment, store: LockStore) -> Holder:
    live, unfinished = interrupted.live, interrupted.unfinished
    spec = claim.settings(live, unfinished, interrupted.release)
    return make_holder(
        live,
        store,
        unfinished.draft,
        run="converge",
        deployment=unfinished.started.deployment,
        longest=2 * live.target.rollouts.patience(spec, live.settings.longest_health_timeout),
    )


def _ensure_not_ended(interrupted: InterruptedDeployment, *, answers: bool) -> None:
    """Check under the lock that its end was not recorded since the ledger was read. Raises LockHeld."""
    live = interrupted.live
    if answers:
        live.workspace.refresh()
    if journal.ended(live, interrupted.unfinished.started.deployment):
        raise LockHeld(
            interrupted.title,
            "another command ended the deployment first; nothing was changed",
            f"`{live.place.command('status')}` shows what runs",
        )


class _Ending(Struct, frozen=True, kw_only=True):
    """The end of a deployment that another process began."""

    interrupted: InterruptedDeployment
    context: RolloutContext
    message: str
    answers: bool

    def run(self) -> Converged:
        interrupted = self.interrupted
        rollouts, request = interrupted.live.target.rollouts, interrupted.request
        try:
            if interrupted.way == "finish":
                return self._recorded("healthy", rollouts.resume(request, self.context))
            return self._recorded("restored", rollouts.retract(request, self.context))
        except MixedState as error:
            self._recorded("mixed", reason(error))
            raise self._with_data(error) from error
        except Restored as error:
            done = self._recorded("restored", reason(error))
            if interrupted.asked:
                raise self._with_data(error) from error
            return done
        except DeploymentFailed as error:
            done = self._recorded("failed", reason(error))
            if interrupted.way == "revert":
                return done
            raise self._with_data(error) from error

    def _with_data(self, error: DeploymentFailed) -> DeploymentFailed:
        """Return the error with what happened to the data before it."""
        for change in self.interrupted.changes:
            error = undone.with_data(error, change)
        return error

    def _recorded(self, end: End, evidence: str) -> Converged:
        """Append what the ledger lacks, with what follows from a healthy end."""
        interrupted, live = self.interrupted, self.interrupted.live
        for known in interrupted.changes:
            evidence = f"{undone.fact(known)}; then: {evidence}"
        evidence = self.context.mask(evidence)
        body = self._ended(end, evidence)
        start = interrupted.unfinished.start(live.workspace)
        ends = claim.endings(interrupted.unfinished, start, self._draft(body))
        drafts = [*ends, *map(self._draft, self._consequences(end))]
        missing = f"the event {end!r}"
        records = recording.append_or_warn(
            live, drafts, missing, publish=self.answers, mask=self.context.mask
        )
        ended = next((each for each in records if each.body == body), None)
        changes: tuple[DataChange | None, ...] = (body.down, body.up)
        for change in changes:
            if change is not None:
                self._about_data(end, change, is_known=ended is not None)
        return Converged(end=end, evidence=evidence, record=recording.event_json(self._draft(body), ended))

    def _ended(self, end: End, evidence: str) -> Deployment:
        interrupted, target = self.interrupted, self.interrupted.live.target
        up = migration_containers.at_the_end(interrupted.up, interrupted.unfinished.started.up, end)
        proven = _proven(interrupted, end)
        body = interrupted.unfinished.ended(
            end, target.name, proven, evidence, self._message(), interrupted.down, up
        )
        if interrupted.breaks is None:
            return body
        return body.model_copy(update={"took_lock_from": brief(str(interrupted.breaks))})

    def _about_data(self, end: End, change: DataChange, *, is_known: bool) -> None:
        """Warn of what to do; if the ledger has the result, remove the container of the command."""
        interrupted = self.interrupted
        if end == "healthy":
            migration_containers.remove_ended(interrupted.live)
            if not undone.runs_after(change) or change.status == "done":
                return
        interrupted.live.workspace.emit(Warned(text=f"{undone.fact(change)}: {undone.remedy(change)}"))
        if is_known and end != "healthy":
            migration_containers.remove_ended(interrupted.live, interrupted.unfinished.started.deployment)

    def _message(self) -> str:
        done, why = (
            "finished" if self.interrupted.way == "finish" else "reverted",
            self.context.mask(self.message),
        )
        return f"{done} by `invoke converge`" + (f": {why}" if why else "")

    def _consequences(self, end: End) -> Iterator[Body]:
        """Return the quarantine and the freeze of a rollback, as if it had ended by itself."""
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
