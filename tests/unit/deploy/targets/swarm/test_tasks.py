"""The tasks of a service, sorted by what they mean for a deployment."""

from __future__ import annotations

import pytest

from release.deploy.targets.swarm.objects import Task
from release.deploy.targets.swarm.spec import Parts, service_spec
from release.deploy.targets.swarm.tasks import View, placed, update_of, view
from tests.unit.deploy.targets.swarm.fakes import node, order, service, task

OLD, NEW = "1" * 12, "2" * 12
SERVICE = service(service_spec(order(NEW, replicas=2), Parts()))
BEFORE = service(service_spec(order(OLD), Parts()), version=0)


def seen(*tasks: Task, known: frozenset[str] = frozenset()) -> View:
    machines = [node("a"), node("b", is_ready=False, address="10.0.0.2")]
    return view(SERVICE, tasks, machines, deployment=NEW, known=known)


def test_a_service_is_settled_when_all_its_tasks_run_and_no_others() -> None:
    """As many as its spec asks for."""
    one, two = task(SERVICE, 1), task(SERVICE, 2)
    assert seen(one, two).is_settled
    assert not seen(one).is_settled
    assert not seen(one, two, task(BEFORE, 1, id="old")).is_settled


@pytest.mark.parametrize("state", ["failed", "rejected", "complete"])
def test_a_task_that_ended_by_itself_is_told(state: str) -> None:
    """Unless it had ended before this began."""
    ended = task(SERVICE, 1, state=state, desired="shutdown")
    assert seen(ended).ended == (ended,)
    assert seen(ended, known=frozenset({ended.id})).ended == ()


@pytest.mark.parametrize("state", ["shutdown", "orphaned", "remove"])
def test_a_task_that_the_swarm_ended_is_no_failure(state: str) -> None:
    """It is moved elsewhere."""
    assert seen(task(SERVICE, 1, state=state, desired="shutdown")).ended == ()


def test_tasks_of_a_node_that_does_not_answer_are_lost_not_good() -> None:
    """Whosever they are: nobody sees them."""
    mine, old = task(SERVICE, 1, node="id-b"), task(BEFORE, 1, node="id-b", id="old")
    found = seen(mine, old)
    assert found.lost == (mine, old)
    assert found.good == found.others == ()
    assert "api-production.1 on b (10.0.0.2) (does not answer): 0.2.0 running" in found.all()


def test_a_task_that_is_to_stop_keeps_a_service_from_being_settled() -> None:
    """It still runs."""
    stopping = task(SERVICE, 2, desired="shutdown", id="stopping")
    assert not seen(task(SERVICE, 1), task(SERVICE, 2), stopping).is_settled


def test_the_score_grows_with_every_step_forward() -> None:
    """From nothing over each state to running, and with each old task that ends."""
    old = task(BEFORE, 1, id="old")
    steps = [
        seen(old),
        seen(task(SERVICE, 1, state="preparing"), old),
        seen(task(SERVICE, 1, state="starting"), old),
        seen(task(SERVICE, 1), old),
        seen(task(SERVICE, 1)),
        seen(task(SERVICE, 1), task(SERVICE, 2)),
    ]
    scores = [step.score for step in steps]
    assert scores == sorted(set(scores))


def test_every_task_is_told_with_its_node_its_state_and_what_ended_before_it() -> None:
    """By number; one on a node that does not answer as the Swarm last knew it."""
    one = task(SERVICE, 1)
    crashed = task(SERVICE, 2, id="x", state="failed", error="task: non-zero exit (7)", exit_code=7)
    again = task(SERVICE, 2, state="starting")
    lost = task(BEFORE, 3, node="id-b")
    assert [str(each) for each in placed(seen(lost, crashed, again, one))] == [
        "api-production.1 on a: 0.2.0 running",
        "api-production.2 on a: 0.2.0 starting; 1 ended before; the last: task: non-zero exit (7)",
        "api-production.3 on b (10.0.0.2) (does not answer): 0.2.0 running",
    ]


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ("paused", "the Swarm paused its update by the policy: why"),
        ("rollback_completed", "the Swarm rolled its last update back by the policy: why"),
        ("completed", None),
        (None, None),
    ],
)
def test_an_update_that_is_not_simply_done_is_told(update: str | None, said: str | None) -> None:
    """With the Swarm's own words for why."""
    assert update_of(service(SERVICE.spec, update=update, update_message="why")) == said
