"""A deployment of several services: what is refused, and what it is called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from release.deploy.core.place import Place
from release.deploy.execution.group import GroupPlan, refuse_unfit
from release.deploy.planning.together import targets_of_deploy, targets_of_rollback
from release.deploy.targets.engine.target import EngineRollouts
from release.errors import NotReady, UsageError


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
    return Place(service=f"service-{number}", environment="production")


def lives(count: int) -> Any:
    return [SimpleNamespace(place=place(number)) for number in range(count)]


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
