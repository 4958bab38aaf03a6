"""A deployment or a rollback from its plan to the record: what was shown is done, or no longer holds."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Callable
from typing import Any

from release.deploy.core import lock
from release.deploy.core.lock import Holder
from release.deploy.core.lock_store import LockStore
from release.deploy.core.place import DEPLOYMENT
from release.deploy.core.rollout import RolloutContext
from release.deploy.core.steps import step
from release.deploy.environment import journal
from release.deploy.execution.after_deployment import after_the_end
from release.deploy.execution.attempt import run_attempt
from release.deploy.execution.attempt_events import AttemptEvents
from release.deploy.execution.hooks import HookSubject
from release.deploy.execution.locking import ensure_unchanged, locked, make_holder
from release.deploy.execution.rollout_request import rollout_request
from release.deploy.planning.plan import Plan
from release.deploy.planning.prepare import Prepared
from release.errors import DeploymentFailed, ReleaseError
from release.programs.interruption import Interruption
from release.records import Body, Draft
from release.values import Struct, replace


class Outcome(Struct, frozen=True, kw_only=True):
    """Healthy end of a new deployment, or of one that already ran as asked."""

    plan: Plan
    repository: str
    deployment: str
    evidence: str
    changed: bool
    abandons: bool
    """True if the release that ran before is quarantined now."""
    record: dict[str, Any]
    """Healthy event as JSON data, with its record's id: None while unsynced."""


def carry_out(prepared: Prepared, *, message: str, interruption: Interruption) -> Outcome:
    """Carry out a plan and record the deployment.

    Raises:
        DeploymentFailed, Restored, MixedState: see `Rollouts.roll_out`.
        LockHeld: another deployment was faster.
        LedgerError: the start of a promotion cannot be recorded.
        RegistryError, TargetUnavailable, EngineError: nothing was changed.
    """
    if prepared.plan.strategy == "verify":
        return verify_running(prepared, interruption)
    prepared = fetched(prepared)
    live, events = prepared.live, _new_attempt(prepared, message)
    started, store = (
        events.start(),
        live.target.lock_store(live.target.images.id_of(prepared.target.body.image)),
    )
    holder = _holder(events, store, started)
    context = rollout_context(prepared, interruption, lambda: lock.ensure_held(store, live.place, holder))
    try:
        with interruption.held(), locked(prepared, store, holder):
            ensure_unchanged(live, prepared.containers, prepared.attempted, stopped=False)
            done = run_attempt(events, started, context)
            interruption.too_late = True
    except ReleaseError:
        after_the_end(HookSubject.of(prepared), "failure", events.ends, interruption)
        raise
    after_the_end(HookSubject.of(prepared), "after", events.ends, interruption)
    return outcome_of(prepared, events.deployment, done.evidence, changed=True, record=done.record)


def fetched(prepared: Prepared) -> Prepared:
    """Fetch the image, and store the start of an interrupted deployment before its lock is taken over."""
    live, publish = prepared.live, prepared.answers and prepared.request.reason == "promote"
    live.target.images.fetch(prepared.target.body, prepared.spec, prepared.bytes, live.workspace.emit)
    left = journal.store_start(live, prepared.observation.unfinished, publish=publish)
    observation = replace(prepared.observation, unfinished=left)
    return replace(prepared, found=replace(prepared.found, observation=observation))


def _new_attempt(prepared: Prepared, message: str) -> AttemptEvents:
    return AttemptEvents(prepared=prepared, deployment=randomness.token_hex(6), message=message)


def _holder(events: AttemptEvents, store: LockStore, started: Draft[Body]) -> Holder:
    """Return the lock's holder. The lock's time covers the deployment and its restoration."""
    name = events.deployment
    longest = longest_ms(events.prepared)
    return make_holder(events.prepared.live, store, started, run=name, deployment=name, longest=longest)


def longest_ms(prepared: Prepared) -> int:
    """Return the milliseconds that a deployment and its restoration may take."""
    live = prepared.live
    patience = live.target.rollouts.patience(prepared.spec, live.settings.longest_health_timeout)
    old = prepared.event.deployment.run_spec if prepared.event is not None else prepared.spec
    grace = max(live.settings.stop_grace, sum(each.stop_grace for each in old.every.values()))
    return 2 * (patience + grace) + sum(command.timeout for command in prepared.data_commands)


def rollout_context(
    prepared: Prepared, interruption: Interruption, still_mine: Callable[[], None] = lambda: None
) -> RolloutContext:
    """Return the context of the rollout of a plan."""
    return RolloutContext(
        emit=prepared.live.workspace.emit,
        cancellation=interruption.cancellation,
        mask=prepared.mask,
        still_mine=still_mine,
    )


def verify_running(prepared: Prepared, interruption: Interruption) -> Outcome:
    """Verify the running deployment. Nothing is changed or recorded."""
    live, container = prepared.live, prepared.containers.running[0]
    deployment = container.labels[DEPLOYMENT]
    request, context = rollout_request(prepared, deployment), rollout_context(prepared, interruption)
    try:
        with step(live.workspace.emit, "verify") as report:
            report(evidence := live.target.rollouts.verify(request, context))
    except DeploymentFailed as error:
        raise DeploymentFailed(error.attempted, error.found, _replace_hint(prepared), error.tail) from error
    return outcome_of(prepared, deployment, evidence, changed=False, record=_known(prepared))


def _replace_hint(prepared: Prepared) -> str:
    """Return what to do if the running deployment does not serve."""
    verb = "rollback" if prepared.request.reason == "rollback" else "deploy"
    command = prepared.live.place.command(f"{verb} --to {prepared.request.version} --again")
    return f"nothing was changed; to replace it although it runs as asked: `{command}`"


def _known(prepared: Prepared) -> dict[str, Any]:
    """Return the recorded event of the running deployment."""
    event = prepared.event
    assert event is not None  # noqa: S101 - only a deployment that the ledger knows is merely verified
    if event.record is None:
        return {"id": None, **event.deployment.model_dump(mode="json", exclude_none=True)}
    return {"id": event.record, **prepared.live.workspace.ledger.record(event.record).to_json()}


def outcome_of(
    prepared: Prepared, deployment: str, evidence: str, *, changed: bool, record: dict[str, Any]
) -> Outcome:
    """Return the healthy end of a plan."""
    return Outcome(
        plan=prepared.plan,
        repository=prepared.target.body.image.repository,
        deployment=deployment,
        evidence=evidence,
        changed=changed,
        abandons=changed and prepared.aftermath.abandoned is not None,
        record=record,
    )
