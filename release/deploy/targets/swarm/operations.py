"""Operations on the tasks of a Swarm's service: their output. Everything else is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NoReturn

from release.cancellation import Cancellation
from release.deploy.core.instance import Instance
from release.deploy.core.operating import (
    CommandRequest,
    FailedOutput,
    LogLine,
    LogSource,
    OperationContext,
    What,
)
from release.deploy.core.place import Place
from release.deploy.targets.swarm import naming
from release.deploy.targets.swarm.api import Swarm
from release.errors import UsageError
from release.events import Emit
from release.process import Command
from release.values import Struct

_REFUSALS: Final = {
    "run": "a Swarm runs no single command here: use `docker service create --mode replicated-job` with the "
    "image that `invoke status` shows",
    "exec": "a Swarm runs no program in its tasks: use `docker exec` on the node that `invoke status` shows",
    "restart": "use `docker service update --force {service}`: the Swarm replaces its tasks one by one",
    "stop": "use `docker service scale {service}=0`; `invoke deploy` or `invoke rollback` starts it again",
    "start": "use `invoke deploy` or `invoke rollback`: both restore the recorded number of tasks",
    "failed": "a Swarm keeps the output of tasks that failed: use `docker service ps {service}` and "
    "`docker service logs TASK`",
}


class SwarmOperations(Struct, frozen=True, kw_only=True):
    """See `release.deploy.core.operating.Operations` for what each method promises."""

    swarm: Swarm
    place: Place

    def refusal(self, what: What) -> str:
        """Everything but the output of its tasks."""
        return _REFUSALS.get(what, "").format(service=naming.service_name(self.place))

    def sources(self, instances: Sequence[Instance]) -> tuple[LogSource, ...]:  # noqa: ARG002 - tasks
        """The tasks that should run."""
        service = self.swarm.service(naming.service_name(self.place))
        tasks = self.swarm.tasks(service.id) if service is not None else ()
        labels = service.labels if service is not None else {}
        return tuple(
            LogSource(
                id=task.id,
                process=labels.get("release.process", ""),
                replica=str(task.slot),
                deployment=labels.get("release.deployment", ""),
            )
            for task in tasks
            if task.desired == "running"
        )

    def read(
        self,
        source: LogSource,
        *,
        last: int | None,
        since: datetime | None,
        follow: bool,
        cancellation: Cancellation,
    ) -> Iterator[LogLine]:
        """As the nodes that the tasks are on keep them."""
        found = self.swarm.engine.timed_task_lines(
            source.id, last=last, since=since, follow=follow, cancellation=cancellation
        )
        for moment, text in found:
            yield LogLine(moment=moment, source=source, text=text)

    def failed(self) -> FailedOutput | None:
        """Not here."""
        self._refuse("failed")

    def stop(self, instances: Sequence[Instance], context: OperationContext) -> str:  # noqa: ARG002 - as the protocol has it
        """Not here."""
        self._refuse("stop")

    def start(self, instances: Sequence[Instance], context: OperationContext) -> str:  # noqa: ARG002 - as the protocol has it
        """Not here."""
        self._refuse("start")

    def restart(self, instances: Sequence[Instance], context: OperationContext) -> str:  # noqa: ARG002 - as the protocol has it
        """Not here."""
        self._refuse("restart")

    def begin(self, request: CommandRequest, emit: Emit) -> str:  # noqa: ARG002 - the protocol's
        """Not here."""
        self._refuse("run")

    def attachment(self, container: str) -> Command:  # noqa: ARG002 - the protocol's
        """Not here."""
        self._refuse("run")

    def execution(self, instance: Instance, command: Sequence[str], *, has_terminal: bool) -> Command:  # noqa: ARG002 - as the protocol has it
        """Not here."""
        self._refuse("exec")

    def end(self, container: str, *, grace: int) -> int | None:  # noqa: ARG002 - as the protocol has it
        """Nothing is made here."""
        return None

    def one_offs(self) -> tuple[Instance, ...]:
        """Nothing is made here."""
        return ()

    def _refuse(self, what: What) -> NoReturn:
        raise UsageError(f"{what} {self.place}", self.refusal(what))
