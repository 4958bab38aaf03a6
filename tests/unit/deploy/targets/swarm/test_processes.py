"""Several processes in a Swarm: their order, never two of an exclusive one, all new or all old."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from release.deploy.core.instance import InstanceSet
from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.swarm.objects import Service, Task
from release.deploy.targets.swarm.part import identities
from release.deploy.targets.swarm.rollout import fresh, resumed
from release.deploy.targets.swarm.tasks import replicas
from release.errors import DeploymentFailed, LockHeld, MixedState, Restored
from release.programs.cancellation import Cancellation
from release.runspec import ProcessSpec, Publish, RunSpec
from release.targetspec import SwarmSpec
from release.values import replace
from tests.unit.deploy import fakes as containers
from tests.unit.deploy.targets.swarm.fakes import ManyServices, all_run, means, node, order, real, task

OLD, NEW = "1" * 12, "2" * 12
NAME = "api-production"
WEB, WORKER, BEAT = (f"{NAME}-{name}" for name in ("web", "worker", "beat"))
QUICK: dict[str, Any] = {"swarm": SwarmSpec(monitor=0, order="start-first"), "stop_grace": 1}
PORT = (Publish.model_validate("8080:8000"),)


def spec(*names: str, **changes: Any) -> RunSpec:
    """Settings of these processes; beat is exclusive, and web has a port. Without names: one process."""
    if not names:
        return RunSpec(**QUICK, publish=PORT, **changes)
    every = (
        ProcessSpec(
            name=name,
            settings=RunSpec(**QUICK, publish=PORT if name == "web" else (), **changes),
            exclusive=name == "beat",
        )
        for name in names
    )
    return RunSpec(**QUICK, processes=tuple(every))


def request(
    fake: ManyServices, new: RunSpec, old: RunSpec | None = None, to: str = NEW, patience: int = 10_000
) -> RolloutRequest:
    """The order whose plan was made for what is there."""
    there = [one for each in fake.table.values() for one in identities(each)]
    found = InstanceSet(running=tuple(containers.instance(id=one) for one in there), stopped=())
    replaces = OLD if old is not None else None
    return replace(order(to, before=found), spec=new, old=old, replaces=replaces, health_timeout=patience)


def swarm(*names: str, **more: Any) -> ManyServices:
    """A Swarm in which these processes of an earlier deployment run."""
    fake = ManyServices(**more)
    fresh(real(fake), request(fake, spec(*names), to=OLD), means()).run()
    fake.calls.clear()
    return fake


def runs(fake: ManyServices) -> dict[str, tuple[str, int]]:
    """Deployment and number of tasks of each service."""
    return {
        name: (each.labels["release.deployment"], replicas(each)) for name, each in sorted(fake.table.items())
    }


def failing(*names: str) -> Callable[[Service], list[Task]]:
    """New tasks of these services end; all others run."""

    def tasks(service: Service) -> list[Task]:
        if service.name in names and service.labels["release.deployment"] == NEW:
            return [task(service, state="failed", desired="shutdown", error="exit 7", exit_code=7)]
        return all_run(service)

    return tasks


def test_processes_are_replaced_in_their_order_and_an_exclusive_one_is_stopped_first() -> None:
    """What ran before is kept until all are proven; then nothing is left of it."""
    fake = swarm("web", "worker", "beat")
    new, kept = request(fake, spec("web", "worker", "beat"), spec("web", "worker", "beat")), set[str]()
    fake.steps = [lambda: kept.update(fake.kept)] * 20
    assert fresh(real(fake), new, means()).run() == "; ".join(
        f"{name}: 1 of 1 tasks run on 1 node" for name in ("web", "worker", "beat")
    )
    assert fake.calls == [f"update {WEB}", f"update {WORKER}", f"update {BEAT}", f"update {BEAT}"]
    assert len(kept) == 3
    assert fake.kept == {}
    assert runs(fake) == dict.fromkeys(sorted((WEB, WORKER, BEAT)), (NEW, 1))
    assert fake.table[BEAT].spec["UpdateConfig"]["Order"] == "stop-first"
    assert fake.table[WEB].spec["UpdateConfig"]["Order"] == "start-first"
    assert fake.table[BEAT].previous["Mode"] == {"Replicated": {"Replicas": 0}}


def test_an_exclusive_task_that_does_not_end_keeps_the_new_one_from_starting() -> None:
    """No spec of the new one is submitted; what cannot be put back either is told."""

    def stubborn(service: Service) -> list[Task]:
        if service.name == BEAT and not replicas(service):
            return [task(service, desired="shutdown")]
        return all_run(service)

    fake = swarm("beat", tasks_of=all_run)
    fake.tasks_of = stubborn
    with pytest.raises(DeploymentFailed) as caught:
        fresh(real(fake), request(fake, spec("beat"), spec("beat"), patience=400), means()).run()
    assert "tasks are left: on a" in str(caught.value)
    assert all(deployment == OLD for deployment, _ in runs(fake).values())


def test_an_exclusive_task_on_a_silent_node_is_not_replaced() -> None:
    """It may still run there; nothing was changed."""
    fake = swarm("beat")
    fake.machines = [node(is_ready=False), node("b")]
    before = runs(fake)
    with pytest.raises(DeploymentFailed, match="nothing was changed") as caught:
        fresh(real(fake), request(fake, spec("beat"), spec("beat")), means()).run()
    assert "its node does not answer, and it is exclusive" in str(caught.value)
    assert (runs(fake), fake.calls, fake.kept) == (before, [], {})


@pytest.mark.parametrize("name", [WEB, WORKER, BEAT])
def test_one_that_fails_puts_all_back(name: str) -> None:
    """The last one first, with the very specs."""
    fake = swarm("web", "worker", "beat")
    specs = {each.name: each.spec for each in fake.table.values()}
    fake.tasks_of = failing(name)
    asked = request(fake, spec("web", "worker", "beat"), spec("web", "worker", "beat"))
    with pytest.raises(Restored, match="web: 1 of 1 tasks run on 1 node; worker: 1 of 1") as caught:
        fresh(real(fake), asked, means()).run()
    assert {each.name: each.spec for each in fake.table.values()} == specs
    assert fake.kept == {}
    assert caught.value.found.startswith(f"{name.removeprefix(NAME)[1:]}: ")


def test_what_cannot_be_put_back_is_told_for_each_process() -> None:
    """Status 4, with all services; the kept specs stay for another attempt."""
    fake = swarm("web", "worker")

    def tasks(service: Service) -> list[Task]:
        if service.name == WORKER and fake.calls:
            return [task(service, state="failed", desired="shutdown", exit_code=7)]
        return all_run(service)

    fake.tasks_of = tasks
    with pytest.raises(MixedState) as caught:
        fresh(
            real(fake), request(fake, spec("web", "worker"), spec("web", "worker"), patience=400), means()
        ).run()
    assert "failed too (worker: " in str(caught.value)
    assert f"docker service ps {WEB} {WORKER}" in caught.value.hint
    assert len(fake.kept) == 2


@pytest.mark.parametrize(
    ("old", "new"), [((), ("web", "beat")), (("web", "beat"), ()), (("web", "worker"), ("web", "beat"))]
)
def test_processes_come_and_go_with_a_deployment(old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """One that goes is stopped first, without its ports, and removed last; a failure brings it back."""
    fake = swarm(*old)
    specs = {each.name: each.spec for each in fake.table.values()}
    asked = request(fake, spec(*new), spec(*old))
    last = f"{NAME}-beat" if new else NAME
    fake.tasks_of = failing(last)
    with pytest.raises(Restored):
        fresh(real(fake), asked, means()).run()
    assert {each.name: each.spec for each in fake.table.values()} == specs
    fake.calls.clear()
    fake.tasks_of = all_run
    fresh(real(fake), asked, means()).run()
    gone = {f"{NAME}-{name}" if name else NAME for name in (old or ("",))} - {
        f"{NAME}-{name}" if name else NAME for name in (new or ("",))
    }
    assert [call for call in fake.calls if call.split()[1] in gone][: len(gone)] == [
        f"update {name}" for name in sorted(gone)
    ]
    assert fake.calls[-len(gone) :] == [f"remove {name}" for name in sorted(gone)]
    assert {deployment for deployment, _ in runs(fake).values()} == {NEW}
    assert len(fake.table) == len(new or ("",))


class Dies(BaseException):
    """The operator's process is gone."""


def dying(fake: ManyServices, number: int) -> None:
    """Die after this many writes."""
    for name in ("create", "update", "remove", "store"):
        act = getattr(fake, name)

        def acting(*args: Any, act: Callable[..., Any] = act, **kwargs: Any) -> Any:
            nonlocal number
            result = act(*args, **kwargs)
            number -= 1
            if number == 0:
                raise Dies
            return result

        setattr(fake, name, acting)


def restored(fake: ManyServices, names: Iterable[str]) -> None:
    for name in names:
        fake.__dict__.pop(name, None)


@pytest.mark.parametrize("number", range(1, 12))
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("web", "worker", "beat"), ("web", "worker", "beat")),
        ((), ("web", "worker", "beat")),
        (("web", "worker", "beat"), ()),
    ],
)
def test_killed_after_any_write_everything_is_old_or_everything_is_new(
    number: int, old: tuple[str, ...], new: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reverted, the very specs run; finished where all were submitted. Nothing is kept then."""
    fake = swarm(*old)
    specs = {each.name: each.spec for each in fake.table.values()}
    asked = request(fake, spec(*new), spec(*old))
    rollout = fresh(real(fake), asked, means())
    monkeypatch.setattr(type(rollout), "_give_up", lambda self, before, error: error)
    monkeypatch.setattr(type(rollout), "_untouched", lambda self, error: None)
    dying(fake, number)
    try:
        rollout.run()
    except Dies:
        pass
    else:
        return
    finally:
        restored(fake, ("create", "update", "remove", "store"))
        monkeypatch.undo()
    left = resumed(real(fake), replace(asked, before=InstanceSet(running=(), stopped=())), means())
    submitted = {name for name, (deployment, _) in runs(fake).items() if deployment == NEW}
    if len(submitted) == len(new or ("",)):
        left.resume()
        assert {deployment for deployment, _ in runs(fake).values()} == {NEW}
        assert len(fake.table) == len(new or ("",))
    else:
        assert "what ran before" in f"what ran before: {left.retract()}"
        assert {each.name: each.spec for each in fake.table.values()} == specs
    assert fake.kept == {}


def test_whoever_loses_the_lock_in_the_middle_leaves_it_as_it_is() -> None:
    """What is where is told; the next operator is at work."""
    fake = swarm("web", "worker")
    asked = [0]

    def mine() -> None:
        asked[0] += 1
        if asked[0] == 3:
            raise LockHeld("deploy it", "the lock was taken by Grace")

    asked_for = request(fake, spec("web", "worker"), spec("web", "worker"))
    rollout = fresh(real(fake), asked_for, replace(means(), still_mine=mine))
    with pytest.raises(MixedState, match="taken by Grace; what ran before was not put back"):
        rollout.run()
    assert runs(fake) == {WEB: (NEW, 1), WORKER: (OLD, 1)}


def test_a_cancellation_between_processes_puts_back() -> None:
    """No further process is touched."""
    fake, given_up = swarm("web", "worker"), Cancellation()

    def tasks(service: Service) -> list[Task]:
        if service.labels["release.deployment"] == NEW:
            given_up.request("a signal")
        return all_run(service)

    fake.tasks_of = tasks
    asked = request(fake, spec("web", "worker"), spec("web", "worker"))
    with pytest.raises(Restored):
        fresh(real(fake), asked, means(cancellation=given_up)).run()
    assert f"update {WORKER}" not in fake.calls
    assert runs(fake) == {WEB: (OLD, 1), WORKER: (OLD, 1)}
