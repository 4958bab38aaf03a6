"""Services that are deployed together: all end healthy, or all run what they ran before.

Everything that can fail is asked for all services first. All locks are taken, always in the order of the
services' names. The data of all services is migrated before the first one is replaced. The events of all
are recorded in one append, so nobody reads half of it.
"""

from __future__ import annotations

import secrets as randomness
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from release.deploy.core import lock
from release.deploy.core.rollout import RolloutContext
from release.deploy.execution import group_rollout, hooks, newcomers, recording, run_migration
from release.deploy.execution.after_deployment import after_the_end
from release.deploy.execution.attempt import failed_end, healthy_end, migrate_after, refuse_changed
from release.deploy.execution.attempt_events import AttemptEvents, End, record_ends
from release.deploy.execution.deploy import (
    Outcome,
    fetched,
    longest_ms,
    outcome_of,
    rollout_context,
    verify_running,
)
from release.deploy.execution.group_rollout import Part, ServiceEnd
from release.deploy.execution.handover import replace_adopted
from release.deploy.execution.hooks import HookSubject
from release.deploy.execution.locking import ensure_unchanged, locked, make_holder
from release.deploy.execution.newcomers import Stopped
from release.deploy.execution.operate import Subject
from release.deploy.execution.rollout_request import rollout_request
from release.deploy.planning import data_changes
from release.deploy.planning.prepare import Prepared
from release.errors import MixedState, NotMigrated, ReleaseError
from release.programs.interruption import Interruption
from release.records import Body, Draft, GroupDeployment
from release.records.events import DataChange
from release.values import Struct, replace


class GroupPlan(Struct, frozen=True, kw_only=True):
    """Plans of services that are deployed together, in the order of replacement."""

    name: str | None
    """Name of the group; None if the services were named on the command line."""
    plans: tuple[Prepared, ...]
    stops: tuple[Subject, ...] = ()
    """Services that did not run at the time of the rollback; they are stopped after the others are proven."""

    @property
    def title(self) -> str:
        """Return the action as text: "deploy the group shop (api to 1.4.2, web to 0.3.0)"."""
        verb = "roll back" if self.plans[0].request.reason == "rollback" else "deploy"
        named = f"the group {self.name} " if self.name is not None else "together "
        each = (f"{one.live.place} to {one.request.version}" for one in self.plans)
        stops = (f"stop {one.live.place}" for one in self.stops)
        return f"{verb} {named}({', '.join([*each, *stops])})"


class GroupOutcome(Struct, frozen=True, kw_only=True):
    """The end of a deployment of several services."""

    outcomes: list[Outcome]
    """In the order of the plans."""
    stopped: list[Stopped]
    still_runs: MixedState | None
    """Error of a service that was to be stopped."""


def carry_out(plan: GroupPlan, *, message: str, interruption: Interruption) -> GroupOutcome:
    """Carry out the plans, stop the newcomers, and record the deployment.

    Raises:
        DeploymentFailed, Restored, MixedState: the worst end of a service; the message has all ends.
        LockHeld: another deployment was faster.
        LedgerError: the start of a promotion cannot be recorded.
        RegistryError, TargetUnavailable, EngineError: nothing was changed.
    """
    named = tuple(one.live.place.service for one in plan.plans)
    stops = tuple(one.live.place.service for one in plan.stops) or None
    group = GroupDeployment(id=randomness.token_hex(6), name=plan.name, services=named, stops=stops)
    members = [_member(one, group, message, interruption) for one in plan.plans]
    run = _Run(plan=plan, members=members, message=message, interruption=interruption)
    try:
        with interruption.held(), ExitStack() as stack:
            done = run.carry_out(run.locks(stack, group))
            interruption.too_late = True
    except ReleaseError:
        for each in run.changing:
            after_the_end(HookSubject.of(each.prepared), "failure", each.events.ends, interruption)
        raise
    for each in run.changing:
        after_the_end(HookSubject.of(each.prepared), "after", each.events.ends, interruption)
    if done.still_runs is not None:
        raise done.still_runs
    return done


class _Member(Struct, frozen=True, kw_only=True):
    """One service: its plan, and its events if it is replaced."""

    prepared: Prepared
    events: AttemptEvents
    started: Draft[Body]

    @property
    def service(self) -> str:
        return self.prepared.live.place.service

    @property
    def is_replaced(self) -> bool:
        return self.prepared.plan.strategy != "verify"

    @property
    def changes(self) -> list[DataChange]:
        """Return the changes of the data by commands before the rollout."""
        return [each.change for each in self.prepared.data_commands if not each.runs_after]


def _member(prepared: Prepared, group: GroupDeployment, message: str, interruption: Interruption) -> _Member:
    interruption.cancellation.check()
    ready = fetched(prepared) if prepared.plan.strategy != "verify" else prepared
    name = randomness.token_hex(6)
    events = AttemptEvents(prepared=ready, deployment=name, message=message, group=group)
    return _Member(prepared=ready, events=events, started=events.start())


class _Run(Struct, frozen=True, kw_only=True):
    """One deployment of several services."""

    plan: GroupPlan
    members: list[_Member]
    message: str
    interruption: Interruption

    @property
    def changing(self) -> list[_Member]:
        """Return the services with a rollout."""
        return [each for each in self.members if each.is_replaced]

    def locks(self, stack: ExitStack, group: GroupDeployment) -> dict[str, RolloutContext]:
        """Take all locks in the order of their names; return the context of each service.

        Raises LockHeld, RegistryError, EngineError: nothing was changed.
        """
        longest = sum(longest_ms(each.prepared) for each in self.changing)
        contexts: dict[str, RolloutContext] = {}
        for each in sorted(self.members, key=lambda one: one.service):
            live = each.prepared.live
            store = live.target.lock_store(live.target.images.id_of(each.prepared.target.body.image))
            name = each.events.deployment if each.is_replaced else group.id
            holder = make_holder(live, store, each.started, run=name, deployment=name, longest=longest)
            holder = holder if each.is_replaced else replace(holder, journal="")
            stack.enter_context(locked(each.prepared, store, holder))
            mine = partial(lock.ensure_held, store, live.place, holder)
            context = rollout_context(each.prepared, self.interruption, mine)
            contexts[each.service] = replace(context, emit=group_rollout.named(each.service, context.emit))
        for each in self.members:
            one = each.prepared
            ensure_unchanged(one.live, one.containers, one.attempted, stopped=False)
        return contexts

    def carry_out(self, contexts: dict[str, RolloutContext]) -> GroupOutcome:
        """Verify, record the start, migrate, replace, stop the newcomers and record the end.

        The newcomers are stopped before the end is recorded: so a later `converge` still knows of them.
        """
        seen = {each.service: verify_running(each.prepared, self.interruption) for each in self._verified}
        if not self.changing:
            stopped, still_runs = self._stop_newcomers()
            outcomes = [seen[each.service] for each in self.members]
            return GroupOutcome(outcomes=outcomes, stopped=stopped, still_runs=still_runs)
        self._begin()
        try:
            for each in self.changing:
                refuse_changed(each.events, contexts[each.service])
            self._change_data(contexts)
        except ReleaseError as error:
            record_ends([failed_end(each.events, error) for each in self.changing])
            raise
        ends = self._rolled_out(contexts)
        not_migrated = self._migrated_after(ends, contexts)
        failed = any(end.error is not None for end in ends)
        stopped, still_runs = ([], None) if failed else self._stop_newcomers()
        done = self._record(ends, not_migrated)
        outcomes = [seen.get(each.service) or done[each.service] for each in self.members]
        return GroupOutcome(outcomes=outcomes, stopped=stopped, still_runs=still_runs)

    def _stop_newcomers(self) -> tuple[list[Stopped], MixedState | None]:
        return newcomers.stop_all(self.plan.stops, self.message, self.interruption)

    @property
    def _verified(self) -> list[_Member]:
        return [each for each in self.members if not each.is_replaced]

    def _begin(self) -> None:
        """Record all starts, and the ends of interrupted deployments that they replace."""
        openings = [
            draft for each in self.changing for draft in (*each.events.interrupted_end(), each.started)
        ]
        self.changing[0].events.record("started", openings)

    def _change_data(self, contexts: dict[str, RolloutContext]) -> None:
        """Run the hooks before a deployment and the commands on the data, service by service."""
        for each in self.changing:
            hooks.run_before(
                HookSubject.of(each.prepared),
                recording.event_json(each.started, None),
                contexts[each.service],
            )
        with ExitStack() as stack:
            for each in self.changing:
                for command in each.prepared.data_commands:
                    if command.runs_after:
                        continue
                    context = contexts[each.service]
                    run_migration.run(each.prepared.live, command, each.events.deployment, context)
                    stack.enter_context(data_changes.data_first(command.change, each.service))
                    context.still_mine()

    def _rolled_out(self, contexts: dict[str, RolloutContext]) -> list[ServiceEnd]:
        """Replace the services; return the end of each, with what happened to its data."""
        parts = [self._part(each, contexts[each.service]) for each in self.changing]
        looks = [
            (each.prepared.live.place, partial(verify_running, each.prepared, self.interruption))
            for each in self._verified
        ]
        ends = group_rollout.run_together(parts, looks)
        return [_with_data(end, each.changes) for end, each in zip(ends, self.changing, strict=True)]

    def _part(self, member: _Member, context: RolloutContext) -> Part:
        live, request = member.prepared.live, rollout_request(member.prepared, member.events.deployment)
        return Part(
            place=live.place,
            attempted=member.prepared.attempted,
            act=lambda means: replace_adopted(
                live,
                member.prepared.previous,
                means,
                member.prepared.attempted,
                lambda: live.target.rollouts.roll_out(request, means),
            ),
            context=context,
        )

    def _migrated_after(
        self, ends: Sequence[ServiceEnd], contexts: dict[str, RolloutContext]
    ) -> dict[str, NotMigrated]:
        """Run the migration commands when all services serve; return the errors by service."""
        if any(end.error is not None for end in ends):
            return {}
        pairs = zip(self.changing, ends, strict=True)
        failed = {
            each.service: migrate_after(each.events, contexts[each.service], end.evidence)
            for each, end in pairs
        }
        return {service: error for service, error in failed.items() if error is not None}

    def _record(
        self, ends: Sequence[ServiceEnd], not_migrated: Mapping[str, NotMigrated]
    ) -> dict[str, Outcome]:
        """Record all ends; return the outcomes by service. Raises the worst error, NotMigrated."""
        told = [
            replace(end, evidence=not_migrated[end.place.service].found)
            if end.place.service in not_migrated
            else end
            for end in ends
        ]
        records = record_ends([_end(each, end) for each, end in zip(self.changing, told, strict=True)])
        if any(end.error is not None for end in ends):
            raise group_rollout.worst(self.plan.title, ends)
        if not_migrated:
            found = "; ".join(f"{service}: {error.found}" for service, error in not_migrated.items())
            first = next(iter(not_migrated.values()))
            raise NotMigrated(self.plan.title, found, first.hint, first.tail)
        return {
            each.service: outcome_of(
                each.prepared, each.events.deployment, end.evidence, changed=True, record=record
            )
            for each, end, record in zip(self.changing, ends, records, strict=True)
        }


def _with_data(end: ServiceEnd, changes: Sequence[DataChange]) -> ServiceEnd:
    error = end.error
    for change in reversed(changes) if error is not None else ():
        done = change.model_copy(update={"status": "done"})
        error = data_changes.with_data(error, done) if error is not None else None
    return replace(end, error=error)


def _end(member: _Member, end: ServiceEnd) -> End:
    if end.error is not None:
        return failed_end(member.events, end.error)
    return healthy_end(member.events, end.evidence)
