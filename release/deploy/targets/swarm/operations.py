"""Operations on the tasks of a Swarm's services: their output, commands, restart, stop and start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime

from release.deploy.core.instance import Instance
from release.deploy.core.operations import (
    RUN,
    Attachment,
    CommandRequest,
    FailedOutput,
    LogLine,
    LogSource,
    OperationContext,
    What,
)
from release.deploy.core.place import DEPLOYMENT, process_of
from release.deploy.targets.swarm import naming
from release.deploy.targets.swarm.commands import command_instance
from release.deploy.targets.swarm.failed_output import SwarmFailedOutput
from release.deploy.targets.swarm.jobs import Jobs
from release.deploy.targets.swarm.nodes import look_into
from release.deploy.targets.swarm.objects import Service, Task
from release.deploy.targets.swarm.part import services_of
from release.deploy.targets.swarm.rescaling import Rescaling
from release.deploy.targets.swarm.service import PlacedService
from release.errors import EngineError, UsageError
from release.events import Emit, Notice
from release.programs.cancellation import Cancellation
from release.programs.process import Command
from release.values import replace


class SwarmOperations(PlacedService, frozen=True, kw_only=True):
    """See `release.deploy.core.operations.Operations` for what each method promises."""

    @property
    def jobs(self) -> Jobs:
        """Return the jobs of the Swarm."""
        return Jobs(swarm=self.swarm)

    def refusal(self, what: What) -> str:  # noqa: ARG002 - a Swarm can do all of it
        """Return nothing. `execution` refuses if it cannot reach the engine of a task's node."""
        return ""

    def sources(self, instances: Sequence[Instance]) -> tuple[LogSource, ...]:
        """Return the tasks that should run, or the last ended ones of a stopped service."""
        names = {each.name for each in instances}
        return tuple(
            LogSource(
                id=task.id,
                process=process_of(service.labels),
                replica=str(task.slot),
                deployment=task.labels.get(DEPLOYMENT, ""),
            )
            for service in services_of(self.swarm, self.place)
            for task in self._shown(service, names)
        )

    def _shown(self, service: Service, names: set[str]) -> Iterator[Task]:
        tasks = self.swarm.tasks(service.id)
        if service.name in names:
            yield from {task.slot: task for task in tasks}.values()
            return
        yield from (
            task for task in tasks if task.desired == "running" and f"{service.name}.{task.slot}" in names
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
        """Yield the lines that the tasks' nodes keep."""
        found = self.swarm.engine.timed_task_lines(
            source.id, last=last, since=since, follow=follow, cancellation=cancellation
        )
        for moment, text in found:
            yield LogLine(moment=moment, source=source, text=text)

    def failed(self) -> FailedOutput | None:
        """Return the output, stored in a config of the Swarm."""
        return SwarmFailedOutput(swarm=self.swarm, place=self.place).read()

    def stop(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Set each service to no tasks, and wait until all have ended."""
        services = self._services(instances)
        for service in services:
            context.cancellation.check()
            self._rescaling(service, context).stop()
        return f"{', '.join(each.name for each in services) or 'nothing'} stopped"

    def start(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Set the recorded number of tasks again, and wait until each service settles."""
        said = [self._rescaling(service, context).start() for service in self._services(instances)]
        return "; ".join(said) or "nothing to start"

    def restart(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Let the Swarm replace every task. An exclusive task ends before the next one starts."""
        said = []
        for service in self._services(instances):
            context.cancellation.check()
            said.append(self._rescaling(service, context).restart())
        return "; ".join(said)

    def _services(self, instances: Sequence[Instance]) -> tuple[Service, ...]:
        """Return the services of these tasks, in their order."""
        names = [each.process for each in instances]
        mine = {process_of(each.labels): each for each in services_of(self.swarm, self.place)}
        return tuple(mine[name] for name in dict.fromkeys(names) if name in mine)

    def _rescaling(self, service: Service, context: OperationContext) -> Rescaling:
        return Rescaling(swarm=self.swarm, place=self.place, service=service, context=context, ways=self.ways)

    def begin(self, request: CommandRequest, emit: Emit) -> str:
        """Create a job, which starts at once, without terminal and input."""
        if request.has_terminal:
            emit(Notice(text="a job of a Swarm has no terminal and no input; its output is shown"))
        return self.jobs.create(replace(request, name=naming.run_name(request.name)), emit)

    def attach(self, container: str, attachment: Attachment) -> int:
        """Show the output that the node keeps, until the command ends."""
        return self.jobs.follow(
            container, attachment.say, timeout=attachment.timeout, cancellation=attachment.cancellation
        )

    def execution(self, instance: Instance, command: Sequence[str], *, has_terminal: bool) -> Command:
        """Return the `docker` command at the node's engine. Raises UsageError if it is not reachable."""
        task = self._task_of(instance)
        with ExitStack() as stack:
            machines = look_into(self.swarm, self.ways, stack)
            found = next((each for each in machines.every if each.node.id == task.node), None)
            if found is None or found.engine is None:
                where = str(found) if found is not None else task.node
                why = found.unseen if found is not None else "the Swarm does not know the node"
                raise UsageError(
                    f"run a command in {instance.name}",
                    f"it runs on {where}, whose engine is not reached: {why}",
                    f"set its address in environments.{self.place.environment}.swarm.nodes; or run `docker "
                    f"exec {task.container[:12]} ...` there; or use `invoke run`",
                )
            words = ["exec", "--interactive", *(["--tty"] if has_terminal else [])]
            argv = ("docker", *words, task.container, *command)
            return Command(argv=argv, env=found.engine.command_environment())

    def _is_own(self, service: Service) -> bool:
        return naming.is_run_name(self.place.at(process_of(service.labels)), service.name)

    def _task_of(self, instance: Instance) -> Task:
        for service in services_of(self.swarm, self.place):
            for task in self.swarm.tasks(service.id):
                if f"{service.name}.{task.slot}" == instance.name and task.state == "running":
                    return task
        found = f"no task of {instance.name} runs now"
        raise EngineError(f"run a command in {instance.name}", found, "run the command again")

    def end(self, container: str, *, grace: int) -> int | None:  # noqa: ARG002 - its settings have the grace
        """Remove the job's service."""
        found = self.jobs.get(container)
        if found is None:
            return None
        if not found.is_over:
            self.jobs.stop(container)
        self.jobs.remove(container)
        return found.exit_code if found.is_over else None

    def advice(self, command: str) -> str:
        """Return the `docker` command for a manager."""
        return f"`docker service rm {command}`"

    def one_offs(self) -> tuple[Instance, ...]:
        """Return jobs with the role and name of an operator's command. A pending one counts as running."""
        jobs = self.jobs.every(self.place.labels(RUN))
        found = [command_instance(each) for each in jobs if self._is_own(each.service)]
        over = ("exited", "created")
        return tuple(each if each.status in over else replace(each, status="running") for each in found)
