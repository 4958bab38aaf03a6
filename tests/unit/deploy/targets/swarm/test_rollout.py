"""Submitting, following and putting back, against a Swarm in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from release.deploy.core.instance import InstanceSet
from release.deploy.core.rollout import Look, RolloutRequest
from release.deploy.targets.swarm.before import remember
from release.deploy.targets.swarm.objects import Service, Task
from release.deploy.targets.swarm.part import identities
from release.deploy.targets.swarm.rollout import Rollout, fresh, resumed
from release.deploy.targets.swarm.spec import Parts, service_spec
from release.deploy.targets.swarm.submit import submit
from release.errors import Cancelled, DeploymentFailed, EngineUnreachable, LockHeld, MixedState, Restored
from release.events import Event, Warned
from release.programs.cancellation import Cancellation
from release.values import replace
from tests.unit.deploy import fakes as containers
from tests.unit.deploy.targets.swarm.fakes import (
    FakeSwarm,
    all_run,
    deployment_of,
    means,
    node,
    order,
    real,
    service,
    task,
)

OLD, NEW = "1" * 12, "2" * 12


def running() -> Service:
    """What an earlier deployment left."""
    return service(service_spec(order(OLD), Parts()), version=7)


def over(before: Service, **settings: Any) -> RolloutRequest:
    """The order whose plan was made for this."""
    found = InstanceSet(running=tuple(containers.instance(id=one) for one in identities(before)), stopped=())
    return order(NEW, before=found, **settings)


def run(fake: FakeSwarm, ordered: RolloutRequest, said: list[Event] | None = None) -> str:
    return fresh(real(fake), ordered, means(said)).run()


def crashing(now: Service) -> list[Task]:
    """The new ones end; the old ones run."""
    if now.labels["release.deployment"] == OLD:
        return all_run(now)
    return [task(now, state="failed", desired="shutdown", error="task: non-zero exit (7)", exit_code=7)]


def test_a_first_deployment_creates_the_service() -> None:
    """And keeps nothing in the Swarm beside it."""
    fake = FakeSwarm()
    assert run(fake, order(NEW)) == "1 of 1 tasks run on 1 node"
    assert fake.calls == ["create"]
    assert fake.kept == {}


def test_an_update_keeps_the_spec_that_ran_until_the_new_one_is_proven() -> None:
    """Every manager would find it, if this operator died in between."""
    before = running()
    fake = FakeSwarm(there=before)
    seen: list[str] = []
    fake.steps = [lambda: None, lambda: seen.extend(fake.kept)]
    run(fake, over(before))
    assert len(seen) == 1
    assert fake.kept == {}
    assert deployment_of(fake) == NEW


def test_a_task_that_ends_brings_the_old_spec_back_with_its_last_words() -> None:
    """The very spec, byte for byte; secrets are masked."""
    before = running()
    fake = FakeSwarm(there=before, tasks_of=crashing)
    with pytest.raises(Restored) as caught:
        run(fake, over(before))
    assert fake.there is not None
    assert fake.there.spec == before.spec
    assert "exit status 7" in caught.value.found
    assert caught.value.tail == ("its last words: ***",)
    assert fake.kept == {}


def test_a_first_deployment_that_fails_is_removed() -> None:
    """Nothing ran before, and none runs now."""
    fake = FakeSwarm(tasks_of=crashing)
    with pytest.raises(DeploymentFailed, match="none runs now"):
        run(fake, order(NEW))
    assert fake.there is None


def test_another_spec_than_planned_for_is_left_alone() -> None:
    """Somebody was faster."""
    before = running()
    fake = FakeSwarm(there=replace(before, spec={**before.spec, "Mode": {"Replicated": {"Replicas": 5}}}))
    with pytest.raises(LockHeld):
        run(fake, over(before))
    assert fake.calls == []


def test_who_lost_the_lock_submits_nothing() -> None:
    """The spec that was planned for is still there, and it is somebody else's turn."""

    def lost() -> None:
        raise LockHeld("deploy api", "the lock was taken by Grace Hopper")

    before = running()
    fake = FakeSwarm(there=before)
    rollout = resumed(real(fake), over(before), replace(means(), still_mine=lost))
    with pytest.raises(LockHeld, match="Grace Hopper"):
        rollout.run()
    assert fake.calls == []


def test_a_version_that_the_swarm_itself_counted_up_is_no_lost_race() -> None:
    """The spec is the same: it is sent again with the new version."""
    before = running()
    fake = FakeSwarm(there=before)
    ordered = over(before)

    def counted() -> None:
        assert fake.there is not None
        fake.there = replace(fake.there, version=fake.there.version + 3)

    rollout = resumed(real(fake), ordered, means())
    submit(rollout.parts[0], before, service_spec(ordered, Parts()))
    counted()
    fake.calls.clear()
    fake.there = replace(before, version=before.version + 3)
    submit(rollout.parts[0], before, service_spec(ordered, Parts()))
    assert fake.calls == ["update", "update"]
    assert deployment_of(fake) == NEW


def test_a_spec_that_changes_between_reading_and_writing_is_a_lost_race() -> None:
    """What the other one wrote stays."""
    before = running()
    fake = FakeSwarm(there=before)

    def other() -> None:
        fake.there = replace(before, version=8, spec=service_spec(order("3" * 12), Parts()))

    ordered = over(before)
    rollout = resumed(real(fake), ordered, means())
    other()
    with pytest.raises(LockHeld):
        submit(rollout.parts[0], before, service_spec(ordered, Parts()))
    assert deployment_of(fake) == "3" * 12


@pytest.mark.parametrize("there", [None, running()], ids=["create", "update"])
def test_a_write_whose_answer_was_lost_is_looked_for_before_it_is_sent_again(there: Service | None) -> None:
    """It was done: it is done once."""
    fake = FakeSwarm(there=there, lose_answers=1)
    run(fake, over(there) if there is not None else order(NEW))
    assert len(fake.calls) == 1
    assert deployment_of(fake) == NEW


def test_a_manager_that_is_silent_for_a_while_is_waited_for() -> None:
    """The tasks run without it; that it was away is told."""
    before = running()
    fake = FakeSwarm(there=before)

    def silent() -> None:
        raise EngineUnreachable("inspect the service", "no program listens there")

    fake.steps = [lambda: None, silent]
    said: list[Event] = []
    run(fake, over(before), said)
    assert any(isinstance(event, Warned) and "waiting until it answers again" in event.text for event in said)


def test_an_update_that_the_swarm_took_back_is_a_failure() -> None:
    """What runs then is proven, and told."""
    before = running()
    fake = FakeSwarm(there=before)

    def taken_back() -> None:
        fake.there = replace(before, version=20, update="rollback_completed", update_message="of task x")

    fake.steps = [lambda: None, taken_back]
    with pytest.raises(Restored, match="rolled it back itself"):
        run(fake, over(before))
    assert fake.calls == ["update"]


def test_a_service_that_somebody_takes_over_in_the_middle_is_left_as_it_is() -> None:
    """Putting back would undo what they did: exit 4 with what is where."""
    before = running()
    fake = FakeSwarm(there=before)

    def taken_over() -> None:
        fake.there = service(service_spec(order("3" * 12), Parts()), version=30)

    fake.steps = [lambda: None, taken_over]
    with pytest.raises(MixedState, match="another command changed it"):
        run(fake, over(before))
    assert deployment_of(fake) == "3" * 12


def test_what_cannot_be_put_back_is_listed_task_by_task() -> None:
    """Also those of nodes that do not answer."""
    before = running()

    def stuck(now: Service) -> list[Task]:
        mine = now.labels["release.deployment"]
        lost = task(before, node="id-b", id="lost")
        return [task(now, state="pending", node=""), lost] if mine == OLD else [*crashing(now), lost]

    fake = FakeSwarm(there=before, tasks_of=stuck, machines=[node(), node("b", is_ready=False)])
    with pytest.raises(MixedState) as caught:
        run(fake, over(before))
    assert "api-production.1 on b (does not answer): 0.2.0 running" in caught.value.found


def test_a_lost_task_is_a_warning_where_all_others_run() -> None:
    """It may run on, on a node that nobody sees."""
    before = running()
    said: list[Event] = []
    fake = FakeSwarm(
        there=before,
        tasks_of=lambda now: [*all_run(now), task(before, node="id-b", id="lost")],
        machines=[node(), node("b", is_ready=False)],
    )
    run(fake, over(before), said)
    assert any(isinstance(event, Warned) and "as far as the Swarm knows" in event.text for event in said)


def test_a_cancellation_before_the_spec_is_submitted_touches_nothing() -> None:
    """After it, what ran before is put back."""
    before = running()
    fake = FakeSwarm(there=before)
    cancellation = Cancellation()
    cancellation.request("SIGTERM arrived")
    rollout = resumed(real(fake), over(before), means([], cancellation))
    with pytest.raises(DeploymentFailed, match="nothing was changed") as caught:
        rollout.run()
    assert isinstance(caught.value.__cause__, Cancelled)
    assert fake.calls == []


def test_secrets_are_stored_once_under_a_name_that_tells_their_value() -> None:
    """A second deployment of the same value uses the same object."""
    secrets = {"TOKEN": "11111111:2222222222222222"}
    fake = FakeSwarm()
    run(fake, order(NEW, secrets=secrets))
    assert fake.there is not None
    again = over(fake.there, secrets=secrets)
    run(fake, replace(again, identity=replace(again.identity, deployment="4" * 12)))
    assert list(fake.kept) == ["api-production-TOKEN-11111111-2222222222222222"]
    assert "value of TOKEN" not in json.dumps(fake.there.spec)


def test_what_a_dead_operator_submitted_is_taken_back_from_what_it_kept() -> None:
    """The spec that ran before is in the Swarm, not in the dead operator's memory."""
    before = running()
    fake = FakeSwarm(there=before)
    ordered = replace(over(before), replaces=OLD)
    rollout = resumed(real(fake), ordered, means())
    remember(rollout.parts[0], before)
    submit(rollout.parts[0], before, service_spec(ordered, Parts()))
    assert "runs again" in resumed(real(fake), ordered, means()).retract()
    assert fake.there is not None
    assert fake.there.spec == before.spec
    assert fake.kept == {}


def test_what_a_dead_operator_submitted_is_finished() -> None:
    """By proving it."""
    before = running()
    fake = FakeSwarm(there=before)
    ordered = over(before)
    rollout = resumed(real(fake), ordered, means())
    remember(rollout.parts[0], before)
    submit(rollout.parts[0], before, service_spec(ordered, Parts()))
    assert rollout.resume() == "1 of 1 tasks run on 1 node"
    assert fake.kept == {}


def died(fake: FakeSwarm, before: Service | None) -> Rollout:
    """Submitted by an operator who died then; what the next one has in hand."""
    ordered = replace(over(before), replaces=OLD) if before is not None else order(NEW)
    rollout = resumed(real(fake), ordered, means())
    remember(rollout.parts[0], before)
    submit(rollout.parts[0], before, service_spec(ordered, Parts()))
    return rollout


def test_what_a_dead_operator_submitted_and_fails_is_taken_back() -> None:
    """As the dead one would have done: by the spec that it kept."""
    before = running()
    fake = FakeSwarm(there=before, tasks_of=crashing)
    with pytest.raises(Restored, match=r"exit status 7.*what ran before runs again"):
        died(fake, before).resume()
    assert fake.there is not None
    assert fake.there.spec == before.spec
    assert fake.kept == {}


def test_a_first_deployment_of_a_dead_operator_that_fails_is_removed() -> None:
    """Nothing ran before."""
    fake = FakeSwarm(tasks_of=crashing)
    with pytest.raises(DeploymentFailed, match="none runs now"):
        died(fake, None).resume()
    assert fake.there is None


@pytest.mark.parametrize("way", ["resume", "retract"])
def test_a_spec_that_is_kept_nowhere_is_told_with_what_failed(way: str) -> None:
    """Somebody removed the config: nothing is guessed, and the service stays."""
    before = running()
    fake = FakeSwarm(there=before, tasks_of=crashing)
    rollout = died(fake, before)
    fake.kept.clear()
    with pytest.raises(MixedState, match=r"lost: .*api-production") as caught:
        getattr(rollout, way)()
    assert ("exit status 7" in caught.value.found) == (way == "resume")
    assert deployment_of(fake) == NEW


def taken_back(before: Service) -> tuple[FakeSwarm, Rollout]:
    """By the Swarm's policy or by a dead operator: the label is the old one again."""
    fake = FakeSwarm(there=before)
    rollout = died(fake, before)
    fake.there = replace(before, version=20, update="rollback_started")
    return fake, rollout


def test_what_was_taken_back_already_is_proven_before_it_is_called_restored() -> None:
    """What was kept goes then."""
    fake, rollout = taken_back(running())
    fake.calls.clear()
    assert "runs again: 1 of 1 tasks run" in rollout.retract()
    assert (fake.calls, fake.kept) == ([], {})


def test_what_was_taken_back_and_does_not_run_is_not_called_restored() -> None:
    """Every task of it fails; what was kept stays."""
    fake, rollout = taken_back(running())
    fake.tasks_of = lambda now: [task(now, state="failed", desired="shutdown")]
    with pytest.raises(MixedState):
        rollout.retract()
    assert len(fake.kept) == 1


def test_finishing_what_was_taken_back_ends_with_what_ran_before() -> None:
    """A task of ours may still run; the spec is another, and so is the end."""
    before = running()
    fake = FakeSwarm(there=before)
    rollout = died(fake, before)
    fake.there = replace(before, version=20, update="rollback_completed", update_message="of task x")
    with pytest.raises(Restored, match="rolled its last update back by the policy: of task x"):
        rollout.resume()


def test_what_ran_before_comes_back_where_somebody_removed_the_service() -> None:
    """The kept spec is all that is needed."""
    before = running()
    fake = FakeSwarm(there=before)
    rollout = died(fake, before)
    fake.there = None
    assert "runs again" in rollout.retract()
    assert deployment_of(fake) == OLD


def test_taking_back_what_was_never_submitted_touches_nothing() -> None:
    """What runs is proven all the same."""
    before = running()
    fake = FakeSwarm(there=before)
    ordered = replace(over(before), replaces=OLD)
    rollout = resumed(real(fake), ordered, means())
    assert "what ran before runs again: 1 of 1 tasks run" in rollout.retract()
    assert fake.calls == []


def test_a_service_of_a_third_deployment_is_not_called_what_ran_before() -> None:
    """Nothing is kept, and nobody knows what it should be."""
    before = running()
    fake = FakeSwarm(there=before)
    ordered = replace(over(before), replaces="3" * 12)
    with pytest.raises(MixedState, match=f"has the deployment {OLD}"):
        resumed(real(fake), ordered, means()).retract()
    assert fake.calls == []


def test_only_what_was_kept_for_this_deployment_is_forgotten() -> None:
    """Another one, that ended in the middle, may need its own yet."""
    before = running()
    fake = FakeSwarm(there=before)
    other = replace(over(before), identity=replace(over(before).identity, deployment="5" * 12))
    remember(resumed(real(fake), other, means()).parts[0], before)
    run(fake, over(before))
    assert list(fake.kept) == ["release-before-api-production-" + "5" * 12]


@pytest.mark.parametrize(
    ("by_hand", "said"),
    [
        ({"Mode": {"Replicated": {"Replicas": 1}}}, "replicas is 1, but 3 is recorded"),
        ({"UpdateConfig": None}, "swarm.order is missing, but start-first is recorded"),
    ],
    ids=["scaled", "updated"],
)
def test_a_service_that_is_changed_by_hand_in_the_middle_is_no_success(
    by_hand: dict[str, Any], said: str
) -> None:
    """Its labels are ours still: the mark tells, and what differs is named."""
    before = running()
    fake = FakeSwarm(there=before)

    def changed() -> None:
        assert fake.there is not None
        fake.there = replace(fake.there, version=30, spec={**fake.there.spec, **by_hand})

    fake.steps = [lambda: None, changed]
    with pytest.raises(MixedState, match="was changed by hand") as caught:
        run(fake, over(before, replicas=3))
    assert said in caught.value.found
    assert fake.calls == ["update"]


def test_what_somebody_changes_while_it_is_put_back_does_not_run_as_before() -> None:
    """Its labels are the old ones, and its tasks are well: exit 4 all the same."""
    before = running()
    fake = FakeSwarm(there=before)

    def scaled(now: Service) -> list[Task]:
        if now.labels["release.deployment"] == NEW:
            return crashing(now)
        changed = {**now.spec, "Mode": {"Replicated": {"Replicas": 2}}}
        fake.there = replace(now, version=40, spec=changed)
        return all_run(fake.there)

    fake.tasks_of = scaled
    with pytest.raises(MixedState, match="another command changed it at the same time"):
        run(fake, over(before))
    assert fake.calls == ["update", "update"]


def test_the_old_spec_is_kept_until_the_other_services_are_proven() -> None:
    """Where one of them fails, it is put back; the look asks the new tasks again."""
    before = running()
    fake = FakeSwarm(there=before)
    looked = list[object]()

    def others(look: Look) -> None:
        looked.append(look())
        assert len(fake.kept) == 1
        raise DeploymentFailed("deploy web", "web was not healthy")

    together = replace(means(), others=others)
    with pytest.raises(Restored, match="web was not healthy; what ran before runs again"):
        fresh(real(fake), over(before), together).run()
    assert looked == [None]
    assert fake.there is not None
    assert fake.there.spec == before.spec
    assert fake.kept == {}
