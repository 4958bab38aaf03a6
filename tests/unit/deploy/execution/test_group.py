"""A deployment of several services: what is refused, and what it is called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from release.deploy.core.place import Place
from release.deploy.execution.group import GroupPlan, refuse_unfit
from release.deploy.planning import together
from release.deploy.planning.together import targets_of_deploy, targets_of_rollback
from release.deploy.targets.engine.target import EngineRollouts
from release.errors import NotReady, TargetUnavailable, UsageError
from release.ledger import query


def plan(*rollouts: object, name: str | None = "shop") -> GroupPlan:
    """Of one service for each of these rollouts."""
    made = [
        SimpleNamespace(
            live=SimpleNamespace(place=place(number), target=SimpleNamespace(rollouts=each)),
            request=SimpleNamespace(reason="promote", version="0.2.0"),
        )
        for number, each in enumerate(rollouts)
    ]
    return GroupPlan(name=name, plans=cast(Any, tuple(made)))


def place(number: int) -> Place:
    name = f"service-{number}"
    return Place(service=name, environment="production", flags=(f"--service {name}",))


def lives(count: int) -> Any:
    workspace = SimpleNamespace(ledger=None)
    return [SimpleNamespace(place=place(number), workspace=workspace) for number in range(count)]


def test_a_target_that_cannot_wait_for_others_is_refused_by_name() -> None:
    """Before anything is changed; one engine waits."""
    engine = EngineRollouts(engine=cast(Any, None), place=place(0))
    refuse_unfit(plan(engine, engine))
    with pytest.raises(NotReady) as refused:
        refuse_unfit(plan(engine, SimpleNamespace()))
    assert "service-1 in production cannot keep what runs" in refused.value.found
    assert "nothing was changed" in refused.value.found
    assert refused.value.attempted == (
        "deploy the group shop (service-0 in production to 0.2.0, service-1 in production to 0.2.0)"
    )
    assert plan(engine, name=None).title.startswith("deploy together (")


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
    assert set(targets_of_rollback(lives(2), "yesterday 18:00").values()) == {"yesterday 18:00"}


@pytest.mark.parametrize("to", ["-2", "-0"])
def test_steps_back_are_not_counted_for_several(to: str) -> None:
    """Two steps back of each are of no common moment."""
    with pytest.raises(UsageError, match="steps back of its own"):
        targets_of_rollback(lives(2), to)


@pytest.mark.parametrize(
    ("ran", "found", "hint"),
    [
        ("", "service-0, service-1 did not run", "name a time or versions"),
        ("service-1", "service-0 did not run", "alone: `invoke rollback --service service-1"),
    ],
)
def test_every_service_that_has_nothing_to_go_back_to_is_named(
    monkeypatch: pytest.MonkeyPatch, ran: str, found: str, hint: str
) -> None:
    """And no way on is proposed that is refused too."""
    known = SimpleNamespace(deployment=SimpleNamespace(deployment="1" * 12, release=""), recorded_at="")
    monkeypatch.setattr(together, "_starts", lambda _: iter([known]))
    monkeypatch.setattr(together, "look_around", lambda _: SimpleNamespace(event=None))
    monkeypatch.setattr(query, "deployment_running_at", lambda _, name, *__: known if name == ran else None)
    known.deployment.group = "the group shop"
    with pytest.raises(TargetUnavailable) as caught:
        targets_of_rollback(lives(2), None)
    assert caught.value.found.startswith(f"{found} when the group shop was deployed")
    assert hint in caught.value.hint
