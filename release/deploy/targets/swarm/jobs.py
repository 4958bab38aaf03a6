"""Jobs of a Swarm: services that run one command once, beside what serves.

A job's service stays until it is removed, so that it shows how the command ended. A command is stopped by a
spec that asks for no completion: the Swarm then ends its task and forgets it, and the service stays.
Source: Docker Engine API 1.45, ServiceCreate (Mode.ReplicatedJob) and TaskInspect (Status.State).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from release.deploy.core.image_location import image_reference
from release.deploy.core.operations import CommandRequest, just_after
from release.deploy.targets.swarm import spec as specs
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.objects import Service, Task
from release.deploy.targets.swarm.sealed import make_parts
from release.errors import EngineError, EngineUnreachable, NameTaken
from release.events import Emit
from release.programs.cancellation import Cancellation
from release.values import Struct

_PAUSE_SECONDS: Final = 0.3
_TRIES: Final = 20
_OVER: Final = ("complete", "failed", "rejected", "shutdown", "remove", "orphaned")
_STARTED: Final = ("running", *_OVER)
_STOP_SECONDS: Final = 30
"""Time beside the grace of its settings for a task to end."""


class Job(Struct, frozen=True, kw_only=True):
    """A job in the Swarm."""

    service: Service
    task: Task | None
    """Its newest task; None before there is one, and after it was stopped."""
    runs: int
    """Number of its tasks: more than one if a manager started the command again."""

    @property
    def status(self) -> str:
        """Return the state in the words of containers: `pending` if it may still start."""
        if specs.is_stopped_job(self.service.spec):
            return "exited" if self.task is None or self.task.state in _OVER else "running"
        if self.task is None:
            return "pending"
        if self.task.state == "rejected" and self.runs == 1:
            return "created"
        return "exited" if self.task.state in _OVER else self.task.state

    @property
    def is_over(self) -> bool:
        """Return whether the command has ended, or will never start."""
        return self.status in ("exited", "created")

    @property
    def exit_code(self) -> int:
        """Return 0 only if the command succeeded and ran once."""
        task = self.task
        if task is not None and task.state == "complete" and self.runs == 1:
            return 0
        return (task.exit_code if task is not None else None) or 1


class Jobs(Struct, frozen=True, kw_only=True):
    """The jobs of a Swarm. Every method raises EngineError."""

    swarm: Swarm

    def every(self, labels: Mapping[str, str]) -> tuple[Job, ...]:
        """Return the jobs with these labels. Services of another mode are left out."""
        return tuple(
            self._job(service)
            for service in self.swarm.services(labels)
            if "ReplicatedJob" in (service.spec.get("Mode") or {})
        )

    def get(self, name: str) -> Job | None:
        """Return the job of this name or id; None if there is none."""
        service = self.swarm.service(name)
        return self._job(service) if service is not None else None

    def _job(self, service: Service) -> Job:
        tasks = self.swarm.tasks(service.id)
        return Job(service=service, task=tasks[-1] if tasks else None, runs=len(tasks))

    def create(self, request: CommandRequest, emit: Emit) -> str:
        """Create the service of a command; return its id. After a lost answer, look for the service."""
        written = specs.job_spec(request, make_parts(self.swarm, request, emit))
        try:
            return self.swarm.create(written, image_reference(request.image))
        except (EngineUnreachable, NameTaken):
            found = self.swarm.service(request.name)
            if found is None or dict(found.labels) != written["Labels"]:
                raise
            return found.id

    def await_start(self, job: str, request: CommandRequest, cancellation: Cancellation) -> None:
        """Wait until a node has started the command. Raises EngineError, Cancelled if it did not run."""
        deadline = time.monotonic() + request.timeout / 1000
        attempted = f"start the job {request.name}"
        while True:
            cancellation.check()
            task = self._newest(job)
            if task is not None and task.state == "rejected":
                raise EngineError(attempted, task.error or "its node refused it")
            if task is not None and task.state in _STARTED:
                return
            if time.monotonic() > deadline:
                why = (task.error or task.message or task.state) if task is not None else "it has no task"
                raise EngineError(
                    attempted,
                    f"no node started it within {request.timeout / 1000:g} s: {why}",
                    f"`docker service ps --no-trunc {request.name}` on a manager shows why",
                )
            time.sleep(_PAUSE_SECONDS)

    def await_end(self, job: str, timeout: int, cancellation: Cancellation) -> int:
        """Return the exit status of a command. If the manager does not answer, wait for it.

        Raises TimeoutError after the timeout, Cancelled, EngineError if there is no exit status.
        """
        deadline = time.monotonic() + timeout / 1000
        while True:
            cancellation.check()
            try:
                task = self._newest(job)
            except EngineUnreachable:
                task = None
                if time.monotonic() > deadline:
                    raise
            if task is not None and task.state in _OVER:
                return _status(task)
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(_PAUSE_SECONDS)

    def follow(
        self, job: str, say: Callable[[str], None], *, timeout: int, cancellation: Cancellation
    ) -> int:
        """Show the output of a command until it ends; return its exit status. A signal does not stop it.

        Raises TimeoutError after the timeout, Cancelled, EngineError if there is no exit status.
        """
        deadline, shown = time.monotonic() + timeout / 1000, Shown(swarm=self.swarm)
        while True:
            cancellation.check()
            task = self._newest(job)
            if task is not None and task.container:
                for text in shown.fresh(task):
                    say(text)
            if task is not None and task.state in _OVER:
                return _status(task)
            if time.monotonic() > deadline:
                raise TimeoutError(f"it still ran after {timeout / 1000:g} s")
            time.sleep(_PAUSE_SECONDS)

    def _newest(self, job: str) -> Task | None:
        tasks = self.swarm.tasks(job)
        return tasks[-1] if tasks else None

    def stop(self, job: str) -> None:
        """Stop the command and wait for its end. Raises EngineError if it may still run."""
        for _ in range(_TRIES):
            service = self.swarm.service(job)
            if service is None:
                return
            if specs.is_stopped_job(service.spec):
                break
            if self.swarm.update(service, specs.stopped_job(service.spec), None):
                break
        self._await_no_task(job)

    def _await_no_task(self, job: str) -> None:
        deadline = time.monotonic() + _STOP_SECONDS
        while any(task.state not in _OVER for task in self.swarm.tasks(job)):
            if time.monotonic() > deadline:
                raise EngineError(
                    f"stop the job {job}",
                    f"its task still runs after {_STOP_SECONDS} s",
                    f"`docker service ps {job}` shows its node; stop its container there",
                )
            time.sleep(_PAUSE_SECONDS)

    def remove(self, job: str) -> None:
        """Remove the service with its tasks."""
        self.swarm.remove(job)

    def output(self, job: str, *, lines: int) -> tuple[str, ...]:
        """Return the last lines of the newest task; empty without a task."""
        task = self._newest(job)
        return self.swarm.output(task.id, lines=lines) if task is not None else ()


class Shown(Struct, kw_only=True):
    """The lines of a task that were shown already, to show each line once."""

    swarm: Swarm
    moment: str = ""
    """Time of the last line."""
    count: int = 0
    """Number of lines of that time."""

    def fresh(self, task: Task) -> Iterator[str]:
        """Yield the lines since the last call, if the task's node answers."""
        if task.node not in {node.id for node in self.swarm.nodes() if node.is_ready}:
            return
        before, left = self.moment, self.count
        since = just_after(before) if before else None
        for moment, text in self.swarm.engine.timed_task_lines(task.id, since=since):
            if moment < before:
                continue
            if moment == before and left:
                left -= 1
                continue
            self.count = self.count + 1 if moment == self.moment else 1
            self.moment = moment
            yield text


def _status(task: Task) -> int:
    """Return the exit status. Raises EngineError if the Swarm ended the task, or knows none."""
    if task.state == "complete":
        return 0
    if task.state == "failed" and task.exit_code:
        return task.exit_code
    raise EngineError("wait for a job", f"its task is {task.state}: {task.error or task.message}")
