"""Finish or revert a deployment that ended in the middle, and record its end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from release.deploy.core import lock
from release.deploy.core.lock import Holder
from release.deploy.core.lock_store import LockStore
from release.deploy.core.rollout import RolloutContext
from release.deploy.environment import journal, lock_claim
from release.deploy.execution.after_deployment import after_the_end
from release.deploy.execution.end_interrupted import ConvergeResult, Ending, end_all
from release.deploy.execution.hooks import HookSubject
from release.deploy.execution.interrupted import InterruptedDeployment, refuse_busy
from release.deploy.execution.locking import ensure_unchanged, make_holder
from release.errors import LockHeld
from release.programs.interruption import Interruption
from release.secrets.redact import Mask
from release.values import replace


def carry_out(
    every: Sequence[InterruptedDeployment], *, message: str, answers: bool, interruption: Interruption
) -> list[ConvergeResult]:
    """Finish or revert the deployment and record its end; return the end of each service.

    Args:
        every: one deployment, or those of a group of services, with one way.
        message: reason, for the record.
        answers: whether the ledger's remote answers.
        interruption: stops the work.

    Raises:
        Restored: finishing failed, and the previous release runs again.
        MixedState: finishing and restoration failed; the message lists all instances.
        LockHeld: another operator was faster.
        UsageError: this way is not possible now; nothing was changed.
    """
    for each in every:
        refuse_busy(each.title, each.busy)
        _refuse_objections(each)
    kept = [_kept(each, publish=answers) for each in every]
    with interruption.held(), ExitStack() as stack:
        contexts: dict[str, RolloutContext] = {}
        for each in sorted(kept, key=lambda one: one.live.place.service):
            contexts[each.live.place.service] = _locked(each, stack, interruption)
        for each in kept:
            ensure_unchanged(each.live, each.observation.ours, each.title, stopped=True)
            _ensure_not_ended(each, answers=answers)
        endings = [
            Ending(interrupted=each, context=contexts[each.live.place.service], message=message)
            for each in kept
        ]
        done, error = end_all(endings, answers=answers)
        interruption.too_late = True
    for one, end in zip(kept, done, strict=True):
        when = "after" if end.end == "healthy" else "failure"
        after_the_end(_subject(one), when, [end.record], interruption)
    if error is not None:
        raise error
    return done


def _subject(interrupted: InterruptedDeployment) -> HookSubject:
    """Return the deployment as hooks and webhooks see it."""
    before = interrupted.live.release_of(interrupted.before)
    return HookSubject(
        live=interrupted.live,
        attempted=interrupted.title,
        reason=interrupted.unfinished.started.reason,
        release=interrupted.release.body,
        previous_version=before.body.version if before is not None else None,
        previous_commit=before.body.source.commit if before is not None else None,
        hidden=interrupted.secrets,
    )


def _kept(interrupted: InterruptedDeployment, *, publish: bool) -> InterruptedDeployment:
    kept = journal.store_start(interrupted.live, interrupted.unfinished, publish=publish)
    return replace(interrupted, unfinished=kept or interrupted.unfinished)


def _refuse_objections(interrupted: InterruptedDeployment) -> None:
    live = interrupted.live
    objection = live.target.rollouts.objection(interrupted.request, interrupted.way)
    if interrupted.way == "finish":
        objection = (
            lock_claim.objection(live, interrupted.unfinished, interrupted.observation.ours) or objection
        )
    if objection is not None:
        raise objection


def _locked(
    interrupted: InterruptedDeployment, stack: ExitStack, interruption: Interruption
) -> RolloutContext:
    """Take the lock until the stack ends; return the context of the service. Raises LockHeld."""
    live, left = interrupted.live, interrupted.observation.holder
    store = live.target.lock_store(live.target.images.id_of(interrupted.release.body.image))
    holder = _holder(interrupted, store)
    emit = live.workspace.emit
    stack.enter_context(lock.hold_lock(store, live.place, holder, emit, breaking=left, task="converge"))
    return _context(interrupted, interruption, store, holder)


def _context(
    interrupted: InterruptedDeployment, interruption: Interruption, store: LockStore, holder: Holder
) -> RolloutContext:
    return RolloutContext(
        emit=interrupted.live.workspace.emit,
        cancellation=interruption.cancellation,
        mask=Mask(interrupted.secrets),
        still_mine=lambda: lock.ensure_held(store, interrupted.live.place, holder),
    )


def _holder(interrupted: InterruptedDeployment, store: LockStore) -> Holder:
    live, unfinished = interrupted.live, interrupted.unfinished
    spec = lock_claim.settings(live, unfinished, interrupted.release)
    return make_holder(
        live,
        store,
        unfinished.draft,
        run="converge",
        deployment=unfinished.started.deployment,
        longest=2 * live.target.rollouts.patience(spec, live.settings.longest_health_timeout),
    )


def _ensure_not_ended(interrupted: InterruptedDeployment, *, answers: bool) -> None:
    """Raise LockHeld if the end was recorded since the ledger was read. Call it under the lock."""
    live = interrupted.live
    if answers:
        live.workspace.refresh()
    if journal.ended(live, interrupted.unfinished.started.deployment):
        raise LockHeld(
            interrupted.title,
            "another command ended the deployment first; nothing was changed",
            f"`{live.place.command('status')}` shows what runs",
        )
