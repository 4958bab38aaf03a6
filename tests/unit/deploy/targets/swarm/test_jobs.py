"""Jobs of a Swarm: how a command is written, followed, stopped and told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from release.deploy.core.operations import CommandRequest
from release.deploy.core.place import MIGRATION
from release.deploy.targets.swarm.commands import SwarmCommands, command_instance
from release.deploy.targets.swarm.failed_output import SwarmFailedOutput
from release.deploy.targets.swarm.jobs import Jobs
from release.deploy.targets.swarm.naming import command_name
from release.deploy.targets.swarm.objects import Service, Task
from release.errors import Cancelled, EngineError, EngineUnreachable
from release.programs.cancellation import Cancellation
from release.secrets.redact import Mask, Redacted
from release.values import replace
from tests.unit.deploy.targets.swarm.fakes import PLACE, ManyServices, order, real, task

NAME = command_name(PLACE, "2" * 12, "up")


def request(**settings: Any) -> CommandRequest:
    """A command that migrates the data, with these run settings."""
    known = order(**settings)
    return CommandRequest(
        name=NAME,
        place=PLACE,
        role=MIGRATION,
        identity=known.identity,
        image=known.image,
        command=("alembic", "upgrade", "head"),
        entrypoint="replace",
        spec=known.spec,
        secrets=known.secrets,
        timeout=50,
    )


def states(*names: str, **changes: Any) -> Callable[[Service], list[Task]]:
    """Its only task, in each of these states at one question after the other; the last one stays."""
    left = list(names)

    def tell(service: Service) -> list[Task]:
        now = left.pop(0) if len(left) > 1 else left[0]
        return [task(service, state=now, desired="complete", **changes)]

    return tell


def started(fake: ManyServices, **settings: Any) -> str:
    """The id of the job."""
    jobs = Jobs(swarm=real(fake))
    return jobs.create(request(**settings), lambda _: None)


def test_a_job_runs_once_with_settings_and_secrets_and_without_ports() -> None:
    """Its spec has no value of a secret; nothing is published, watched or started again."""
    fake = ManyServices()
    started(fake, secrets={"TOKEN": "key:1"}, networks=("data",), env={"A": "b"}, publish=("8000:8000",))
    spec = fake.table[NAME].spec
    container = spec["TaskTemplate"]["ContainerSpec"]
    assert spec["Mode"] == {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}
    assert spec["TaskTemplate"]["RestartPolicy"]["Condition"] == "none"
    assert spec["TaskTemplate"]["Networks"] == [{"Target": "id-data"}]
    assert container["Command"] == ["alembic", "upgrade", "head"]
    assert container["Env"] == ["TOKEN_FILE=/run/secrets/TOKEN", "A=b"]
    assert container["Healthcheck"]["Test"] == ["NONE"]
    assert "EndpointSpec" not in spec
    assert "UpdateConfig" not in spec
    assert "value of TOKEN" not in str(spec)
    assert PLACE.labels(MIGRATION).items() <= spec["Labels"].items()


def test_a_write_whose_answer_was_lost_is_found() -> None:
    """It is not made twice, and another service of that name is not taken for it."""
    fake = ManyServices(lose_answers=1)
    assert started(fake) == fake.table[NAME].id
    fake.table[NAME] = replace(fake.table[NAME], spec={**fake.table[NAME].spec, "Labels": {}})
    with pytest.raises(EngineError):
        started(fake)


@pytest.mark.parametrize(("state", "code", "expected"), [("complete", 0, 0), ("failed", 3, 3)])
def test_the_exit_status_is_that_of_the_task(state: str, code: int, expected: int) -> None:
    """Also if the manager did not answer in between."""
    fake = ManyServices(tasks_of=states("running", state, exit_code=code))
    job = started(fake)
    asked, ask = [0], fake.tasks

    def tasks(known: str) -> tuple[Task, ...]:
        asked[0] += 1
        if asked[0] == 1:
            raise EngineUnreachable("list the tasks", "it is gone")
        return ask(known)

    fake.tasks = tasks  # type: ignore[method-assign]
    assert Jobs(swarm=real(fake)).await_end(job, 5000, Cancellation()) == expected


@pytest.mark.parametrize("state", ["shutdown", "orphaned", "failed"])
def test_a_task_that_ended_without_a_status_is_no_success(state: str) -> None:
    """As of a node that was lost."""
    fake = ManyServices(tasks_of=states(state, exit_code=None, error="node lost"))
    with pytest.raises(EngineError, match="node lost"):
        Jobs(swarm=real(fake)).await_end(started(fake), 5000, Cancellation())


def test_it_is_given_up_after_its_time_and_if_it_is_cancelled() -> None:
    """The caller stops it then."""
    fake = ManyServices(tasks_of=states("running"))
    job, jobs, given_up = started(fake), Jobs(swarm=real(fake)), Cancellation()
    with pytest.raises(TimeoutError):
        jobs.await_end(job, 0, Cancellation())
    given_up.request("a signal")
    with pytest.raises(Cancelled):
        jobs.await_end(job, 5000, given_up)


def commands(fake: ManyServices) -> SwarmCommands:
    """The commands of the place in this Swarm."""

    class InMemory(SwarmCommands, frozen=True, kw_only=True):
        @property
        def swarm(self) -> Any:
            return fake

    return InMemory(engine=fake.engine, place=PLACE)


def test_one_that_its_node_refused_never_began() -> None:
    """It is told as a container that was only created."""
    fake = ManyServices(tasks_of=states("rejected", error="no such image"))
    with pytest.raises(EngineError, match="no such image"):
        commands(fake).start(request(), lambda _: None, Cancellation())
    (there,) = commands(fake).every()
    assert (there.status, there.name) == ("created", NAME)


def test_one_that_no_node_starts_is_stopped() -> None:
    """Nothing starts it later: its spec asks for no completion."""
    fake = ManyServices()
    fake.tasks_of = lambda service: (
        [task(service, state="pending", error="no suitable node")]
        if service.spec["Mode"]["ReplicatedJob"]["TotalCompletions"]
        else []
    )
    with pytest.raises(EngineError, match="no suitable node"):
        commands(fake).start(request(), lambda _: None, Cancellation())
    (there,) = commands(fake).every()
    assert (there.status, there.exit_code) == ("exited", 1)


@pytest.mark.parametrize(
    ("tasks", "status", "code"),
    [
        ([], "pending", 1),
        ([{"state": "preparing"}], "preparing", 1),
        ([{"state": "complete", "exit_code": 0}], "exited", 0),
        ([{"state": "failed", "exit_code": 3}], "exited", 3),
        ([{"state": "failed", "exit_code": 3}, {"state": "complete", "exit_code": 0}], "exited", 1),
    ],
)
def test_a_job_is_told_as_a_container(tasks: list[dict[str, Any]], status: str, code: int) -> None:
    """One that a manager started again is never taken for done."""
    fake = ManyServices(tasks_of=lambda service: [task(service, **each) for each in tasks])
    started(fake)
    (there,) = commands(fake).every()
    assert (there.status, there.exit_code) == (status, code)


def test_a_command_is_found_stopped_and_removed() -> None:
    """By labels; its name ends in its kind, however long the service's name is."""
    fake = ManyServices(tasks_of=states("running"))
    job = started(fake)
    (found,) = commands(fake).every()
    assert found == command_instance(Jobs(swarm=real(fake)).every({})[0])
    assert (found.id, found.argv) == (job, ("alembic", "upgrade", "head"))
    long = replace(PLACE, service="s" * 80)
    assert len(command_name(long, "2" * 12, "down")) == 63
    assert command_name(long, "2" * 12, "down").endswith(f"-{'2' * 12}-down")
    fake.tasks_of = lambda _: []
    commands(fake).stop(job)
    assert command_instance(Jobs(swarm=real(fake)).every({})[0]).status == "exited"
    commands(fake).remove(job)
    assert fake.table == {}


def test_the_output_of_a_job_that_failed_is_kept_without_secrets() -> None:
    """In a config, under the name of the command's kind; without a task there is nothing to keep."""
    fake = ManyServices()
    fake.timed_output = lambda _, lines: (("2026-11-20T10:00:00Z", "token canary"),)  # type: ignore[attr-defined]
    job, mask = started(fake), Mask([Redacted("canary")])
    fake.tasks_of = lambda _: []
    assert not commands(fake).keep_output(job, "up", mask)
    fake.tasks_of = states("failed", container="c")
    assert commands(fake).keep_output(job, "up", mask)
    found = SwarmFailedOutput(swarm=real(fake), place=PLACE).read()
    assert found is not None
    assert [(line.source.process, line.text) for line in found.lines] == [("up", "token ***")]
