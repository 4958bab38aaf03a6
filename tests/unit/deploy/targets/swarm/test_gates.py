"""Gates in the tasks of a service, at the engines of their nodes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.swarm.gates import TaskGates, problems
from release.deploy.targets.swarm.nodes import Machine, Machines
from release.deploy.targets.swarm.rollout import fresh
from release.deploy.targets.swarm.spec import Parts, service_spec
from release.deploy.targets.swarm.tasks import View, view
from release.errors import Cancelled, DeploymentFailed
from release.images.values import Executed
from release.programs.cancellation import Cancellation
from release.runspec import RunSpec
from tests.unit.deploy.fakes import FakeEngine, state
from tests.unit.deploy.fakes import RolloutRequest as Asked
from tests.unit.deploy.targets.swarm.fakes import FakeSwarm, means, node, order, real, service, task

CHECK = RunSpec(health_command=("check", "-a"), replicas=2)
PORT = RunSpec(health_tcp=(8000,), replicas=2)


class Inside(FakeEngine):
    """An engine whose containers end every program in these ways, one after the other."""

    def __init__(self, *endings: Executed) -> None:
        super().__init__()
        self.endings = list(endings)
        self.asked: list[Sequence[str]] = []
        for slot in (1, 2):
            self.add(state(f"c{slot}"))

    def ran(self, order: Asked) -> Executed:
        self.asked.append((order.container, *order.argv))
        return self.endings.pop(0) if len(self.endings) > 1 else self.endings[0]


def ended(status: int, output: str = "", errors: str = "") -> Executed:
    return Executed(status=status, output=output.encode(), errors=errors.encode())


def there(spec: RunSpec, where: str = "id-a") -> View:
    """Two tasks that run on one node."""
    known = service(service_spec(order(replicas=2), Parts()))
    tasks = [task(known, slot, container=f"c{slot}", node=where) for slot in (1, 2)]
    return view(known, tasks, [node(), node("b")], deployment="2" * 12)


def ask(engine: Inside, spec: RunSpec, where: str = "id-a", cancellation: Cancellation | None = None) -> str:
    swarm = real(FakeSwarm(engine=engine, machines=[node(), node("b")]))
    gates = TaskGates(swarm=swarm, ways={}, patience=100, cancellation=cancellation or Cancellation())
    return "; ".join(gates.ask(spec, there(spec, where)))


def test_a_command_is_run_in_every_task_at_the_engine_of_its_node() -> None:
    """What it said is evidence, once for all tasks."""
    engine = Inside(ended(0))
    assert ask(engine, CHECK) == "`check -a` ended with status 0 in 2 of 2 tasks"
    assert engine.asked == [("id-c1", "check", "-a"), ("id-c2", "check", "-a")]


def test_a_command_that_fails_is_asked_again_until_the_time_is_over() -> None:
    """It may need a moment; then the deployment fails, with the task's name and its node."""
    assert "status 0" in ask(Inside(ended(1), ended(0)), CHECK)
    with pytest.raises(DeploymentFailed, match=r"api-production\.1 on a.*status 1: no queue"):
        ask(Inside(ended(1, errors="no queue")), CHECK)


def test_a_signal_ends_the_wait() -> None:
    """At once."""
    cancellation = Cancellation()
    cancellation.request("stopped by SIGINT")
    with pytest.raises(Cancelled):
        ask(Inside(ended(1)), CHECK, cancellation=cancellation)


def test_a_port_is_asked_inside_the_task() -> None:
    """By the Python of the image; without one, and without a port of the node, it cannot be asked."""
    said = "port 8000 accepts connections in 2 of 2 tasks"
    assert ask(Inside(ended(0, output="accepts connections\n")), PORT) == said
    with pytest.raises(DeploymentFailed, match="port 8000 cannot be asked: the image has no Python"):
        ask(Inside(ended(127)), PORT)


def test_a_task_whose_node_is_not_reached_fails() -> None:
    """A gate that is set decides; the plan refuses such nodes before."""
    with pytest.raises(DeploymentFailed, match=r"set its address in swarm\.nodes"):
        ask(Inside(ended(0)), CHECK, where="id-b")


def test_nodes_that_cannot_be_asked_are_refused_before_anything_is_touched() -> None:
    """With their names, and the way without them."""
    reached = Machine(node=node(), engine=FakeEngine())
    silent = Machine(node=node("b"), unseen="not asked")
    assert list(problems(CHECK, Machines(every=(reached,)))) == []
    assert list(problems(RunSpec(), Machines(every=(reached, silent)))) == []
    (text,) = problems(CHECK, Machines(every=(reached, silent)))
    assert text.startswith("health_command cannot be asked in tasks of these nodes: b: not asked")
    assert "swarm.nodes" in text
    assert "healthcheck" in text


def test_a_rollout_asks_before_it_is_proven() -> None:
    """As on one engine."""
    engine = Inside(ended(0))
    fake = FakeSwarm(
        engine=engine, tasks_of=lambda now: [task(now, slot, container=f"c{slot}") for slot in (1, 2)]
    )
    wanted: RolloutRequest = order("2" * 12, health_command=("check", "-a"), replicas=2)
    assert "`check -a` ended with status 0 in 2 of 2 tasks" in fresh(real(fake), wanted, means()).run()
