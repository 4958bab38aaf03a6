"""What a deployment or a rollback will do, decided from facts."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from release.commands.text import plans
from release.deploy.core.image_location import FreeSpace, ImageLocation
from release.deploy.core.instance import Instance, InstanceSet
from release.deploy.core.place import Place
from release.deploy.planning.current import Current
from release.deploy.planning.find_image import ImageSource
from release.deploy.planning.findings import Findings
from release.deploy.planning.lock_takeover import Takeover
from release.deploy.planning.make_plan import Parts, TargetFacts, make_plan
from release.deploy.planning.migrations import MigrationPlan
from release.deploy.planning.plan import Commits, MigrationCommand
from release.deploy.planning.policy import PolicyState
from release.deploy.planning.release_changes import secret_changes, settings_changes
from release.deploy.planning.request import Request
from release.deploy.planning.settings import DesiredSettings
from release.runspec import Publish, RunSpec
from release.values import replace
from tests.unit.deploy.fakes import digest, event, instance, release

PLACE = Place(service="api", environment="production")
OLD, NEW = release("0.1.0"), release("0.2.0")
IMAGE = digest("stored")
SPEC = RunSpec(env={"LOG_LEVEL": "info"}, secrets={"TOKEN": "key00000:aaaa"})


def running(version: str, **changes: Any) -> InstanceSet:
    container = instance(labels={"release.version": version}, image=IMAGE, **changes)
    return InstanceSet(running=(container,), stopped=())


def parts(**changes: Any) -> Parts:
    """Return the parts of a plan: 0.1.0 runs, 0.2.0 is to run. `changes` name fields of any part."""
    known = Parts(
        place=PLACE,
        found=Findings(
            request=Request(target=NEW, reason="promote"),
            policy=PolicyState(),
            settings=DesiredSettings(spec=SPEC, secrets={}),
            image=ImageSource(bytes=ImageLocation(where="engine")),
            observation=cast(Any, None),
            migrations=MigrationPlan(),
            takeover=Takeover(),
        ),
        target=TargetFacts(engine="unix:///x", strategy="stop-first", way="stop-first: ...", image=IMAGE),
        current=Current(
            containers=running("0.1.0"),
            event=event(OLD, SPEC, message="first"),
            release=OLD,
            expected="0.1.0",
            runs_event=True,
        ),
    )
    for path, value in changes.items():
        known = changed(known, PATHS.get(path, path), value)
    return known


def changed(value: Any, path: str, new: Any) -> Any:
    """Return the value with another one at a dotted path."""
    name, _, rest = path.partition(".")
    return replace(value, **{name: changed(getattr(value, name), rest, new) if rest else new})


PATHS = {
    "asked": "found.request.target",
    "reason": "found.request.reason",
    "spec": "found.settings.spec",
    "moved": "found.settings.moved",
    "room": "found.image.room",
    "build_ms": "found.image.build_ms",
    "migrations": "found.migrations",
    "containers": "current.containers",
    "event": "current.event",
    "release": "current.release",
    "expected": "current.expected",
    "runs_event": "current.runs_event",
    "strategy": "target.strategy",
    "way": "target.way",
    "image": "target.image",
    "cautions": "target.notes",
    "undone": "commits.undone",
    "added": "commits.added",
    "durations": "past.durations",
}


def test_the_plan_says_from_what_to_what() -> None:
    """Version, digest, commit, moment, person and message."""
    plan = make_plan(parts())
    assert plan.before is not None
    assert (plan.before.version, plan.before.message, plan.before.who) == ("0.1.0", "first", "Ada Lovelace")
    assert (plan.after.version, plan.after.digest) == ("0.2.0", NEW.body.image.digest)


def test_the_strategy_is_stop_first_where_something_else_runs() -> None:
    """Another release."""
    assert make_plan(parts()).strategy == "stop-first"


def test_where_nothing_runs_nothing_is_stopped() -> None:
    """Whatever the ledger says; that they differ is a note."""
    plan = make_plan(parts(containers=InstanceSet(running=(), stopped=()), runs_event=False))
    assert plan.strategy == "first"
    assert plan.notes == ("the ledger has 0.1.0, but the engine runs: none",)


def test_what_is_known_of_room_is_a_note() -> None:
    """An estimate stands in nobody's way."""
    assert "too little" in make_plan(parts(room=FreeSpace(unknown="too little"))).notes


def test_what_runs_already_with_equal_settings_is_only_verified() -> None:
    """The very release, settings, secrets and image."""
    assert make_plan(parts(asked=OLD)).strategy == "verify"


def test_what_the_engine_has_not_checked_yet_is_waited_for_and_not_replaced() -> None:
    """It may take half a minute; what was restarted meanwhile is another matter."""
    assert make_plan(parts(asked=OLD, containers=running("0.1.0", health="starting"))).strategy == "verify"
    again = running("0.1.0", health="starting", restarts=1)
    assert make_plan(parts(asked=OLD, containers=again)).strategy == "stop-first"


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": SPEC.model_copy(update={"env": {"LOG_LEVEL": "debug"}})},
        {"spec": SPEC.model_copy(update={"secrets": {"TOKEN": "key00000:bbbb"}})},
        {"spec": SPEC.model_copy(update={"secrets": {"TOKEN": "otherkey:aaaa"}})},
        {"containers": running("0.1.0", health="unhealthy")},
        {"containers": running("0.1.0", status="restarting")},
        {
            "containers": InstanceSet(
                running=(instance("a", image=IMAGE), instance("b", image=IMAGE)), stopped=()
            )
        },
        {"runs_event": False},
        {"image": digest("another image")},
        {"image": None},
    ],
)
def test_anything_that_differs_makes_it_a_deployment(changes: dict[str, Any]) -> None:
    """Settings, secrets that were or may have been rotated, ill health, two containers, another image."""
    assert make_plan(parts(asked=OLD, **changes)).strategy == "stop-first"


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
    plan = make_plan(parts(event=event(old, SPEC), release=old, asked=new))
    assert [(change.key, change.old, change.new) for change in plan.changes.packages] == [
        ("a", "1", "2"),
        ("b", "1", None),
        ("c", None, "1"),
    ]
    assert [change.key for change in plan.changes.bases] == ["python:3.13-slim"]


def test_the_expected_time_is_the_median_of_earlier_deployments() -> None:
    """One slow deployment does not move it; the watch and a build come on top; without any there is none."""
    took = (1000, 1200, 90_000)
    assert make_plan(parts(durations=took, spec=RunSpec(watch=0))).expected_ms == 1200
    assert make_plan(parts(durations=took, spec=RunSpec(watch=3000))).expected_ms == 4200
    assert make_plan(parts(durations=took, spec=RunSpec(watch=0), build_ms=5000)).expected_ms == 6200
    assert make_plan(parts()).expected_ms is None


def test_a_rollback_is_not_expected_to_watch() -> None:
    """It tells its result at once, also after deployments that watched."""
    assert (
        make_plan(parts(durations=(1000,), reason="rollback", spec=RunSpec(watch=3000))).expected_ms == 1000
    )


def test_where_nothing_is_replaced_no_time_of_a_replacement_is_expected() -> None:
    """What is only verified takes less than any deployment before it."""
    plan = make_plan(parts(asked=OLD, durations=(1000,)))
    assert (plan.strategy, plan.expected_ms) == ("verify", None)


def test_an_older_version_is_deployed_and_said_to_be_older() -> None:
    """And that a rollback would restore its own settings. A rollback needs no such hint."""
    changes: dict[str, Any] = {"asked": OLD, "event": event(NEW, SPEC), "release": NEW}
    changes |= {"expected": "0.2.0", "containers": running("0.2.0")}
    (note,) = make_plan(parts(**changes)).notes
    assert "`invoke rollback --to 0.1.0`" in note
    assert make_plan(parts(reason="rollback", **changes)).notes == ()


def test_leftovers_of_an_earlier_deployment_are_noted() -> None:
    """They go when this one is healthy."""
    ours = InstanceSet(
        running=running("0.1.0").running, stopped=(instance("api-production-dead", status="created"),)
    )
    (note,) = make_plan(parts(containers=ours)).notes
    assert "api-production-dead" in note


def test_a_container_that_the_ledger_does_not_know_is_noted() -> None:
    """Nothing to compare with."""
    plan = make_plan(parts(event=None, release=None, expected="", runs_event=False))
    assert plan.before is None
    assert "the ledger has no record of what runs" in plan.notes[0]


def test_a_plan_is_json() -> None:
    """With every field, as plain data."""
    data = json.loads(json.dumps(make_plan(parts()).to_json()))
    assert data["after"]["version"] == "0.2.0"
    assert data["spec"]["env"] == {"LOG_LEVEL": "info"}
    assert data["strategy"] == "stop-first"
    assert data.keys() == set(KEYS.split())


KEYS = """
service environment engine reason before after strategy bytes_from expected_ms spec settings secrets undone
undone_count added added_count packages bases notes origins crossing down up then rehearsed watch
processes most_ms
"""
"""Keys of a plan's JSON that programs read: none is renamed."""


def test_a_plan_is_shown_without_what_does_not_change() -> None:
    """Labels only for what there is to say."""
    plan = make_plan(
        parts(
            spec=SPEC.model_copy(update={"env": {"LOG_LEVEL": "debug"}}),
            undone=Commits(lines=("fix: a",), count=1),
        )
    )
    rows = dict(plans.plan_rows(plan))
    assert plans.plan_title(plan) == "deploy api in production to 0.2.0"
    assert rows["settings"] == "env.LOG_LEVEL: info → debug"
    assert rows["undone"] == "fix: a"
    assert not rows.keys() & {"packages", "bases", "secrets", "added", "note", "expected"}


def test_a_first_deployment_is_shown_to_replace_nothing() -> None:
    """Unlike one over a container that the ledger does not know."""
    nothing, unknown = {"event": None, "release": None, "expected": "", "runs_event": False}, "unknown"
    first = parts(containers=InstanceSet(running=(), stopped=()), **nothing)
    assert dict(plans.plan_rows(make_plan(first)))["from"] == "nothing"
    assert dict(plans.plan_rows(make_plan(parts(**nothing))))["from"].startswith(unknown)


def test_a_long_list_is_cut_and_says_so() -> None:
    """A tired reader sees the first lines and how many more there are."""
    rows = dict(
        plans.plan_rows(
            make_plan(parts(added=Commits(lines=tuple(f"feat: {n}" for n in range(20)), count=81)))
        )
    )
    assert rows["added"].endswith("feat: 14\n… and 66 more")


def test_behind_a_proxy_the_plan_says_start_first_and_no_downtime() -> None:
    """As the target says; a port of its own means that nobody answers in between."""
    rows = dict(plans.plan_rows(make_plan(parts(strategy="start-first", way="start-first: both run"))))
    assert rows["strategy"] == "start-first: both run"
    assert rows["downtime"].startswith("none: the old one keeps the traffic")
    assert dict(plans.plan_rows(make_plan(parts())))["downtime"].startswith("from the old one's stop")


def test_replicas_are_only_verified_when_there_are_as_many_as_asked_for() -> None:
    """And all of them are well."""
    spec = SPEC.model_copy(update={"replicas": 2})
    (one,) = running("0.1.0").running
    both = {"asked": OLD, "spec": spec, "event": event(OLD, spec), "strategy": "start-first"}
    ill = replace(one, health="unhealthy")

    def strategy(*running: Instance) -> str:
        return make_plan(parts(**both, containers=InstanceSet(running=running, stopped=()))).strategy

    assert (strategy(one, one), strategy(one), strategy(one, ill)) == ("verify", "start-first", "start-first")


def test_what_is_not_as_it_should_be_behind_a_proxy_is_noted() -> None:
    """Containers without requests, a proxy that says nothing, and a place that moved."""
    (one,) = running("0.1.0").running
    waiting = replace(one, name="api-production-dead")
    known = parts(
        containers=InstanceSet(running=(one,), waiting=(waiting,), stopped=(), unclear="it does not answer"),
        moved="it ran without a proxy",
    )
    notes = "\n".join(make_plan(known).notes)
    assert "it is unknown which containers get requests: it does not answer" in notes
    assert "removed when this one is healthy: api-production-dead (0.1.0, running)" in notes
    assert "it ran without a proxy" in notes


def test_what_runs_is_not_only_verified_while_nobody_knows_whether_it_gets_requests() -> None:
    """The deployment puts it into traffic."""
    unclear = replace(running("0.1.0"), unclear="the proxy sends no requests to them")
    assert make_plan(parts(asked=OLD, containers=unclear, strategy="start-first")).strategy == "start-first"


def test_what_undoes_migrations_first_is_shown_with_its_image_and_time() -> None:
    """It will run in production: word for word, for people and machines."""
    command = MigrationCommand(
        command=("alembic", "downgrade", "-2"), version="0.2.0", image="acme/api@x", timeout=60_000
    )
    down = cast(Any, SimpleNamespace(shown=command))
    plan = make_plan(parts(migrations=MigrationPlan(down=down, notes=("check the data",))))
    rows = dict(plans.plan_rows(plan))
    assert rows["first"].startswith("`alembic downgrade -2`\nin a container of 0.2.0, acme/api@x,")
    assert rows["first"].endswith("for 1m at most")
    assert plan.to_json()["down"]["command"] == command.command
    assert "check the data" in plan.notes
    assert make_plan(parts()).to_json()["down"] is None


def test_what_may_cost_a_request_is_a_note() -> None:
    """Before anybody says yes."""
    assert "it may lose a request" in make_plan(parts(cautions=("it may lose a request",))).notes


def test_what_is_only_verified_is_not_migrated() -> None:
    """The plan shows the command that migrates the data only if something is replaced."""
    up = cast(Any, SimpleNamespace(shown=MigrationCommand(command=("up",), version="", image="", timeout=1)))
    migrations = MigrationPlan(up=up)
    assert make_plan(parts(asked=OLD, migrations=migrations)).up is None
    assert make_plan(parts(migrations=migrations)).up == up.shown


def test_the_plan_names_the_place_of_each_variable() -> None:
    """One line for each place, and by name in JSON."""
    origins = {"TZ": "env of the service", "A": "the file a.env", "B": "the file a.env"}
    settings = DesiredSettings(spec=SPEC, secrets={}, origins=origins)
    known = parts()
    plan = make_plan(replace(known, found=replace(known.found, settings=settings)))
    rows = dict(plans.plan_rows(plan))
    assert rows["variables"] == "TZ: env of the service\nA, B: the file a.env"
    assert plan.to_json()["origins"] == origins
