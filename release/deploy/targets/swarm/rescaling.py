"""Stopping, starting and restarting a service without a change of what it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from release.deploy.core.operations import OperationContext
from release.deploy.core.place import DEPLOYMENT, Place, process_of
from release.deploy.core.steps import step
from release.deploy.targets.swarm import marks
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.ending import await_no_task
from release.deploy.targets.swarm.follow import await_settled
from release.deploy.targets.swarm.nodes import Route
from release.deploy.targets.swarm.objects import Service
from release.deploy.targets.swarm.scaling import forced, is_paused, paused, resumed
from release.deploy.targets.swarm.subject import Subject
from release.deploy.targets.swarm.tasks import ended_ids
from release.errors import EngineError
from release.runspec import RunSpec
from release.values import Struct, field, replace

_TRIES: Final = 20


class Rescaling(Struct, frozen=True, kw_only=True):
    """Stop, start or restart of one service. Every method raises EngineError and LockHeld."""

    swarm: Swarm
    place: Place
    service: Service
    """Service, as it was found."""
    context: OperationContext
    ways: Mapping[str, Route] = field(default_factory=dict)
    """Addresses of the engines of nodes."""

    @property
    def _process(self) -> str:
        return process_of(self.service.labels)

    @property
    def _settings(self) -> RunSpec:
        """Return the recorded settings of the process."""
        return self.context.spec.every.get(self._process, self.context.spec)

    def stop(self) -> None:
        """Set the service to no tasks, and wait until all have ended."""
        self.context.still_mine()
        with step(self.context.emit, "stop") as say:
            self._write("stop", lambda spec: spec if is_paused(spec) else paused(spec, has_ports=True))
            self._await_no_task()
            say(self.service.name)

    def _await_no_task(self) -> None:
        await_no_task(self.swarm, self.service, self.context.health_timeout + self._settings.stop_grace)

    def start(self) -> str:
        """Set the recorded number of tasks; return the evidence that they serve. Raises DeploymentFailed."""
        self.context.still_mine()
        known = self._ended()
        with step(self.context.emit, "start") as say:
            self._write("start", self._resumed)
            say(self.service.name)
        return self._proven(known, only_completed=False)

    def restart(self) -> str:
        """Replace every task; return the evidence that the new ones serve. Raises DeploymentFailed."""
        if self._process in self.context.spec.exclusive:
            self.stop()
            return self.start()
        self.context.still_mine()
        known = self._ended()
        with step(self.context.emit, "restart") as say:
            self._write("restart", forced)
            say(self.service.name)
        return self._proven(known, only_completed=True)

    def _ended(self) -> frozenset[str]:
        return ended_ids(self.swarm.tasks(self.service.id))

    def _resumed(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        if not is_paused(spec):
            return spec
        try:
            return resumed(spec, self._settings.replicas)
        except ValueError as error:
            hint = f"restore the recorded settings: `{self.place.command('deploy')}`"
            raise EngineError(f"start the service {self.service.name}", str(error), hint) from error

    def _write(self, verb: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        """Replace the spec, if it is still that of the found deployment."""
        attempted = f"{verb} the service {self.service.name}"
        for _ in range(_TRIES):
            now = self.swarm.service(self.service.id)
            if now is None or not self._is_same(now):
                hint = f"`{self.place.command('status')}` shows what runs; then run the command again"
                raise EngineError(attempted, "another command changed it at the same time", hint)
            written = change(now.spec)
            if written == now.spec or self.swarm.update(now, written, None):
                return
        hint = f"another program updates it: `docker service inspect {self.service.name}`"
        raise EngineError(attempted, f"its version changed {_TRIES} times", hint)

    def _is_same(self, now: Service) -> bool:
        same = now.labels.get(DEPLOYMENT) == self.service.labels.get(DEPLOYMENT)
        return same and marks.is_as_written(now.spec)

    def _proven(self, known: frozenset[str], *, only_completed: bool) -> str:
        context, cancellation = self.context, self.context.cancellation
        subject = Subject(
            swarm=self.swarm,
            place=self.place,
            service=self.service.name,
            deployment=self.service.labels.get(DEPLOYMENT, ""),
            spec=self._settings,
            health_timeout=context.health_timeout,
            emit=context.emit,
            mask=context.mask,
            ways=self.ways,
        )
        with step(context.emit, "health") as say:
            watch = replace(
                subject.watch(), only_completed=only_completed, known=known, check=cancellation.check
            )
            said = subject.evidence(await_settled(watch), cancellation)
            say(evidence := f"{self._process}: {said}" if self._process else said)
        return evidence
