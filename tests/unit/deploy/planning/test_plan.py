"""What a deployment or a rollback will do, decided from facts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from release.commands.text import plans
from release.deploy.core.place import ContainerSet, Place
from release.deploy.planning.plan import Facts, First, Listed, make_plan, secret_changes, settings_changes
from release.runspec import Publish, RunSpec
from release.values import replace
from tests.unit.deploy.fakes import digest, event, release, state

PLACE = Place(service="api", environment="production")
OLD, NEW = release("0.1.0"), release("0.2.0")
IMAGE = digest("stored")
SPEC = RunSpec(env={"LOG_LEVEL": "info"}, secrets={"TOKEN": "key00000:aaaa"})


def running(version: str, **changes: Any) -> ContainerSet:
    container = state(labels={"release.version": version}, image=IMAGE, **changes)
    return ContainerSet(running=(container,), stopped=())


def facts(**changes: Any) -> Facts:
    known = Facts(
        place=PLACE,
        engine="unix:///x",
        reason="promote",
        target=NEW,
        spec=SPEC,
        ours=running("0.1.0"),
        image=IMAGE,
        strategy="stop-first",
        event=event(OLD, SPEC, message="first"),
        release=OLD,
        expected="0.1.0",
        runs_event=True,
        bytes_from="engine",
    )
    return replace(known, **changes)


def test_the_plan_says_from_what_to_what() -> None:
    """Version, digest, commit, moment, person and message."""
    plan = make_plan(facts())
    assert plan.before is not None
    assert (plan.before.version, plan.before.message, plan.before.who) == ("0.1.0", "first", "Ada Lovelace")
    assert (plan.after.version, plan.after.digest) == ("0.2.0", NEW.body.image.digest)


def test_the_strategy_is_stop_first_where_something_else_runs() -> None:
    """Another release."""
    assert make_plan(facts()).strategy == "stop-first"


def test_where_nothing_runs_nothing_is_stopped() -> None:
    """Whatever the ledger says; that they differ is a note."""
    plan = make_plan(facts(ours=ContainerSet(running=(), stopped=()), runs_event=False))
    assert plan.strategy == "first"
    assert plan.notes == ("the ledger says that 0.1.0 runs; the engine runs: none",)


def test_what_is_known_of_room_is_a_note() -> None:
    """An estimate stands in nobody's way."""
    assert "too little" in make_plan(facts(room="too little")).notes


def test_what_runs_already_with_equal_settings_is_only_verified() -> None:
    """The very release, settings, secrets and image."""
    assert make_plan(facts(target=OLD)).strategy == "verify"


def test_what_the_engine_has_not_checked_yet_is_waited_for_and_not_replaced() -> None:
    """It may take half a minute; what was restarted meanwhile is another matter."""
    assert make_plan(facts(target=OLD, ours=running("0.1.0", health="starting"))).strategy == "verify"
    again = running("0.1.0", health="starting", restarts=1)
    assert make_plan(facts(target=OLD, ours=again)).strategy == "stop-first"


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": SPEC.model_copy(update={"env": {"LOG_LEVEL": "debug"}})},
        {"spec": SPEC.model_copy(update={"secrets": {"TOKEN": "key00000:bbbb"}})},
        {"spec": SPEC.model_copy(update={"secrets": {"TOKEN": "otherkey:aaaa"}})},
        {"ours": running("0.1.0", health="unhealthy")},
        {"ours": running("0.1.0", status="restarting")},
        {"ours": ContainerSet(running=(state("a", image=IMAGE), state("b", image=IMAGE)), stopped=())},
        {"runs_event": False},
        {"image": digest("another image")},
        {"image": None},
    ],
)
def test_anything_that_differs_makes_it_a_deployment(changes: dict[str, Any]) -> None:
    """Settings, secrets that were or may have been rotated, ill health, two containers, another image."""
    assert make_plan(facts(target=OLD, **changes)).strategy == "stop-first"


def test_settings_that_differ_are_listed_key_by_key() -> None:
    """Variables one by one, other settings as a whole, secrets not at all."""
    old = RunSpec(env={"A": "1", "B": "2"}, memory=1, secrets={"S": "x"})
    new = RunSpec(env={"A": "1", "B": "3", "C": "4"}, publish=(Publish(host=80, container=8000),))
    changes = {change.key: (change.old, change.new) for change in settings_changes(old, new)}
    assert changes.keys() == {"env.B", "env.C", "memory", "publish"}
    assert changes["env.B"] == ("2", "3")
    assert changes["env.C"] == (None, "4")
    assert changes["memory"] == (1, None)


def test_secrets_are_told_by_what_their_fingerprints_tell() -> None:
    """Rotated, not comparable, added, removed; what is the same is not mentioned."""
    old = {"SAME": "k:1", "ROTATED": "k:1", "OTHER": "k:1", "GONE": "k:1"}
    new = {"SAME": "k:1", "ROTATED": "k:2", "OTHER": "j:1", "FRESH": "k:1"}
    assert secret_changes(old, new) == {
        "ROTATED": "rotated",
        "OTHER": "not comparable",
        "GONE": "removed",
        "FRESH": "added",
    }


def test_packages_and_bases_come_from_the_two_records() -> None:
    """Added, removed and changed."""
    old = release("0.1.0", packages={"a": "1", "b": "1"}, bases={"python:3.13-slim": "x"})
    new = release("0.2.0", packages={"a": "2", "c": "1"}, bases={"python:3.13-slim": "y"})
    plan = make_plan(facts(event=event(old, SPEC), release=old, target=new))
    assert [(change.key, change.old, change.new) for change in plan.packages] == [
        ("a", "1", "2"),
        ("b", "1", None),
        ("c", None, "1"),
    ]
    assert [change.key for change in plan.bases] == ["python:3.13-slim"]


def test_the_expected_time_is_the_median_of_earlier_deployments() -> None:
    """One slow deployment does not move it; the watch and a build come on top; without any there is none."""
    took = (1000, 1200, 90_000)
    assert make_plan(facts(durations=took, spec=RunSpec(watch=0))).expected_ms == 1200
    assert make_plan(facts(durations=took, spec=RunSpec(watch=3000))).expected_ms == 4200
    assert make_plan(facts(durations=took, spec=RunSpec(watch=0), build_ms=5000)).expected_ms == 6200
    assert make_plan(facts()).expected_ms is None


def test_a_rollback_is_not_expected_to_watch() -> None:
    """It tells its result at once, also after deployments that watched."""
    assert (
        make_plan(facts(durations=(1000,), reason="rollback", spec=RunSpec(watch=3000))).expected_ms == 1000
    )


def test_where_nothing_is_replaced_no_time_of_a_replacement_is_expected() -> None:
    """What is only verified takes less than any deployment before it."""
    plan = make_plan(facts(target=OLD, durations=(1000,)))
    assert (plan.strategy, plan.expected_ms) == ("verify", None)


def test_an_older_version_is_deployed_and_said_to_be_older() -> None:
    """And that a rollback would restore its own settings. A rollback needs no such hint."""
    changes: dict[str, Any] = {"target": OLD, "event": event(NEW, SPEC), "release": NEW}
    changes |= {"expected": "0.2.0", "ours": running("0.2.0")}
    (note,) = make_plan(facts(**changes)).notes
    assert "`invoke rollback --to 0.1.0`" in note
    assert make_plan(facts(reason="rollback", **changes)).notes == ()


def test_leftovers_of_an_earlier_deployment_are_noted() -> None:
    """They go when this one is healthy."""
    ours = ContainerSet(
        running=running("0.1.0").running, stopped=(state("api-production-dead", status="created"),)
    )
    (note,) = make_plan(facts(ours=ours)).notes
    assert "api-production-dead" in note


def test_a_container_that_the_ledger_does_not_know_is_noted() -> None:
    """Nothing to compare with."""
    plan = make_plan(facts(event=None, release=None, expected="", runs_event=False))
    assert plan.before is None
    assert "the ledger knows nothing of what runs" in plan.notes[0]


def test_a_plan_is_json() -> None:
    """With every field, as plain data."""
    data = json.loads(json.dumps(make_plan(facts()).to_json()))
    assert data["after"]["version"] == "0.2.0"
    assert data["spec"]["env"] == {"LOG_LEVEL": "info"}
    assert data["strategy"] == "stop-first"


def test_a_plan_is_shown_without_what_does_not_change() -> None:
    """Labels only for what there is to say."""
    plan = make_plan(
        facts(
            spec=SPEC.model_copy(update={"env": {"LOG_LEVEL": "debug"}}),
            undone=Listed(lines=("fix: a",), count=1),
        )
    )
    rows = dict(plans.plan_rows(plan))
    assert plans.plan_title(plan) == "deploy api in production to 0.2.0"
    assert rows["settings"] == "env.LOG_LEVEL: info → debug"
    assert rows["undone"] == "fix: a"
    assert not rows.keys() & {"packages", "bases", "secrets", "added", "note", "expected"}


def test_a_long_list_is_cut_and_says_so() -> None:
    """A tired reader sees the first lines and how many more there are."""
    rows = dict(
        plans.plan_rows(
            make_plan(facts(added=Listed(lines=tuple(f"feat: {n}" for n in range(20)), count=81)))
        )
    )
    assert rows["added"].endswith("feat: 14\n… and 66 more")


def test_behind_a_proxy_the_plan_says_start_first_and_no_downtime() -> None:
    """As the target says; a port of its own means that nobody answers in between."""
    rows = dict(plans.plan_rows(make_plan(facts(strategy="start-first"))))
    assert rows["strategy"].startswith("start-first: the new container is healthy before")
    assert rows["downtime"].startswith("none: the old one keeps the traffic")
    assert dict(plans.plan_rows(make_plan(facts())))["downtime"].startswith("from the old one's stop")


def test_replicas_are_only_verified_when_there_are_as_many_as_asked_for() -> None:
    """And all of them are well."""
    spec = SPEC.model_copy(update={"replicas": 2})
    (one,) = running("0.1.0").running
    both = {"target": OLD, "spec": spec, "event": event(OLD, spec), "strategy": "start-first"}
    assert make_plan(facts(**both, ours=ContainerSet(running=(one, one), stopped=()))).strategy == "verify"
    assert make_plan(facts(**both, ours=ContainerSet(running=(one,), stopped=()))).strategy == "start-first"
    ill = replace(one, health="unhealthy")
    assert (
        make_plan(facts(**both, ours=ContainerSet(running=(one, ill), stopped=()))).strategy == "start-first"
    )


def test_what_is_not_as_it_should_be_behind_a_proxy_is_noted() -> None:
    """Containers without requests, a proxy that says nothing, and a place that moved."""
    (one,) = running("0.1.0").running
    waiting = replace(one, name="api-production-dead")
    known = facts(
        ours=ContainerSet(running=(one,), waiting=(waiting,), stopped=(), unclear="it does not answer"),
        moved="it ran without a proxy",
    )
    notes = "\n".join(make_plan(known).notes)
    assert "who gets requests is not known: it does not answer" in notes
    assert "removed when this one is healthy: api-production-dead (0.1.0, running)" in notes
    assert "it ran without a proxy" in notes


def test_what_runs_is_not_only_verified_while_nobody_knows_whether_it_gets_requests() -> None:
    """The deployment puts it into traffic."""
    unclear = replace(running("0.1.0"), unclear="the proxy sends requests to none of them")
    assert make_plan(facts(target=OLD, ours=unclear, strategy="start-first")).strategy == "start-first"


def test_what_undoes_migrations_first_is_shown_with_its_image_and_time() -> None:
    """It will run in production: word for word, for people and machines."""
    first = First(command=("alembic", "downgrade", "-2"), version="0.2.0", image="acme/api@x", timeout=60_000)
    plan = make_plan(facts(down=first, about_data=("look at the data",)))
    rows = dict(plans.plan_rows(plan))
    assert rows["first"].startswith("`alembic downgrade -2`\nin a container of 0.2.0, acme/api@x,")
    assert rows["first"].endswith("for 1m at most")
    assert plan.to_json()["down"]["command"] == first.command
    assert "look at the data" in plan.notes
    assert make_plan(facts()).to_json()["down"] is None


def test_what_may_cost_a_request_is_a_note() -> None:
    """Before anybody says yes."""
    assert "it may lose a request" in make_plan(facts(cautions=("it may lose a request",))).notes
