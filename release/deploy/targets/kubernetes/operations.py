"""Operations on the pods of a place: their output, commands, restart, stop and start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.commands import command_instance
from release.deploy.targets.kubernetes.failed_output import KubernetesFailedOutput
from release.deploy.targets.kubernetes.jobs import Jobs
from release.deploy.targets.kubernetes.manifests import CONTAINER_OF
from release.deploy.targets.kubernetes.placed import PlacedWorkloads
from release.deploy.targets.kubernetes.pod import CONTAINER
from release.deploy.targets.kubernetes.rescaling import Rescaling
from release.events import Emit, Notice
from release.programs.cancellation import Cancellation
from release.programs.process import Command
from release.values import replace


class KubernetesOperations(PlacedWorkloads, frozen=True, kw_only=True):
    """See `release.deploy.core.operations.Operations` for what each method promises."""

    @property
    def jobs(self) -> Jobs:
        """Return the Jobs of the namespace."""
        return Jobs(cluster=self.cluster, clock=self.clock)

    def refusal(self, what: What) -> str:  # noqa: ARG002 - nothing is refused
        """Return an empty text."""
        return ""

    def sources(self, instances: Sequence[Instance]) -> tuple[LogSource, ...]:  # noqa: ARG002 - pods
        """Return the pods that are not being deleted."""
        return tuple(
            LogSource(id=pod.name, process=one.process, replica=str(slot), deployment=pod.deployment)
            for one in self.workloads()
            for slot, pod in enumerate(one.pods, start=1)
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
        """Yield the lines that the pod's node keeps, with the runtime's times."""
        for line in self.cluster.pods.lines(source.id, last=last, since=since, follow=follow):
            cancellation.check()
            moment, _, text = line.partition(" ")
            yield LogLine(moment=moment, source=source, text=text)

    def failed(self) -> FailedOutput | None:
        """Return the output that the namespace keeps."""
        return KubernetesFailedOutput(cluster=self.cluster, place=self.place).read()

    def stop(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Set each Deployment to 0 pods, and wait until all have ended."""
        every = list(self._each(instances, context))
        for each in every:
            each.refuse_autoscaled()
        return f"{', '.join(each.stop() for each in every) or 'nothing'} stopped"

    def start(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Set the recorded number of pods again, and prove them."""
        return "; ".join(each.start() for each in self._each(instances, context)) or "nothing to start"

    def restart(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Let the cluster replace every pod."""
        return "; ".join(each.restart() for each in self._each(instances, context))

    def _each(self, instances: Sequence[Instance], context: OperationContext) -> Iterator[Rescaling]:
        """Return the Deployments of these pods, in their order."""
        mine = {one.process: one for one in self.workloads()}
        for name in dict.fromkeys(each.process for each in instances):
            context.cancellation.check()
            if name in mine:
                yield Rescaling(
                    cluster=self.cluster,
                    place=self.place,
                    force=self.force,
                    clock=self.clock,
                    workload=mine[name],
                    context=context,
                )

    def begin(self, request: CommandRequest, emit: Emit) -> str:
        """Create a Job, which starts at once, without terminal and input."""
        if request.has_terminal:
            emit(Notice(text="a job has no terminal and no input; its output is shown"))
        return self.jobs.create(replace(request, name=naming.run_name(request.name)))

    def attach(self, container: str, attachment: Attachment) -> int:
        """Show the output that the node keeps, until the command ends."""
        return self.jobs.follow(
            container, attachment.say, timeout=attachment.timeout, cancellation=attachment.cancellation
        )

    def execution(self, instance: Instance, command: Sequence[str], *, has_terminal: bool) -> Command:
        """Return the kubectl command, which must be installed."""
        terminal = ("--stdin", "--tty") if has_terminal else ("--stdin",)
        return self.cluster.kubectl(
            "exec",
            *terminal,
            instance.name,
            f"--container={instance.labels.get(CONTAINER_OF, CONTAINER)}",
            "--",
            *command,
        )

    def end(self, container: str, *, grace: int) -> int | None:  # noqa: ARG002 - its settings have the grace
        """Remove the Job with its pod."""
        found = self.jobs.get(container)
        if found is None:
            return None
        if found.status != "exited":
            self.jobs.stop(container)
        self.jobs.remove(container)
        return found.exit_code if found.status == "exited" else None

    def advice(self, command: str) -> str:
        """Return the kubectl command that stops the Job."""
        return f"`kubectl -n {self.cluster.namespace} delete job {command}`"

    def one_offs(self) -> tuple[Instance, ...]:
        """Return Jobs with the role of an operator's command. A pending one counts as running."""
        found = map(command_instance, self.jobs.every(naming.selector(self.place, RUN)))
        return tuple(each if each.status == "exited" else replace(each, status="running") for each in found)
