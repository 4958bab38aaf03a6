"""A deployment of several services: what is refused, and what it is called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from release.deploy.core.place import Place
from release.deploy.execution.group import GroupPlan
from release.deploy.planning import group_targets
from release.deploy.planning.group_targets import targets_of_deploy, targets_of_rollback
from release.errors import TargetUnavailable, UsageError
from release.ledger import query


def plan(count: int, name: str | None = "shop") -> GroupPlan:
    """Of so many services."""
    made = [
        SimpleNamespace(
            live=SimpleNamespace(place=place(number)),
            request=SimpleNamespace(reason="promote", version="0.2.0"),
        )
        for number in range(count)
    ]
    return GroupPlan(name=name, plans=cast(Any, tuple(made)))


def place(number: int) -> Place:
    name = f"service-{number}"
    return Place(service=name, environment="production", flags=(f"--service {name}",))


def lives(count: int) -> Any:
    workspace = SimpleNamespace(ledger=None)
    return [SimpleNamespace(place=place(number), workspace=workspace) for number in range(count)]


def test_a_group_is_called_by_its_services() -> None:
    """With the name of the group, if it has one."""
    named = "(service-0 in production to 0.2.0, service-1 in production to 0.2.0)"
    assert plan(2).title == f"deploy the group shop {named}"
    assert plan(2, name=None).title == f"deploy together {named}"


@pytest.mark.parametrize(
    "to",
    [
        "service-0=1.0.0",
        "service-0=1.0.0,service-2=1.0.0",
        "service-0=1.0.0,service-1=",
        "=1.0.0,x=1",
        "service-0=1,service-1=1,service-1=2",
    ],
)
def test_a_release_is_named_for_each_service_or_for_none(to: str) -> None:
    """One that is missing would stay as it is, without a word."""
    with pytest.raises(UsageError, match="does not name one release for each"):
        targets_of_deploy(lives(2), to)


def test_each_service_gets_the_release_that_is_named_for_it() -> None:
    """Blanks do not count; a word without a service is for all."""
    wanted = {"service-0": "1.0.0", "service-1": "20:00"}
    assert targets_of_deploy(lives(2), "service-1=20:00, service-0 = 1.0.0") == wanted


@pytest.mark.parametrize("to", ["-2", "-0"])
def test_steps_back_are_not_counted_for_several(to: str) -> None:
    """Two steps back of each are of no common moment."""
    with pytest.raises(UsageError, match="steps back of its own"):
        targets_of_rollback(lives(2), to)


def test_a_rollback_names_the_services_that_did_not_run_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no target, and are stopped; if none ran, there is nothing to go back to."""
    deployment = SimpleNamespace(deployment="1" * 12, release="", group="the group shop")
    known = SimpleNamespace(deployment=deployment, recorded_at="")
    seen = SimpleNamespace(event=None, ours=SimpleNamespace(running=()))
    ran = ["service-1"]
    monkeypatch.setattr(group_targets, "_starts", lambda _: iter([known]))
    monkeypatch.setattr(group_targets, "look_around", lambda _: seen)
    monkeypatch.setattr(query, "deployment_running_at", lambda _, name, *__: known if name in ran else None)
    deployment.release = "a"
    assert targets_of_rollback(lives(2), None) == {"service-0": None, "service-1": "1" * 12}
    assert targets_of_rollback(lives(2), "2h") == {"service-0": None, "service-1": "2h"}
    ran.clear()
    deployment.release = "b"
    seen.event, seen.ours.running = known, (1,)
    for to in (None, "2h"):
        with pytest.raises(TargetUnavailable, match="service-0, service-1 did not run when"):
            targets_of_rollback(lives(2), to)
