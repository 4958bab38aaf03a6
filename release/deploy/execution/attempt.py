"""One deployment under the lock: begin, migrate, replace and verify; then commit, or report the failure.

The target restores what ran before if the new release does not prove healthy: see `Rollouts.roll_out`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

from release.deploy.core.rollout import RolloutContext
from release.deploy.core.steps import reason
from release.deploy.execution import hooks, recording, run_migration
from release.deploy.execution.attempt_events import AttemptEvents, End, Status, record_ends
from release.deploy.execution.handover import replace_adopted
from release.deploy.execution.hooks import HookSubject
from release.deploy.execution.rollout_request import rollout_request
from release.deploy.planning import data_changes, downgrade_command, policy, preflight
from release.errors import DeploymentFailed, LockHeld, MixedState, NotMigrated, ReleaseError, Restored
from release.records import Body, Draft
from release.values import Struct


class Done(Struct, frozen=True, kw_only=True):
    """The healthy end of a deployment."""

    evidence: str
    record: dict[str, Any]
    """Event as JSON data, with the id of its record: None while it waits to be published."""


def run_attempt(events: AttemptEvents, started: Draft[Body], context: RolloutContext) -> Done:
    """Carry out a deployment, and record its end, however it ends.

    A rollback does not wait until its start is recorded, because the lock stores the start.

    Raises:
        NotMigrated: the end is recorded as healthy, with the command that did not succeed.
        ReleaseError: the end is recorded as failed, restored or mixed.
    """
    opening = [*events.interrupted_end(), started]
    recorded = _begin(events, opening)
    _recheck(events, context, [] if recorded else opening)
    try:
        with nullcontext() if recorded else _recording(events, opening):
            evidence = _replace(events, context)
    except ReleaseError as error:
        _report(events, error)
        raise
    failed = migrate_after(events, context, evidence)
    done = _commit(events, evidence if failed is None else failed.found)
    if failed is not None:
        raise failed
    return done


def _begin(events: AttemptEvents, opening: list[Draft[Body]]) -> bool:
    """Record the start of a promotion; return whether it was recorded."""
    is_promotion = events.prepared.request.reason == "promote"
    if is_promotion:
        events.record("started", opening)
    return is_promotion


@contextmanager
def _recording(events: AttemptEvents, opening: list[Draft[Body]]) -> Iterator[None]:
    """Record the start of a rollback while the block runs, and wait for it at the block's end."""
    thread = threading.Thread(target=events.record, args=("started", opening))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _recheck(events: AttemptEvents, context: RolloutContext, unrecorded: list[Draft[Body]]) -> None:
    """Refuse a plan that a quarantine, a freeze or an undone migration has overtaken, and record the end.

    Raises NotReady, TargetUnavailable, LockHeld: nothing was changed.
    """
    prepared = events.prepared
    try:
        if unrecorded:
            prepared.live.workspace.ledger.look_again()
        refuse_changed(events, context)
    except ReleaseError as error:
        detail = prepared.mask(_detail(error, "nothing was changed"))
        events.record("failed", [*unrecorded, events.draft(events.event("failed", detail))])
        raise


def refuse_changed(events: AttemptEvents, context: RolloutContext) -> None:
    """Refuse a plan that a quarantine, a freeze, an undone migration or a lost lock has overtaken.

    Raises NotReady, TargetUnavailable, LockHeld: nothing was changed.
    """
    _refuse_by_policy(events)
    _refuse_undone(events)
    context.still_mine()


def _refuse_by_policy(events: AttemptEvents) -> None:
    prepared, request = events.prepared, events.prepared.request
    live, allowed = prepared.live, request.allowed
    state = policy.read_policy(live.workspace.ledger, live.place, request.target.id)
    barred = policy.quarantine_problems(state, live.place, request.target, allowed)
    frozen = policy.freeze_problems(state, live.place, request.reason, allowed)
    preflight.refuse(prepared.attempted, prepared.bytes, frozen, None, barred=barred)


def _refuse_undone(events: AttemptEvents) -> None:
    prepared = events.prepared
    if prepared.down is not None:
        before, answers = prepared.found.migrations.earlier, prepared.answers
        downgrade_command.ensure(
            prepared.live, prepared.observation, events.deployment, before, answers=answers
        )


def _replace(events: AttemptEvents, context: RolloutContext) -> str:
    """Change the data if the plan says so, then make the release run; return the evidence that it serves."""
    prepared, live = events.prepared, events.prepared.live
    request = rollout_request(prepared, events.deployment)
    record = recording.event_json(events.start(), None)
    hooks.run_before(HookSubject.of(prepared), record, context)
    with ExitStack() as stack:
        for command in prepared.data_commands:
            if command.runs_after:
                continue
            run_migration.run(live, command, events.deployment, context)
            stack.enter_context(data_changes.data_first(command.change))
            context.still_mine()
        return replace_adopted(
            live,
            prepared.previous,
            context,
            prepared.attempted,
            lambda: live.target.rollouts.roll_out(request, context),
        )


def migrate_after(events: AttemptEvents, context: RolloutContext, evidence: str) -> NotMigrated | None:
    """Run the command that migrates the data for the release that serves now; the error if it fails."""
    prepared = events.prepared
    command = prepared.up
    if command is None or not command.runs_after:
        return None
    try:
        context.still_mine()
        run_migration.run(prepared.live, command, events.deployment, context)
    except ReleaseError as error:
        runs = f"{prepared.request.version} runs and was verified healthy ({evidence})"
        found = f"{runs}; the data is not migrated, or only in part: {reason(error)}"
        tail = error.tail if isinstance(error, DeploymentFailed) else ()
        return NotMigrated(
            prepared.attempted, context.mask(found), context.mask(data_changes.RUN_AGAIN), tail
        )
    return None


def _commit(events: AttemptEvents, evidence: str) -> Done:
    """Record the healthy end, with the quarantine and the freeze that follow from it."""
    return Done(evidence=evidence, record=record_ends([healthy_end(events, evidence)])[0])


def healthy_end(events: AttemptEvents, evidence: str) -> End:
    """Return the healthy end, with the quarantine and the freeze that follow from it."""
    prepared = events.prepared
    more = prepared.aftermath.bodies(events.deployment, prepared.mask(events.message))
    return End(events=events, status="healthy", detail=evidence, more=tuple(more))


def _report(events: AttemptEvents, error: ReleaseError) -> None:
    """Record the end of a deployment that failed."""
    record_ends([failed_end(events, error)])


def failed_end(events: AttemptEvents, error: ReleaseError) -> End:
    """Return the end of a deployment that failed."""
    untouched = "what runs was not changed" if events.prepared.data_commands else "nothing was changed"
    detail = events.prepared.mask(_detail(error, untouched))
    return End(events=events, status=_status(error), detail=detail)


def _status(error: ReleaseError) -> Status:
    if isinstance(error, MixedState):
        return "mixed"
    return "restored" if isinstance(error, Restored) else "failed"


def _detail(error: ReleaseError, untouched: str) -> str:
    """Return the reason for the record. Errors of a rollout say what was changed; others came before it."""
    if isinstance(error, DeploymentFailed | LockHeld):
        return reason(error)
    return f"{reason(error)}; {untouched}"
