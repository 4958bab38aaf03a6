"""Operations on the containers of one engine: their output, commands, restart, stop and start."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

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
from release.deploy.core.place import Place, process_of
from release.deploy.core.steps import elapsed_ms, step
from release.deploy.targets.engine import failed_output
from release.deploy.targets.engine.commands import command_container
from release.deploy.targets.engine.gates import Gates
from release.deploy.targets.engine.health import Watch, await_healthy
from release.deploy.targets.engine.instances import instance_of
from release.deploy.targets.engine.process_proxies import Front, FrontOf, no_front
from release.deploy.targets.engine.stopping import await_stop
from release.events import Emit
from release.images.engine import ContainerState, Engine
from release.programs.cancellation import Cancellation
from release.programs.interactive import hand_over
from release.programs.process import Command
from release.runspec import RunSpec
from release.values import Struct, replace

_ASK_SECONDS: Final = 0.1
_NO_DETACHING: Final = "ctrl-],ctrl-],ctrl-]"
"""Keys that leave a terminal without ending its program: a sequence that nobody types by accident."""


class EngineOperations(Struct, frozen=True, kw_only=True):
    """Operations on one engine. See `release.deploy.core.operations.Operations` for each method."""

    engine: Engine
    place: Place
    front_of: FrontOf = no_front
    """The proxy before each process."""

    def refusal(self, what: What) -> str:  # noqa: ARG002 - other targets cannot do everything
        """Return nothing: one engine supports all operations."""
        return ""

    def sources(self, instances: Sequence[Instance]) -> tuple[LogSource, ...]:
        """Return the log sources, by the containers' labels."""
        return tuple(map(LogSource.of, instances))

    def read(
        self,
        source: LogSource,
        *,
        last: int | None,
        since: datetime | None,
        follow: bool,
        cancellation: Cancellation,
    ) -> Iterator[LogLine]:
        """Yield the lines that the engine's logging driver keeps."""
        found = self.engine.timed_lines(
            source.id, last=last, since=since, follow=follow, cancellation=cancellation
        )
        for moment, text in found:
            yield LogLine(moment=moment, source=source, text=text)

    def failed(self) -> FailedOutput | None:
        """Return the output, stored in a container that never runs."""
        return failed_output.read(self.engine, self.place)

    def stop(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Take the containers out of traffic, then stop and keep each."""
        for instance in instances:
            context.cancellation.check()
            self._stop(instance, context)
        return f"{_names(instances)} stopped"

    def start(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Start the containers. Each gets requests after it is proven."""
        seen = {process_of(each.labels): self._start(each, context) for each in instances}
        return _evidence(seen) or "nothing to start"

    def restart(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Restart each container. Interruptions are only checked before its stop."""
        seen: dict[str, str] = {}
        for instance in instances:
            context.cancellation.check()
            self._stop(instance, context)
            seen[process_of(instance.labels)] = self._start(instance, context)
        return _evidence(seen)

    def _stop(self, instance: Instance, context: OperationContext) -> None:
        context.still_mine()
        with step(context.emit, "stop") as say:
            grace, front = _settings(instance, context).stop_grace, self._front(instance)
            if front is not None:
                grace = max(grace, self._leave_traffic(front, instance))
            self.engine.stop(instance.id, grace=grace)
            say(instance.name)

    def _front(self, instance: Instance) -> Front | None:
        return self.front_of(process_of(instance.labels))

    def _leave_traffic(self, front: Front, instance: Instance) -> int:
        """Take a container out of traffic; return the milliseconds that its stop may need."""
        states, proxy = self._states(instance), front.proxy
        proxy.switch(into=[], out=states)
        began = time.monotonic()
        while (count := proxy.busy(states)) and elapsed_ms(began) < front.drain:
            time.sleep(_ASK_SECONDS)
        proxy.forget(states)
        return front.drain if count is None else 0

    def _start(self, instance: Instance, context: OperationContext) -> str:
        context.still_mine()
        with step(context.emit, "start") as say:
            grace = _settings(instance, context).stop_grace
            await_stop(self.engine, instance.id, grace=grace, emit=context.emit)
            self.engine.start(instance.id)
            say(instance.name)
        with step(context.emit, "health") as say:
            seen = await_healthy(self._watch(instance, context))
            if (front := self._front(instance)) is not None:
                front.proxy.switch(into=self._states(instance), out=[])
            say(seen.evidence)
        return seen.evidence

    def _states(self, instance: Instance) -> list[ContainerState]:
        """Return the current states: a container gets its address when it starts."""
        state = self.engine.state(instance.id)
        return [] if state is None else [state]

    def _watch(self, instance: Instance, context: OperationContext) -> Watch:
        spec, front = _settings(instance, context), self._front(instance)
        return Watch(
            engine=self.engine,
            container=instance.id,
            probe=spec.probe,
            timeout=context.health_timeout,
            emit=context.emit,
            mask=context.mask,
            process=process_of(instance.labels),
            cancellation=context.cancellation,
            gates=Gates.of(spec),
            at_once=front is None or front.checks_at_once,
        )

    def begin(self, request: CommandRequest, emit: Emit) -> str:  # noqa: ARG002 - nothing to tell
        """Create the container with standard input, and a terminal if the operator has one."""
        spec = command_container(self.engine, request)
        return self.engine.create(replace(spec, has_input=True, has_terminal=request.has_terminal))

    def attach(self, container: str, attachment: Attachment) -> int:
        """Run the `docker` program, which handles the terminal's size, keys and signals."""
        words = ("start", "--attach", "--interactive", f"--detach-keys={_NO_DETACHING}", container)
        timeout, cancellation = attachment.timeout / 1000, attachment.cancellation
        return hand_over(self._docker(*words), timeout=timeout, cancellation=cancellation)

    def execution(self, instance: Instance, command: Sequence[str], *, has_terminal: bool) -> Command:
        """Return the `docker` program that runs a command in the container."""
        words = ["exec", "--interactive", *(["--tty"] if has_terminal else [])]
        return self._docker(*words, f"--detach-keys={_NO_DETACHING}", instance.id, *command)

    def _docker(self, *words: str) -> Command:
        return Command(argv=("docker", *words), env=self.engine.command_environment())

    def end(self, container: str, *, grace: int) -> int | None:
        """Remove the container with its unnamed volumes."""
        state = self.engine.state(container)
        is_running = state is not None and state.status == "running"
        if is_running:
            self.engine.stop(container, grace=grace)
        self.engine.remove(container)
        return state.exit_code if state is not None and not is_running else None

    def advice(self, command: str) -> str:
        """Return the `docker` command that stops the container."""
        return f"`docker stop {command}`"

    def one_offs(self) -> tuple[Instance, ...]:
        """Return the containers with the role of an operator's command."""
        return tuple(map(instance_of, self.engine.containers(self.place.labels(RUN))))


def _evidence(seen: Mapping[str, str]) -> str:
    """Return the evidence of each process with its name before it."""
    return "; ".join(f"{process}: {text}" if process else text for process, text in seen.items())


def _names(instances: Sequence[Instance]) -> str:
    return ", ".join(instance.name for instance in instances) or "nothing"


def _settings(instance: Instance, context: OperationContext) -> RunSpec:
    """Return the recorded settings of a container's process."""
    return context.spec.every.get(process_of(instance.labels), context.spec)
