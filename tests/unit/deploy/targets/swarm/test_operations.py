"""Operations on the services of a Swarm: what is written, what is proven, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from release.deploy.core.failed_output import CapturedOutput, keep_on_failure
from release.deploy.core.instance import Instance
from release.deploy.core.operations import RUN, Attachment, LogSource, OperationContext
from release.deploy.targets.swarm.failed_output import SwarmFailedOutput, collect
from release.deploy.targets.swarm.instances import SwarmInstances
from release.deploy.targets.swarm.marks import is_as_written
from release.deploy.targets.swarm.objects import Service, Task
from release.deploy.targets.swarm.operations import SwarmOperations
from release.deploy.targets.swarm.scaling import is_paused, paused, resumed
from release.deploy.targets.swarm.spec import Parts, service_spec
from release.errors import DeploymentFailed, EngineError, Restored, UsageError
from release.events import Event, Notice
from release.programs.cancellation import Cancellation
from release.runspec import RunSpec
from release.secrets.redact import Mask, Redacted
from release.values import replace
from tests.unit.deploy.targets.swarm import test_processes as several
from tests.unit.deploy.targets.swarm.fakes import PLACE, ManyServices, node, order, real, task
from tests.unit.deploy.targets.swarm.test_jobs import request
from tests.unit.deploy.targets.swarm.test_processes import BEAT, WEB, spec, swarm


def operations(fake: ManyServices) -> SwarmOperations:
    class InMemory(SwarmOperations, frozen=True, kw_only=True):
        @property
        def swarm(self) -> Any:
            return fake

    return InMemory(engine=fake.engine, place=PLACE)


def instances(fake: ManyServices) -> tuple[tuple[Instance, ...], tuple[Instance, ...]]:
    """Those that run, and those that are stopped."""

    class InMemory(SwarmInstances, frozen=True, kw_only=True):
        @property
        def swarm(self) -> Any:
            return fake

    found = InMemory(engine=fake.engine, place=PLACE).look()
    return found.running, found.stopped


def context(recorded: RunSpec, said: list[Event] | None = None) -> OperationContext:
    emit = (said if said is not None else []).append
    return OperationContext(spec=recorded, health_timeout=10_000, emit=emit, cancellation=Cancellation())


def test_a_paused_spec_leads_back_to_the_very_spec() -> None:
    """Also without its ports' service; one that was changed by hand leads nowhere."""
    written = service_spec(order(replicas=3), Parts())
    stopped = paused(written, has_ports=True)
    assert (replicas_of(stopped), is_paused(stopped), is_paused(written)) == (0, True, False)
    assert is_as_written(stopped)
    assert resumed(stopped, 3) == written
    with pytest.raises(ValueError, match="not those that its label names"):
        resumed(stopped, 2)
    by_hand = {**stopped, "EndpointSpec": {"Mode": "dnsrr"}}
    assert not is_paused(by_hand)


def replicas_of(written: dict[str, Any]) -> int:
    return int(written["Mode"]["Replicated"]["Replicas"])


def test_what_is_stopped_keeps_its_spec_and_starts_with_the_recorded_tasks() -> None:
    """The last process first; it is told as stopped; nothing else of its spec is changed."""
    fake, recorded = swarm("web", "beat"), spec("web", "beat")
    specs = {name: each.spec for name, each in fake.table.items()}
    running, _ = instances(fake)
    assert operations(fake).stop(running[::-1], context(recorded)) == f"{BEAT}, {WEB} stopped"
    assert fake.calls == [f"update {BEAT}", f"update {WEB}"]
    assert fake.table[WEB].spec["EndpointSpec"]["Ports"]
    running, stopped = instances(fake)
    assert running == ()
    assert [(each.process, each.status) for each in stopped] == [("web", "stopped"), ("beat", "stopped")]
    said = operations(fake).start(stopped, context(recorded))
    assert said == "; ".join(f"{name}: 1 of 1 tasks run on 1 node" for name in ("web", "beat"))
    assert {name: each.spec for name, each in fake.table.items()} == specs


def test_a_restart_is_forced_and_an_exclusive_process_is_stopped_before() -> None:
    """No key of the settings is changed: it is no drift."""
    fake, recorded = swarm("web", "beat"), spec("web", "beat")
    update = fake.update

    def completed(known: Service, written: Any, image: Any) -> bool:
        done = update(known, written, image)
        fake.table[known.name] = replace(fake.table[known.name], update="completed")
        return done

    fake.update = completed  # type: ignore[method-assign, assignment]
    running, _ = instances(fake)
    operations(fake).restart(running, context(recorded))
    assert fake.calls == [f"update {WEB}", f"update {BEAT}", f"update {BEAT}"]
    assert fake.table[WEB].spec["TaskTemplate"]["ForceUpdate"] == 1
    assert fake.table[BEAT].previous["Mode"] == {"Replicated": {"Replicas": 0}}
    assert all(is_as_written(each.spec) for each in fake.table.values())


def test_a_service_that_another_command_changed_is_left_alone() -> None:
    """By hand, or by another deployment."""
    fake, recorded = swarm("web"), spec("web")
    running, _ = instances(fake)
    now = fake.table[WEB]
    fake.table[WEB] = replace(now, spec={**now.spec, "Mode": {"Replicated": {"Replicas": 7}}})
    with pytest.raises(EngineError, match="another command changed it"):
        operations(fake).stop(running, context(recorded))
    assert fake.calls == []


def test_a_command_beside_a_task_needs_the_engine_of_its_node() -> None:
    """The manager's own is there; for another one the message says what to do."""
    fake = swarm("web")
    fake.engine.command_environment = lambda: {"DOCKER_HOST": "here"}
    fake.machines = [node(), node("b")]
    fake.tasks_of = lambda service: [task(service, container="c" * 64)]
    (web,), _ = instances(fake)
    program = operations(fake).execution(web, ["true"], has_terminal=True)
    assert program.argv == ("docker", "exec", "--interactive", "--tty", "c" * 64, "true")
    fake.tasks_of = lambda service: [task(service, node="id-b", container="c" * 64)]
    with pytest.raises(UsageError) as caught:
        operations(fake).execution(web, ["true"], has_terminal=False)
    assert "it runs on b, whose engine is not reached" in caught.value.found
    for part in ("swarm.nodes", "docker exec cccccccccccc", "invoke run"):
        assert part in caught.value.hint


class Telling:
    """An engine that gives the lines of a task, with their times."""

    host = "unix:///var/run/docker.sock"

    def __init__(self, *answers: list[tuple[str, str]]) -> None:
        self.answers = list(answers)

    def timed_task_lines(self, task: str, since: datetime | None = None) -> Iterator[tuple[str, str]]:
        now = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        yield from now


def test_the_output_of_a_job_is_shown_once_and_as_it_comes() -> None:
    """Lines of one moment too; its exit status is that of the task, and its service goes."""
    first, second, third = [("2026-11-20T10:00:00.1Z", each) for each in "abc"]
    last = ("2026-11-20T10:00:01.2Z", "d")
    fake = ManyServices()
    fake.engine = Telling([first, second], [second, third], [third, last])
    states = ["running", "running", "failed"]
    fake.tasks_of = lambda service: [
        task(service, state=states.pop(0) if len(states) > 1 else states[0], exit_code=7, container="c")
    ]
    shown: list[str] = []
    asked = replace(request(), name=f"{PLACE.container}-run-{'3' * 12}", role=RUN, has_terminal=True)
    said: list[Any] = []
    job = operations(fake).begin(asked, said.append)
    assert isinstance(said[0], Notice)
    attachment = Attachment(say=shown.append, timeout=10_000, cancellation=Cancellation())
    assert operations(fake).attach(job, attachment) == 7
    assert shown[0] == "a"
    assert shown[-1] == "d"
    (left,) = operations(fake).one_offs()
    assert left.status == "exited"
    assert operations(fake).end(job, grace=0) == 7
    assert (fake.table, operations(fake).one_offs()) == ({}, ())
    assert operations(fake).end(job, grace=0) is None


def test_output_is_of_the_processes_that_were_asked_for() -> None:
    """Tasks that should run; of a stopped service the last ones."""
    fake = swarm("web", "worker")
    running, _ = instances(fake)
    chosen = [each for each in running if each.process == "web"]
    (source,) = operations(fake).sources(chosen)
    assert (source.process, source.replica, source.deployment) == ("web", "1", several.OLD)
    now = fake.table[WEB]
    fake.table[WEB] = replace(now, spec=paused(now.spec, has_ports=True))
    fake.tasks_of = lambda service: [task(service, state="shutdown", desired="shutdown")]
    _, stopped = instances(fake)
    assert [each.process for each in operations(fake).sources(stopped)] == ["web"]


def test_the_output_of_a_failed_rollout_is_kept_until_the_next_one() -> None:
    """Without secrets; another config of that name is not taken for it."""
    fake = swarm("web")
    fake.timed_output = lambda _, lines: (("2026-11-20T10:00:00Z", "token canary-secret"),)  # type: ignore[attr-defined]
    written: list[CapturedOutput] = []
    said: list[Event] = []

    def fail() -> None:
        tasks: list[Task] = [task(fake.table[WEB], state="failed", container="c")]
        with keep_on_failure(SwarmFailedOutput(swarm=real(fake), place=PLACE).shelf, written, said.append):
            written.extend(collect(real(fake), several.NEW, tasks, Mask([Redacted("canary-secret")])))
            raise Restored("deploy it", "it failed")

    with pytest.raises(DeploymentFailed):
        fail()
    found = operations(fake).failed()
    assert found is not None
    assert found.deployment == several.NEW
    assert [(line.source, line.text) for line in found.lines] == [
        (LogSource(id="", process="web", replica="1", deployment=several.NEW), "token ***")
    ]
    assert any("logs --failed" in str(each) for each in said)
    with keep_on_failure(SwarmFailedOutput(swarm=real(fake), place=PLACE).shelf, [], said.append):
        pass
    assert operations(fake).failed() is None
