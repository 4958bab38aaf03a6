"""A rollout in a Swarm: the service of each process is replaced, one after the other: all of them, or none.

What ran before is kept until all services are proven. Whatever fails before, every service is put back, the
last one first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from release.deploy.core.failed_output import CapturedOutput
from release.deploy.core.place import DEPLOYMENT, SERVING, process_of
from release.deploy.core.rollout import RolloutContext, RolloutRequest
from release.deploy.core.steps import reason, step, tail_of
from release.deploy.targets.swarm import before as olds
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.before import Before
from release.deploy.targets.swarm.failed_output import collect
from release.deploy.targets.swarm.nodes import Route
from release.deploy.targets.swarm.objects import Service
from release.deploy.targets.swarm.part import Part, identities, parts_of, patient, services_of
from release.deploy.targets.swarm.prove import prove, verify
from release.deploy.targets.swarm.sealed import make_parts
from release.deploy.targets.swarm.submit import overtaken, submit
from release.deploy.targets.swarm.tasks import update_of, view
from release.errors import DeploymentFailed, EngineError, LockHeld, MixedState, ReleaseError, Restored
from release.events import Warned
from release.values import Struct, field

Ways = Mapping[str, Route]
"""Addresses of the engines of nodes."""

NO_WAYS: Final[Ways] = {}

BeforeOf = Callable[[str], Service | None]
"""Returns the previous service of a process: see `Before`."""


class Rollout(Struct, frozen=True, kw_only=True):
    """One rollout in a Swarm."""

    swarm: Swarm
    order: RolloutRequest
    """Order for all processes."""
    means: RolloutContext
    parts: tuple[Part, ...]
    """Parts in the order of replacement."""
    written: list[CapturedOutput] = field(default_factory=list)
    """Output of tasks that failed."""

    def run(self) -> str:
        """Submit the specs, follow their tasks and probe the services. See `Rollouts.roll_out`."""
        found = {part.name: part.found() for part in self.parts}
        self._same_as_planned(list(found.values()))
        replaced: list[Part] = []
        try:
            written = self._prepared(found)
            for part in self.parts:
                self._replace(part, found[part.name], written)
                replaced.append(part)
        except LockHeld as error:
            if replaced:
                raise self._lock_lost_error(error) from error
            self._forget()
            raise
        except MixedState:
            raise
        except BaseException as error:
            raise self._untouched(error) or self._give_up(found.get, error) from error
        return self._proven(found.get)

    def _lock_lost_error(self, error: LockHeld) -> MixedState:
        """Return the error of a rollout that another operator took over in the middle."""
        found = f"{reason(error)}; what ran before was not put back. {self._what_is_where()}"
        return MixedState(self.order.attempt, self.means.mask(found), error.hint)

    def _same_as_planned(self, found: Sequence[Service | None]) -> None:
        """Raise an error if a spec changed since the plan. From here on, versions protect the specs."""
        labels = self.order.place.labels(SERVING).items()
        ours = [each for each in found if each is not None and labels <= each.labels.items()]
        if {one for each in ours for one in identities(each)} != self.order.before.ids:
            raise overtaken(self.order)

    def _prepared(self, found: Mapping[str, Service | None]) -> dict[str, dict[str, Any]]:
        """Write everything that needs no replacement; return the specs by process."""
        written = {
            part.name: specs.service_spec(part.order, make_parts(self.swarm, part.order, self.means.emit))
            for part in self.parts
            if not part.goes
        }
        self.means.cancellation.check()
        self.means.still_mine()
        for part in self.parts:
            olds.remember(part, found[part.name])
        return written

    def _replace(self, part: Part, before: Service | None, written: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace the service of one process. With several, prove it before the next one."""
        self.means.cancellation.check()
        self.means.still_mine()
        now = before
        if before is not None and (part.goes or part.is_exclusive):
            now = olds.pause(part, before)
        if part.goes:
            return
        with step(self.means.emit, "submit") as say:
            submit(part, now, written[part.name])
            say(f"{part.service}, {self.order.image.digest}")
        if len(self._news) > 1:
            prove(part, 0)

    @property
    def _news(self) -> tuple[Part, ...]:
        """Return the processes of the new settings."""
        return tuple(part for part in self.parts if not part.goes)

    def resume(self) -> str:
        """Prove what was submitted, or restore the previous services. See `Rollouts.resume`."""
        for part in self._news:
            now = part.found()
            if not part.made(now):
                doing = update_of(now) if now is not None else None
                found = part.with_process(f"its spec was reverted{f': {doing}' if doing else ''}")
                error = DeploymentFailed(f"finish {self.order}", found)
                raise self._give_up(self._remembered, error)
        return self._proven(self._remembered)

    def retract(self) -> str:
        """Verify that the previous services run, and restore others. See `Rollouts.retract`."""
        ended = self._put_back(self._remembered, "it was interrupted", ())
        if isinstance(ended, Restored):
            return ended.found
        raise ended

    def verify(self) -> str:
        """Check the running services without a change. Raises DeploymentFailed."""
        runs = {
            process_of(each.labels): each.labels.get(DEPLOYMENT, "") for each in self.order.before.running
        }
        return "; ".join(verify(part, runs[part.name]) for part in self.parts if part.name in runs)

    def remove(self) -> None:
        """Remove every service of this order. Raises EngineError if tasks do not end."""
        for part in self.parts:
            now = part.found_patiently()
            olds.remove(part, now if part.made(now) else None)

    def _remembered(self, name: str) -> Service | None:
        return olds.remembered(next(part for part in self.parts if part.name == name))

    def _proven(self, before: BeforeOf) -> str:
        """Return the evidence. On failure, restore the previous services. See `Rollouts.roll_out`."""
        try:
            *others, last = self._news
            watched = prove(last, self.order.watch)
            evidence = "; ".join([*(prove(part, 0) for part in others), watched])
            self.means.others(self._look)
            self._remove_gone()
        except MixedState:
            raise
        except BaseException as error:
            raise self._give_up(before, error) from error
        self._forget()
        return evidence

    def _look(self) -> None:
        """Check again that the new services run. Raises DeploymentFailed."""
        for part in self._news:
            verify(part, self.order.identity.deployment)

    def _remove_gone(self) -> None:
        for part in self.parts:
            if part.goes:
                olds.remove(part, part.found_patiently())

    def _forget(self) -> None:
        for part in self.parts:
            olds.forget(part)

    # putting back

    def _untouched(self, error: BaseException) -> DeploymentFailed | None:
        """Return the error if every service is unchanged since the plan."""
        if self._may_be_touched():
            return None
        self._forget()
        why, hint = reason(error), error.hint if isinstance(error, ReleaseError) else ""
        found = self.means.mask(f"{why}; nothing was changed")
        return DeploymentFailed(self.order.attempt, found, self.means.mask(hint))

    def _may_be_touched(self) -> bool:
        """Return whether a service changed since the plan. No answer counts as a change."""
        try:
            now = [patient(part.found, part.order.health_timeout) for part in self.parts]
        except EngineError:
            return True
        found = {one for each in now if each is not None for one in identities(each)}
        return found != self.order.before.ids

    def _give_up(self, before: BeforeOf, error: BaseException) -> DeploymentFailed:
        """Restore the previous services; return the error with the result."""
        why = self.means.mask(reason(error))
        self.means.emit(Warned(text=f"{why}: restoring what ran before"))
        self._collect()
        return self._put_back(before, why, tail_of(error))

    def _collect(self) -> None:
        """Collect the output of the new tasks before they are removed."""
        deployment = self.order.identity.deployment
        with suppress(EngineError):
            ready = {node.id for node in self.swarm.nodes() if node.is_ready}
            for part in self._news:
                found = part.found()
                tasks = self.swarm.tasks(found.id) if found is not None else ()
                mine = [
                    task for task in tasks if task.labels.get(DEPLOYMENT) == deployment and task.node in ready
                ]
                self.written.extend(collect(self.swarm, deployment, mine, self.means.mask))

    def _put_back(self, before: BeforeOf, why: str, tail: tuple[str, ...]) -> DeploymentFailed:
        said, failed = list[str](), list[str]()
        for part in reversed(self.parts):
            try:
                said.append(olds.put_back(part, _of(before, part)))
            except ReleaseError as left:
                failed.append(part.with_process(self.means.mask(reason(left))))
        if failed:
            return self._mixed(why, "; ".join(failed), tail)
        self._forget()
        hint, again = "read the lines above before the next attempt", "; ".join(filter(None, said[::-1]))
        if not again:
            found = f"{why}; no release ran before, and none runs now"
            return DeploymentFailed(self.order.attempt, found, hint, tail)
        return Restored(self.order.attempt, f"{why}; what ran before runs again: {again}", hint, tail)

    def _mixed(self, why: str, left: str, tail: tuple[str, ...]) -> MixedState:
        """Return the error that lists all tasks, if a manager answers."""
        services = " ".join(part.service for part in self.parts)
        return MixedState(
            self.order.attempt,
            f"{why}; the restoration of what ran before failed too ({left}). {self._what_is_where()}",
            f"run `{self.order.place.command('status')}`, and on a manager `docker node ls` and "
            f"`docker service ps {services}`; then deploy or roll back",
            tail,
        )

    def _what_is_where(self) -> str:
        try:
            nodes = self.swarm.nodes()
            found = [service for part in self.parts if (service := part.found()) is not None]
            seen = [
                view(each, self.swarm.tasks(each.id), nodes, deployment=self.order.identity.deployment)
                for each in found
            ]
        except EngineError as silent:
            before = ", ".join(f"{state.name} ({state.status})" for state in self.order.before.running)
            return f"no manager shows what runs ({silent.found}); before: {before or 'nothing'}"
        return "; ".join(each.all() for each in seen) or "there is no service"


def _of(before: BeforeOf, part: Part) -> Before:
    return lambda: before(part.name)


def fresh(swarm: Swarm, order: RolloutRequest, means: RolloutContext, ways: Ways = NO_WAYS) -> Rollout:
    """Return a new rollout. The running services are those of the plan."""
    there = {process_of(each.labels) for each in services_of(swarm, order.place)}
    return Rollout(swarm=swarm, order=order, means=means, parts=parts_of(swarm, order, means, there, ways))


def resumed(swarm: Swarm, order: RolloutRequest, means: RolloutContext, ways: Ways = NO_WAYS) -> Rollout:
    """Return an interrupted rollout. A removed process has a service, or only its stored spec."""
    there = {process_of(each.labels) for each in services_of(swarm, order.place)}
    labels = order.place.labels(specs.BEFORE) | {DEPLOYMENT: order.identity.deployment}
    there |= {process_of(each.labels) for each in swarm.stored("configs", labels)}
    return Rollout(swarm=swarm, order=order, means=means, parts=parts_of(swarm, order, means, there, ways))


def alone(swarm: Swarm, order: RolloutRequest, means: RolloutContext, ways: Ways = NO_WAYS) -> Rollout:
    """Return a rollout of one service, independent of others."""
    part = Part(swarm=swarm, order=order, means=means, ways=ways)
    return Rollout(swarm=swarm, order=order, means=means, parts=(part,))
