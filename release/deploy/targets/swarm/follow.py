"""Waiting until a service is what it should be: task by task, with the real error of one that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from release.deploy.core.place import DEPLOYMENT, Place
from release.deploy.targets.engine.health import STEP
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.objects import Task
from release.deploy.targets.swarm.tasks import View, view
from release.errors import DeploymentFailed, EngineError, MixedState
from release.events import Emit, Notice, Progress, Warned
from release.programs.process import TAIL_LINES
from release.secrets.redact import Mask
from release.values import Struct, field

_INTERVAL_SECONDS: Final = 0.3
_DONE: Final = ("completed", "rollback_completed")
"""States of a Swarm that has replaced all tasks: forward, or in its own rollback."""


class Watch(Struct, frozen=True, kw_only=True):
    """A service to wait for, and what is expected of it."""

    swarm: Swarm
    place: Place
    name: str
    deployment: str
    """Deployment whose tasks should run."""
    monitor: int
    """Milliseconds for which all tasks must stay as they should be."""
    pause: int
    """Milliseconds for which the Swarm itself lets things rest: it watches new tasks, then waits."""
    patience: int
    """Milliseconds beside those in which something has to move forward."""
    longest: int
    """Milliseconds in all."""
    only_completed: bool = False
    """True: the Swarm itself must call its update complete: tasks before and after it have equal labels."""
    strict: bool = True
    """True: one task that ends is a failure."""
    known: frozenset[str] = frozenset()
    """Ids of tasks that had ended before."""
    emit: Emit
    mask: Mask = Mask()
    check: Callable[[], None] = lambda: None
    """Function that raises an error to stop the wait."""


def look(watch: Watch) -> View | None:
    """Return the current service and its tasks; None if it is gone. Raises EngineError."""
    service = watch.swarm.service(watch.name)
    if service is None:
        return None
    tasks, nodes = watch.swarm.tasks(service.id), watch.swarm.nodes()
    return view(service, tasks, nodes, deployment=watch.deployment, known=watch.known)


def await_settled(watch: Watch) -> View:
    """Wait until all tasks run, no other tasks are left, and this stays so.

    The Swarm calls its update complete later: it lets its delay go by after the last task, too. A manager
    that does not answer is waited for: the tasks run without it.

    Raises:
        DeploymentFailed: a task ended, the Swarm gave up, or nothing moves any more.
        MixedState: it is another deployment's service now, and not by the Swarm's own doing.
    """
    clock = _Clock(watch=watch)
    while True:
        watch.check()
        try:
            seen = look(watch)
        except EngineError as error:
            clock.record_silence(error)
        else:
            clock.record_answer(seen)
            if seen is None:
                raise _failed(watch, "the service was removed by another command")
            _judge(watch, seen)
            if clock.has_watched(seen):
                return seen
        time.sleep(_INTERVAL_SECONDS)


def _judge(watch: Watch, seen: View) -> None:
    """Raise errors that waiting cannot mend."""
    _judge_owner(watch, seen)
    if watch.strict and seen.ended:
        raise task_failed(watch, seen, seen.ended[-1])
    if watch.strict and seen.service.update == "paused":
        raise _failed(watch, f"the Swarm paused its update: {seen.service.update_message}")


def _judge_owner(watch: Watch, seen: View) -> None:
    service = seen.service
    owner = service.labels.get(DEPLOYMENT, "")
    if owner == watch.deployment:
        return
    if (service.update or "").startswith("rollback"):
        raise _failed(watch, f"the Swarm rolled it back itself: {service.update_message}")
    raise MixedState(
        f"verify the service {watch.name}",
        "another command changed it during the deployment: it now has the deployment "
        f"{owner or 'unknown'}, not {watch.deployment}. It was not changed back. {seen.all()}",
        f"`{watch.place.command('status')}` shows what runs; agree with the other operator, "
        "then deploy or roll back",
    )


def task_failed(watch: Watch, seen: View, task: Task) -> DeploymentFailed:
    """Return the error of one task: the Swarm's message, exit status and last lines."""
    code = (
        f", exit status {task.exit_code}" if task.state != "rejected" and task.exit_code is not None else ""
    )
    why = ""
    if task.state == "complete" or not task.error:
        why = "; it ended, or failed its health check, before it was healthy"
    return _failed(watch, f"a task ended: {seen.describe(task)}{code}{why}", _lines(watch, task))


def _lines(watch: Watch, task: Task) -> tuple[str, ...]:
    """Return the task's lines; empty if its node does not answer."""
    with suppress(EngineError):
        return watch.swarm.output(task.id, lines=TAIL_LINES)
    return ()


def _failed(watch: Watch, found: str, lines: tuple[str, ...] = ()) -> DeploymentFailed:
    attempted = f"verify the service {watch.name}"
    hint = f"`docker service ps --no-trunc {watch.name}` on a manager shows every task with its error"
    process = watch.place.process
    text = watch.mask(f"{process}: {found}" if process else found)
    return DeploymentFailed(attempted, text, hint, watch.mask.lines(lines))


class _Clock(Struct, kw_only=True):
    """Times without progress and without answer, and the last progress text."""

    watch: Watch
    began: float = field(default_factory=time.monotonic)
    moved: float = field(default_factory=time.monotonic)
    score: int | None = None
    settled: float | None = None
    outage: EngineError | None = None
    said: str = ""

    def record_silence(self, error: EngineError) -> None:
        """Record that the manager did not answer. Raises DeploymentFailed after too long a time."""
        if self.outage is None:
            self.watch.emit(Warned(text=f"{error.attempted}: {error.found}; waiting until it answers again"))
        self.outage, self.settled = error, None
        if self._seconds(self.moved) > self.watch.patience / 1000:
            raise _failed(
                self.watch, f"the manager did not answer for {self.watch.patience / 1000:g} s: {error.found}"
            ) from error

    def record_answer(self, seen: View | None) -> None:
        """Record the manager's answer. Raises DeploymentFailed after too long without progress."""
        if self.outage is not None:
            self.watch.emit(Notice(text="the manager answers again"))
            self.outage, self.moved = None, time.monotonic()
        if seen is not None:
            self._tell(seen)
            self._measure(seen)

    def _tell(self, seen: View) -> None:
        text = self.watch.mask(str(seen))
        if text != self.said:
            self.watch.emit(Progress(name=STEP, text=text))
            self.said = text

    def _measure(self, seen: View) -> None:
        if self.score is None or seen.score > self.score:
            self.score, self.moved = seen.score, time.monotonic()
        self.settled = (self.settled or time.monotonic()) if seen.is_settled else None
        stuck = self._seconds(self.moved) > (self.watch.patience + self.watch.pause) / 1000
        if stuck or self._seconds(self.began) > self.watch.longest / 1000:
            raise self._late(seen)

    def _late(self, seen: View) -> DeploymentFailed:
        """Return the error of a rollout without progress, with the newest ended task."""
        if seen.ended:
            return task_failed(self.watch, seen, seen.ended[-1])
        update = f"; the update is {seen.service.update}" if seen.service.update else ""
        return _failed(
            self.watch, f"no task changed its state for {self.watch.patience / 1000:g} s: {seen}{update}"
        )

    def has_watched(self, seen: View) -> bool:
        """Return whether the service was well for the watch's time."""
        if self.settled is None:
            return False
        is_complete = seen.service.update in _DONE or not self.watch.only_completed
        return is_complete and self._seconds(self.settled) >= self.watch.monitor / 1000

    def _seconds(self, since: float) -> float:
        return time.monotonic() - since
