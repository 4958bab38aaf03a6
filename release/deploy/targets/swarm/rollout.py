"""Submitting a spec, following its tasks, and putting back what ran before where that fails.

What ran before is put back by submitting the spec that was read before the first change. The Swarm's own
memory of one earlier spec is never used: after two updates, or its own rollback, it is another one.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from release.deploy.core import watch
from release.deploy.core.image_location import image_reference
from release.deploy.core.place import DEPLOYMENT, SERVING
from release.deploy.core.rollout import RolloutContext, RolloutRequest
from release.deploy.core.steps import reason, step
from release.deploy.targets.swarm import marks, naming
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.drift import changed
from release.deploy.targets.swarm.follow import Watch, await_settled
from release.deploy.targets.swarm.kept import read_kept
from release.deploy.targets.swarm.objects import Service
from release.deploy.targets.swarm.probe import Asking, ask_tasks
from release.deploy.targets.swarm.sealed import make_parts, restorable
from release.deploy.targets.swarm.tasks import View, ended_ids, node_name, replicas, update_of, view
from release.errors import (
    DeploymentFailed,
    EngineError,
    EngineUnreachable,
    LockHeld,
    MixedState,
    NameTaken,
    ReleaseError,
    Restored,
)
from release.events import Warned
from release.redact import Redacted
from release.reference import Digest, Reference
from release.runspec import RunSpec
from release.targetspec import SwarmSpec
from release.values import Struct, replace

_TRIES: Final = 20
"""Attempts of an update while only the Swarm itself changes the version."""
_PAUSE_SECONDS: Final = 0.5

T = TypeVar("T")
Before = Callable[[], Service | None]
"""Tells the service as it was before this order; None where there was none. Raises EngineError."""


def longest(spec: RunSpec, health_timeout: int) -> int:
    """Milliseconds for all rounds of an update: starting, watching, stopping the old ones, and the pauses."""
    swarm = spec.swarm or SwarmSpec()
    rounds = -(-spec.replicas // (swarm.parallelism or spec.replicas)) + 1
    return rounds * (health_timeout + swarm.monitor + swarm.delay + spec.stop_grace) + watch.longest(spec)


def identities(service: Service) -> list[str]:
    """One for each task that there should be, all of the service and its spec.

    Its version would not do: the Swarm counts it up for itself, too.
    """
    text = hashlib.sha256(json.dumps(service.spec, sort_keys=True).encode()).hexdigest()
    return [f"{service.id}.{slot}@{text[:16]}" for slot in range(1, replicas(service) + 1)]


class Rollout(Struct, frozen=True, kw_only=True):
    """One order under way in a Swarm."""

    swarm: Swarm
    order: RolloutRequest
    means: RolloutContext

    @property
    def name(self) -> str:
        """The service's name."""
        return naming.service_name(self.order.place)

    def run(self) -> str:
        """Submit the spec, follow its tasks, ask the service; see `Target.roll_out`."""
        before = self._found()
        self._same_as_planned(before)
        try:
            self._begin(before)
        except LockHeld:
            self._forget()
            raise
        except BaseException as error:
            raise self._untouched(error) or self._give_up(lambda: before, error) from error
        return self._proven(lambda: before)

    def _begin(self, before: Service | None) -> None:
        written = specs.service_spec(self.order, make_parts(self.swarm, self.order, self.means.emit))
        self.means.cancellation.check()
        self.means.still_mine()
        self._remember(before)
        with step(self.means.emit, "submit") as say:
            self._submit(before, written)
            say(f"{self.name}, {self.order.image.digest}")

    def resume(self) -> str:
        """Prove what was submitted, or put back what ran before; see `Target.resume`."""
        now = self._found()
        if self._is_ours(now):
            return self._proven(self._remembered)
        doing = update_of(now) if now is not None else None
        found = f"its spec was reverted{f': {doing}' if doing else ''}"
        raise self._give_up(self._remembered, DeploymentFailed(f"finish {self.order}", found))

    def retract(self) -> str:
        """See what ran before run again, put back where it is not; see `Target.retract`."""
        ended = self._put_back(self._remembered, "it was interrupted", ())
        if isinstance(ended, Restored):
            return ended.found
        raise ended

    # what a dead operator leaves for the next

    def _remember(self, before: Service | None) -> None:
        """Keep the spec that would have to be put back where every manager finds it."""
        if before is None:
            return
        place, deployment = self.order.place, self.order.identity.deployment
        labels = place.labels(specs.BEFORE) | {DEPLOYMENT: deployment}
        content = Redacted(json.dumps(before.spec))
        self.swarm.store("configs", naming.before_name(place, deployment), content, labels)

    def _remembered(self) -> Service | None:
        """The service with the spec that ran before; None where nothing did.

        It is kept before anything is submitted, until something is proven to run. So where it is not kept,
        and the service is of the deployment before, that is what ran. Raises EngineError.
        """
        name = naming.before_name(self.order.place, self.order.identity.deployment)
        now, kept = self._found_patiently(), self.swarm.find("configs", name)
        if kept is not None:
            told = read_kept(self.swarm.content(kept.id))
            there = (now.spec, now.previous) if now is not None else ({}, {})
            return _known(now, restorable(told, *there, self.name))
        owner = now.labels.get(DEPLOYMENT) if now is not None else None
        if owner and not self._is_ours(now) and self.order.replaces in (owner, None):
            return now
        if self.order.replaces is None:
            return None
        raise EngineError(
            f"revert {self.order}",
            f"the spec that ran before is lost: the Swarm has no config {name}, and the service "
            f"has the deployment {owner or 'unknown'}",
            f"restore the last healthy release: `{self.order.place.command('rollback')}`",
        )

    def _forget(self) -> None:
        """Remove the kept spec of a finished update. A failure is harmless."""
        labels = self.order.place.labels(specs.BEFORE) | {DEPLOYMENT: self.order.identity.deployment}
        try:
            for kept in self.swarm.stored("configs", labels):
                self.swarm.drop("configs", kept.id)
        except EngineError as error:
            self.means.emit(Warned(text=f"{error.attempted}: {error.found}; `docker config ls` shows it"))

    def verify(self) -> str:
        """Look, and ask; nothing is changed. Raises DeploymentFailed."""
        deployment = self.order.before.running[0].labels.get(DEPLOYMENT, "")
        watch = replace(self._watch(self.order.spec, deployment), monitor=0, strict=False)
        seen = await_settled(replace(watch, check=self.means.cancellation.check))
        self._check_images(seen)
        return self._evidence(self.order.spec, seen, self.means.cancellation.check)

    # what is there

    def _found(self) -> Service | None:
        return self.swarm.service(self.name)

    def _found_patiently(self) -> Service | None:
        """From a manager that may need a moment to come back."""
        return _patient(self._found, self.order.health_timeout)

    def _same_as_planned(self, before: Service | None) -> None:
        """The spec that was planned for, read by itself: from here on its version guards it."""
        ours = before is not None and self.order.place.labels(SERVING).items() <= before.labels.items()
        found = set(identities(before)) if before is not None and ours else set[str]()
        if found != self.order.before.ids:
            raise self._overtaken()

    def _overtaken(self) -> LockHeld:
        return LockHeld(
            self.order.attempt,
            "another command changed the service at the same time; nothing was changed",
            f"`{self.order.place.command('status')}` shows what runs; then run the command again",
        )

    # submitting

    def _submit(self, before: Service | None, written: Mapping[str, Any]) -> None:
        """Create or update. A write whose answer was lost is looked for before it is sent again."""
        now = before
        for attempt in range(_TRIES):
            try:
                if self._sent(now, written):
                    return
            except NameTaken:
                pass  # somebody's, or ours, whose answer was lost
            except EngineUnreachable:
                if attempt == _TRIES - 1:
                    raise
            now = self._found_patiently()
            if self._is_ours(now):
                return
            if _spec(now) != _spec(before):
                raise self._overtaken()
        raise self._moving(f"update the service {self.name}")

    def _sent(self, now: Service | None, written: Mapping[str, Any]) -> bool:
        image = image_reference(self.order.image)
        if now is None:
            return bool(self.swarm.create(written, image))
        return self.swarm.update(now, written, image)

    def _is_ours(self, service: Service | None) -> bool:
        return service is not None and service.labels.get(DEPLOYMENT) == self.order.identity.deployment

    # proving

    def _proven(self, before: Before) -> str:
        """The evidence; where there is none, what ran before is put back. See `Target.roll_out`."""
        try:
            evidence = self._prove()
        except MixedState:
            raise
        except BaseException as error:
            raise self._give_up(before, error) from error
        self._forget()
        return evidence

    def _prove(self) -> str:
        with step(self.means.emit, "health") as say:
            watch = self._watch(self.order.spec, self.order.identity.deployment, self.order.watch)
            seen = await_settled(replace(watch, check=self.means.cancellation.check))
            self._check_spec(seen)
            self._check_images(seen)
            say(evidence := self._evidence(self.order.spec, seen, self.means.cancellation.check))
        self._tell_lost(seen)
        return evidence

    def _watch(self, spec: RunSpec, deployment: str, milliseconds: int = 0) -> Watch:
        swarm = spec.swarm or SwarmSpec()
        return Watch(
            swarm=self.swarm,
            place=self.order.place,
            name=self.name,
            deployment=deployment,
            monitor=max(swarm.monitor, milliseconds),
            pause=max(swarm.monitor, milliseconds) + swarm.delay + spec.stop_grace,
            patience=self.order.health_timeout,
            longest=longest(spec, self.order.health_timeout),
            emit=self.means.emit,
            mask=self.means.mask,
        )

    def _check_spec(self, seen: View) -> None:
        """Nobody changed it in the middle: it would carry our labels all the same. Raises MixedState."""
        spec = seen.service.spec
        if marks.is_as_written(spec):
            return
        told = _patient(lambda: list(changed(self.swarm, spec, self.order)), self.order.health_timeout)
        what = "; ".join(f"{name} {text}" for name, text in told)
        raise MixedState(
            f"prove that {self.order} runs",
            self.means.mask(
                "the service was changed by hand during the deployment, and was not changed "
                f"back: {what}. {seen.all()}"
            ),
            "find out who changed it; the next deployment or rollback restores the recorded settings",
        )

    def _check_images(self, seen: View) -> None:
        """Every task runs the digest of the record."""
        wanted = Digest(self.order.image.digest)
        wrong = [task for task in seen.good if task.image != wanted]
        if wrong:
            found = f"{seen.describe(wrong[0])} runs {wrong[0].image}, not {wanted}"
            raise DeploymentFailed(
                f"prove that {self.order} runs",
                found,
                f"`docker service ps --no-trunc {self.name}` on a manager shows what each task runs",
            )

    def _evidence(self, spec: RunSpec, seen: View, check: Callable[[], None]) -> str:
        """Return what was seen, in a few words, after asking."""
        asking = Asking(
            host=self.swarm.engine.host, patience=self.order.health_timeout, emit=self.means.emit, check=check
        )
        return "; ".join([_running(seen), *ask_tasks(asking, spec, seen)])

    def _tell_lost(self, seen: View) -> None:
        for text in lost(seen):
            self.means.emit(Warned(text=text))

    # putting back

    def _untouched(self, error: BaseException) -> DeploymentFailed | None:
        """The error where the service is as it was planned for."""
        if self._may_be_touched():
            return None
        self._forget()
        why, hint = reason(error), error.hint if isinstance(error, ReleaseError) else ""
        found = self.means.mask(f"{why}; nothing was changed")
        return DeploymentFailed(self.order.attempt, found, self.means.mask(hint))

    def _give_up(self, before: Before, error: BaseException) -> DeploymentFailed:
        """Put back what ran before; the error that says how that went."""
        why, tail = self.means.mask(reason(error)), _tail(error)
        self.means.emit(Warned(text=f"{why}: restoring what ran before"))
        return self._put_back(before, why, tail)

    def _put_back(self, before: Before, why: str, tail: tuple[str, ...]) -> DeploymentFailed:
        try:
            ran = before()
            ended = self._removed(why, tail) if ran is None else self._restored(ran, why, tail)
        except ReleaseError as left:
            return self._mixed(why, self.means.mask(reason(left)), tail)
        self._forget()
        return ended

    def _may_be_touched(self) -> bool:
        """Return if the service is another than planned for; no answer counts as another."""
        try:
            now = _patient(self._found, self.order.health_timeout)
        except EngineError:
            return True
        return set(identities(now) if now is not None else ()) != self.order.before.ids

    def _removed(self, why: str, tail: tuple[str, ...]) -> DeploymentFailed:
        self.remove()
        return DeploymentFailed(
            self.order.attempt,
            f"{why}; nothing ran before, and nothing runs now",
            "read the lines above before the next attempt",
            tail,
        )

    def remove(self) -> None:
        """Take our service away and wait for its tasks to end, as far as their nodes answer.

        Raises EngineError: they do not end.
        """
        service = self._found_patiently()
        if service is None or not self._is_ours(service):
            return
        _patient(lambda: self.swarm.remove(service.id), self.order.health_timeout)
        deadline = time.monotonic() + (self.order.health_timeout + self.order.spec.stop_grace) / 1000
        while left := self._tasks_left(service):
            if time.monotonic() > deadline:
                raise EngineError(
                    f"remove the service {self.name}",
                    f"tasks are left: {', '.join(left)}",
                    "they end when their engines can stop them; check with `docker ps` there",
                )
            time.sleep(_PAUSE_SECONDS)

    def _tasks_left(self, service: Service) -> list[str]:
        try:
            nodes = {node.id: node for node in self.swarm.nodes() if node.is_ready}
            tasks = self.swarm.tasks(service.id)
        except EngineUnreachable:
            return ["the manager does not answer"]
        except EngineError:
            return []  # the Swarm forgets the tasks with the service
        over = ended_ids(tasks)
        return [
            f"on {node_name(nodes[task.node], task.node)}"
            for task in tasks
            if task.id not in over and task.node in nodes
        ]

    def _restored(self, before: Service, why: str, tail: tuple[str, ...]) -> Restored:
        seen = self._restore(before)
        return Restored(
            self.order.attempt,
            "; ".join([why, f"what ran before runs again: {_running(seen)}", *lost(seen)]),
            "read the lines above before the next attempt",
            tail,
        )

    def _restore(self, before: Service) -> View:
        """Submit what was there, and see it run as it did. No signal ends this."""
        old = self.order.old or self.order.spec
        now = self._found_patiently()
        known = ended_ids(self.swarm.tasks(now.id)) if now is not None else frozenset[str]()
        if _spec(now) != before.spec:
            with step(self.means.emit, "restore") as say:
                self._resubmit(before, now)
                say(f"{self.name}, as it was")
        watch = replace(
            self._watch(old, before.labels.get(DEPLOYMENT, "")),
            only_completed=not marks.is_as_written(before.spec),
            strict=False,
            known=known,
        )
        with step(self.means.emit, "health") as say:
            seen = await_settled(watch)
            if marks.mark(seen.service.spec) != marks.mark(before.spec):
                raise self._overruled(f"verify the restored service {self.name}")
            say(self._evidence(old, seen, lambda: None))
        return seen

    def _resubmit(self, before: Service, now: Service | None) -> None:
        """The old spec, over ours or the Swarm's own attempt and over nobody else's."""
        attempted = f"restore the service {self.name}"
        allowed = (self.order.identity.deployment, before.labels.get(DEPLOYMENT))
        for _ in range(_TRIES):
            if now is not None and now.labels.get(DEPLOYMENT) not in allowed:
                raise self._overruled(attempted)
            self._send_back(before, now)
            now = self._found_patiently()
            if _spec(now) == before.spec:
                return
        raise self._moving(attempted)

    def _overruled(self, attempted: str) -> EngineError:
        return EngineError(
            attempted,
            "another command changed it at the same time",
            f"`{self.order.place.command('status')}` shows what runs; agree with the other "
            "operator, then deploy or roll back",
        )

    def _moving(self, attempted: str) -> EngineError:
        return EngineError(
            attempted,
            f"its version changed {_TRIES} times",
            f"another program updates it again and again: `docker service inspect {self.name}`",
        )

    def _send_back(self, before: Service, now: Service | None) -> None:
        """Submit the spec from before. It is verified afterwards."""
        text = str(marks.container_of(before.spec).get("Image") or "")
        image = Reference.parse(text) if text else image_reference(self.order.image)
        try:
            if now is None:
                self.swarm.create(before.spec, image)
            else:
                self.swarm.update(now, before.spec, image)
        except (EngineUnreachable, NameTaken):
            time.sleep(_PAUSE_SECONDS)

    def _mixed(self, why: str, left: str, tail: tuple[str, ...]) -> MixedState:
        """Say exactly what is where, as far as a manager still answers."""
        return MixedState(
            self.order.attempt,
            f"{why}; the restoration of what ran before failed too ({left}). {self._what_is_where()}",
            f"run `{self.order.place.command('status')}`, and on a manager `docker node ls` and "
            f"`docker service ps {self.name}`; then deploy or roll back",
            tail,
        )

    def _what_is_where(self) -> str:
        try:
            service = self._found()
            if service is None:
                return "there is no service"
            tasks, nodes = self.swarm.tasks(service.id), self.swarm.nodes()
        except EngineError as silent:
            before = ", ".join(f"{state.name} ({state.status})" for state in self.order.before.running)
            return f"no manager shows what runs ({silent.found}); before: {before or 'nothing'}"
        return view(service, tasks, nodes, deployment=self.order.identity.deployment).all()


def lost(seen: View) -> Iterator[str]:
    """Return what nobody can see: said, for it may still run."""
    for task in seen.lost:
        yield (
            f"{seen.describe(task)}, as far as the Swarm knows: it ends when its node answers "
            "again or is switched off"
        )


def _running(seen: View) -> str:
    count = len({task.node for task in seen.good})
    where = f"{count} {'node' if count == 1 else 'nodes'}"
    return f"{len(seen.good)} of {seen.wanted} tasks run on {where}"


def _known(now: Service | None, spec: Mapping[str, Any]) -> Service:
    """A service with this spec, also where there is none any more."""
    if now is not None:
        return replace(now, spec=spec)
    return Service(
        id="", name=spec["Name"], version=0, spec=spec, updated_at="", update=None, update_message=""
    )


def _spec(service: Service | None) -> Mapping[str, Any] | None:
    return service.spec if service is not None else None


def _tail(error: BaseException) -> tuple[str, ...]:
    return error.tail if isinstance(error, DeploymentFailed) else ()


def _patient(question: Callable[[], T], milliseconds: int) -> T:
    """Ask until a manager answers, for so long at most. Raises EngineError."""
    deadline = time.monotonic() + milliseconds / 1000
    while True:
        try:
            return question()
        except EngineError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)
