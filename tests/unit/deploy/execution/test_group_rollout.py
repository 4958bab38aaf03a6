"""Rollouts of several services: all are proven before one lets go, or all put back what ran."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from release.deploy.core.place import Place
from release.deploy.core.rollout import RolloutContext
from release.deploy.execution.group_rollout import Part, ServiceEnd, named, run_together, worst
from release.errors import DeploymentFailed, MixedState, ReleaseError, Restored
from release.events import Event, Started, Warned
from release.programs.cancellation import Cancellation
from release.secrets.redact import Mask


@dataclass
class Stage:
    """Services that note what happens to them."""

    done: list[str] = field(default_factory=list)
    cancellation: Cancellation = field(default_factory=Cancellation)
    sick_later: set[str] = field(default_factory=set)

    def part(self, name: str, error: type[ReleaseError] | None = None) -> Part:
        """A service; with an error it is not healthy."""
        place = Place(service=name, environment="production")

        def act(context: RolloutContext) -> str:
            self.done.append(f"start {name}")
            try:
                if error is not None:
                    raise DeploymentFailed(name, f"{name} is sick")
                context.others(lambda: self.look(name))
            except ReleaseError as found:
                self.done.append(f"put back {name}")
                raise (error or Restored)(name, f"{found.found}; what ran before runs again") from found
            self.done.append(f"let go {name}")
            return f"{name} serves"

        context = RolloutContext(emit=lambda _: None, cancellation=self.cancellation, mask=Mask())
        return Part(place=place, attempted=f"change {name}", act=act, context=context)

    def look(self, name: str) -> None:
        self.done.append(f"look at {name}")
        if name in self.sick_later:
            raise DeploymentFailed(name, "it ended")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def found(ends: list[ServiceEnd]) -> list[str]:
    return [end.error.found if end.error is not None else end.evidence for end in ends]


def test_nothing_lets_go_before_all_are_looked_at_once_more(stage: Stage) -> None:
    """The one that began last lets go first."""
    ends = run_together([stage.part("api"), stage.part("web")])
    assert found(ends) == ["api serves", "web serves"]
    assert stage.done == ["start api", "start web", "look at api", "look at web", "let go web", "let go api"]


def test_the_last_failure_puts_all_back(stage: Stage) -> None:
    """Each says what happened to it; the message begins with the one that failed."""
    ends = run_together([stage.part("api"), stage.part("web", DeploymentFailed), stage.part("pool")])
    assert stage.done == ["start api", "start web", "put back web", "put back api"]
    assert [end.is_cause for end in ends] == [False, True, False]
    assert "web was not healthy; it is deployed together with api" in found(ends)[0]
    assert found(ends)[2] == "an earlier service failed; nothing was changed"
    error = worst("deploy them", ends)
    assert type(error) is Restored
    assert error.found.startswith("web: web is sick")


def test_one_that_falls_ill_while_others_start_puts_all_back(stage: Stage) -> None:
    """Though it was proven before."""
    stage.sick_later = {"api"}
    ends = run_together([stage.part("api"), stage.part("web")])
    assert all("api did not stay healthy: it ended" in text or "it ended" in text for text in found(ends))
    assert stage.done[-2:] == ["put back web", "put back api"]


def test_a_service_that_is_not_replaced_has_to_serve_in_the_end(stage: Stage) -> None:
    """It was as asked already."""
    place = Place(service="pool", environment="production")
    stage.sick_later = {"pool"}
    ends = run_together([stage.part("api")], [(place, lambda: stage.look("pool"))])
    assert "it ended" in found(ends)[0]


def test_a_signal_is_told_as_one_to_all(stage: Stage) -> None:
    """It is no fault of a service."""
    act: Callable[[RolloutContext], str] = stage.part("web").act

    def cancelled(context: RolloutContext) -> str:
        stage.cancellation.request("SIGTERM arrived")
        context.cancellation.check()
        return act(context)

    web = stage.part("web")
    parts = [stage.part("api"), Part(place=web.place, attempted="", act=cancelled, context=web.context)]
    assert all("SIGTERM arrived" in text for text in found(run_together(parts)))


def test_the_worst_end_decides() -> None:
    """A mixed state is told before all that was restored."""
    place = Place(service="api", environment="production")
    ends = [
        ServiceEnd(place=place, error=Restored("x", "restored")),
        ServiceEnd(place=place, error=MixedState("x", "mixed", "look at it")),
    ]
    error = worst("deploy them", ends)
    assert isinstance(error, MixedState)
    assert error.hint == "look at it"


def test_a_step_is_told_with_its_service() -> None:
    """All services have a step `health`."""
    said: list[Event] = []
    tell = named("api", said.append)
    for event in (Started(name="health"), Warned(text="slow")):
        tell(event)
    assert said == [Started(name="api: health"), Warned(text="slow")]
