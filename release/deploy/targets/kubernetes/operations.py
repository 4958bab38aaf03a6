"""Operations on the pods of a place: their output. Other ones are refused with the command that does them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NoReturn

from release.cancellation import Cancellation
from release.deploy.core.instance import Instance
from release.deploy.core.operating import (
    Attachment,
    CommandRequest,
    FailedOutput,
    LogLine,
    LogSource,
    OperationContext,
    What,
)
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.placed import PlacedWorkloads
from release.errors import UsageError
from release.events import Emit
from release.process import Command

_REFUSALS: Final = {
    "run": "use `kubectl -n {namespace} run` with the image that `invoke status` shows",
    "exec": "use `kubectl -n {namespace} exec -it deploy/{name} -- COMMAND`",
    "restart": "use `kubectl -n {namespace} rollout restart deployment/{name}`: it is no drift",
    "stop": "use `kubectl -n {namespace} scale --replicas=0 deployment/{name}`",
    "start": "use `invoke deploy` or `invoke rollback`: both restore the recorded number of pods",
    "failed": "pods of a failed deployment are removed; its error has their last lines",
}


class KubernetesOperations(PlacedWorkloads, frozen=True, kw_only=True):
    """See `release.deploy.core.operating.Operations` for what each method promises."""

    def refusal(self, what: What) -> str:
        """Everything but the output of its pods."""
        words = _REFUSALS.get(what, "")
        return words.format(name=naming.workload(self.place), namespace=self.cluster.namespace)

    def sources(self, instances: Sequence[Instance]) -> tuple[LogSource, ...]:  # noqa: ARG002 - pods
        """The pods that are not about to go."""
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
        """As the node of the pod keeps them, with the time that its runtime wrote each."""
        for line in self.cluster.pods.lines(source.id, last=last, since=since, follow=follow):
            cancellation.check()
            moment, _, text = line.partition(" ")
            yield LogLine(moment=moment, source=source, text=text)

    def failed(self) -> FailedOutput | None:
        """Not here."""
        self._refuse("failed")

    def stop(self, instances: Sequence[Instance], context: OperationContext) -> str:  # noqa: ARG002 - the protocol's
        """Not here."""
        self._refuse("stop")

    def start(self, instances: Sequence[Instance], context: OperationContext) -> str:  # noqa: ARG002 - the protocol's
        """Not here."""
        self._refuse("start")

    def restart(self, instances: Sequence[Instance], context: OperationContext) -> str:  # noqa: ARG002 - the protocol's
        """Not here."""
        self._refuse("restart")

    def begin(self, request: CommandRequest, emit: Emit) -> str:  # noqa: ARG002 - the protocol's
        """Not here."""
        self._refuse("run")

    def attach(self, container: str, attachment: Attachment) -> int:  # noqa: ARG002 - the protocol's
        """Not here."""
        self._refuse("run")

    def execution(self, instance: Instance, command: Sequence[str], *, has_terminal: bool) -> Command:  # noqa: ARG002 - the protocol's
        """Not here."""
        self._refuse("exec")

    def end(self, container: str, *, grace: int) -> int | None:  # noqa: ARG002 - the protocol's
        """Nothing is made here."""
        return None

    def advice(self, command: str) -> str:  # noqa: ARG002 - the protocol's
        """Nothing is made here."""
        return ""

    def one_offs(self) -> tuple[Instance, ...]:
        """Nothing is made here."""
        return ()

    def _refuse(self, what: What) -> NoReturn:
        raise UsageError(f"{what} {self.place}", self.refusal(what))
