"""Stop-first: the new container takes the place of the old one, or the old one serves again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from release.deploy.core.place import Identity, Place, container_spec, look
from release.deploy.targets.engine import sequence
from release.deploy.targets.engine.replacement_parts import Part
from release.deploy.targets.engine.rollout import Replacement, RolloutTools
from release.errors import (
    Cancelled,
    DeploymentFailed,
    EngineError,
    EngineUnreachable,
    LockHeld,
    MixedState,
    PortTaken,
    Restored,
)
from release.events import Emit, Event, Notice, Warned
from release.images.engine import ContainerState
from release.programs.cancellation import Cancellation
from release.runspec import RunSpec
from release.secrets.redact import Mask, Redacted
from release.values import replace
from tests.unit.deploy.fakes import FakeEngine, Kept, digest, state, taken_port

PLACE = Place(service="api", environment="production")
NEW, OLD = "api-production-0123456789ab", "api-production"
IMAGE = digest("new")


def healthy(kept: Kept) -> ContainerState:
    return replace(kept.state, status="running", health="healthy")


def crashing(kept: Kept) -> ContainerState:
    """The new one ends; the old one starts as ever."""
    kept.logs = ("cannot connect with canary-secret",)
    return replace(kept.state, status="exited", exit_code=1) if kept.state.name == NEW else healthy(kept)


def engine_with_old(**changes: Any) -> FakeEngine:
    engine = FakeEngine(**{"starting": healthy, **changes})
    engine.add(state(OLD, health="healthy", labels=PLACE.labels("serving") | {"release.version": "0.1.0"}))
    return engine


def order(engine: FakeEngine) -> Replacement:
    identity = Identity(
        deployment="0123456789ab", version="0.2.0", commit="c" * 40, digest=digest("m"), record="e" * 64
    )
    return Replacement(
        place=PLACE,
        deployment=identity.deployment,
        version="0.2.0",
        containers=(container_spec(PLACE, identity, RunSpec(), image=IMAGE, secrets={}),),
        probe=None,
        old_probe=None,
        old_grace=1000,
        health_timeout=300,
        before=look(engine, PLACE),
    )


def alone(meant: Replacement) -> list[Part]:
    """The only process, without a proxy."""
    return [Part(order=meant, front=None)]


def run(
    engine: FakeEngine,
    cancellation: Cancellation | None = None,
    emit: Emit = lambda event: None,
    still_mine: Callable[[], None] = lambda: None,
    **changes: Any,
) -> str:
    tools = RolloutTools(
        engine=engine,
        emit=emit,
        cancellation=cancellation or Cancellation(),
        mask=Mask([Redacted("canary-secret")]),
        still_mine=still_mine,
    )
    return sequence.swap(tools, alone(replace(order(engine), **changes)))


def test_the_downtime_is_measured_and_told() -> None:
    """From the old one's stop until the new one is healthy; where nothing served, there is none."""
    told: list[Event] = []
    run(engine_with_old(), emit=told.append)
    text = "downtime 0.0 s: from the stop of api-production until 0.2.0 was healthy"
    assert [event for event in told if isinstance(event, Notice)] == [Notice(text=text)]
    told.clear()
    assert run(FakeEngine(starting=healthy), emit=told.append) == "health check healthy"
    assert not any(isinstance(event, Notice) for event in told)


def test_the_new_one_is_made_before_the_old_one_stops_and_the_old_one_goes_last() -> None:
    """The order of a rollout, as the engine saw it."""
    engine = engine_with_old()
    assert re.fullmatch(r"health check healthy, after [0-9.]+ s of downtime", run(engine))
    assert engine.calls == [
        f"create {NEW}",
        f"stop {OLD}",
        f"start {NEW}",
        f"remove {OLD}",
        f"rename {NEW} {OLD}",
    ]
    assert engine.names() == {OLD: "running"}


def test_the_first_deployment_stops_nothing() -> None:
    """Nothing ran before."""
    engine = FakeEngine(starting=healthy)
    run(engine)
    assert engine.calls == [f"create {NEW}", f"start {NEW}", f"rename {NEW} {OLD}"]


def test_a_new_one_that_ends_is_replaced_by_the_old_one_with_its_last_lines_kept() -> None:
    """The old one was only stopped: it is started again and must be healthy; secrets are masked."""
    engine = engine_with_old(starting=crashing)
    with pytest.raises(Restored) as caught:
        run(engine)
    assert engine.names() == {OLD: "running"}
    assert caught.value.tail == ("cannot connect with ***",)
    assert "exit status 1" in caught.value.found
    assert "api-production (0.1.0" in caught.value.found


def test_a_port_that_is_taken_brings_the_old_one_back() -> None:
    """The engine says so when the new one is started."""
    engine = engine_with_old(
        starting=lambda kept: taken_port(kept) if kept.state.name == NEW else healthy(kept)
    )
    with pytest.raises(Restored, match="port 8080 is published by other") as caught:
        run(engine)
    assert isinstance(caught.value.__cause__, PortTaken)
    assert engine.names() == {OLD: "running"}


def test_a_new_one_that_never_becomes_healthy_brings_the_old_one_back() -> None:
    """The time is over."""

    def starting(kept: Kept) -> ContainerState:
        return replace(healthy(kept), health="starting") if kept.state.name == NEW else healthy(kept)

    engine = engine_with_old(starting=starting)
    with pytest.raises(Restored, match="health check starting"):
        run(engine)
    assert engine.names() == {OLD: "running"}


def test_an_old_one_whose_stop_is_under_way_is_started_again_after_its_end() -> None:
    """A dead operator asked for the stop. The engine still calls it running, and a start would do nothing."""
    told: list[Event] = []
    engine = engine_with_old(stopping={OLD})
    tools = RolloutTools(engine=engine, emit=told.append, cancellation=Cancellation(), mask=Mask())
    end = sequence.give_back(tools, alone(order(engine)), DeploymentFailed("deploy", "it was interrupted"))
    assert isinstance(end, Restored)
    assert engine.calls == [f"stop {OLD}", f"start {OLD}"]
    assert [each.text for each in told if isinstance(each, Notice)] == [
        f"waiting for the stop of {OLD} that was under way"
    ]


def test_a_container_of_another_image_brings_the_old_one_back() -> None:
    """What runs must be the very image of the record."""

    def starting(kept: Kept) -> ContainerState:
        return replace(healthy(kept), image=digest("foreign"))

    with pytest.raises(Restored, match="not " + str(IMAGE)):
        run(engine_with_old(starting=starting))


def test_a_first_deployment_that_fails_leaves_nothing() -> None:
    """It says so, and is no restoration."""
    engine = FakeEngine(starting=crashing)
    with pytest.raises(DeploymentFailed, match="none runs now") as caught:
        run(engine)
    assert type(caught.value) is DeploymentFailed
    assert engine.names() == {}


def test_a_container_that_cannot_be_made_leaves_the_old_one_untouched() -> None:
    """The old one never stopped; an engine that quotes a secret is masked."""
    failing = {f"create {NEW}": EngineError("create it", "bad value canary-secret")}
    engine = engine_with_old(breaking=failing)
    with pytest.raises(DeploymentFailed, match=r"bad value \*\*\*; nothing was changed") as caught:
        run(engine)
    assert type(caught.value) is DeploymentFailed
    assert f"stop {OLD}" not in engine.calls


def test_an_old_one_that_does_not_come_back_is_a_mixed_state_that_lists_what_is_where() -> None:
    """Both failures are told."""

    def starting(kept: Kept) -> ContainerState:
        return replace(kept.state, status="exited", exit_code=7)

    with pytest.raises(MixedState) as caught:
        run(engine_with_old(starting=starting))
    assert "exit status 7" in caught.value.found
    assert "stopped: api-production (0.1.0, exited)" in caught.value.found


def test_an_engine_that_is_gone_in_the_middle_is_a_mixed_state() -> None:
    """What was there before is told, because the engine tells nothing."""

    class Gone(FakeEngine):
        def containers(self, labels: Any) -> Any:
            if f"start {NEW}" in self.calls:
                raise EngineError("list", "the engine does not answer")
            return super().containers(labels)

    def starting(_: Kept) -> ContainerState:
        raise EngineError("start", "the engine does not answer")

    engine = Gone(starting=starting)
    engine.add(state(OLD, labels=PLACE.labels("serving")))
    with pytest.raises(MixedState, match="the engine does not show what runs"):
        run(engine)


@pytest.mark.parametrize("moment", [f"create {NEW}", f"stop {OLD}", f"start {NEW}"])
def test_a_cancellation_at_any_moment_brings_the_old_one_back(moment: str) -> None:
    """A signal that arrives during a call to the engine takes effect after it."""
    cancellation = Cancellation()

    class Signalled(FakeEngine):
        def _call(self, verb: str, name: str) -> None:
            super()._call(verb, name)
            if f"{verb} {name}" == moment:
                cancellation.request("SIGTERM arrived")

    engine = Signalled(starting=healthy)
    engine.add(state(OLD, health="healthy", labels=PLACE.labels("serving")))
    with pytest.raises(DeploymentFailed, match="SIGTERM arrived") as caught:
        run(engine, cancellation)
    assert isinstance(caught.value.__cause__, Cancelled)
    assert engine.names() == {OLD: "running"}


def test_an_unforeseen_error_brings_the_old_one_back_too() -> None:
    """Whatever it is: what ran before runs again."""

    def starting(kept: Kept) -> ContainerState:
        if kept.state.name == NEW:
            raise RuntimeError("a defect")
        return healthy(kept)

    engine = engine_with_old(starting=starting)
    with pytest.raises(Restored, match="RuntimeError"):
        run(engine)
    assert engine.names() == {OLD: "running"}


def test_leftovers_of_a_crash_go_when_the_new_one_is_proven_and_not_before() -> None:
    """A stopped old one may be all there is to go back to."""
    engine = engine_with_old()
    engine.add(state("api-production-dead", status="created", labels=PLACE.labels("serving")))
    run(engine)
    assert engine.names() == {OLD: "running"}
    engine = engine_with_old(starting=crashing)
    engine.add(state("api-production-dead", status="created", labels=PLACE.labels("serving")))
    with pytest.raises(Restored):
        run(engine)
    assert engine.names() == {OLD: "running", "api-production-dead": "created"}


def left_over(engine: FakeEngine) -> Replacement:
    """A swap that broke off when the old one was gone already."""
    meant = replace(order(engine), lost=True)
    engine.create(meant.containers[0])
    return meant


def test_the_new_one_stays_whatever_its_health_where_the_old_one_is_gone() -> None:
    """Nothing else is there: it is left alone, and the message says so."""
    engine = FakeEngine(starting=crashing)
    tools = RolloutTools(engine=engine, emit=lambda event: None, cancellation=Cancellation(), mask=Mask())
    with pytest.raises(MixedState, match=rf"exit status 1; what ran before was removed; {NEW} .*not changed"):
        sequence.finish(tools, alone(left_over(engine)))
    assert engine.names() == {NEW: "exited"}
    engine.starting = healthy
    assert sequence.finish(tools, alone(order(engine))) == "health check healthy"


def test_what_runs_again_is_told_as_it_is_then() -> None:
    """Not as it was when it was stopped."""
    engine = engine_with_old(starting=crashing)
    engine.stop(OLD, grace=0)
    before = replace(look(engine, PLACE), running=look(engine, PLACE).stopped, stopped=())
    engine.create(order(engine).containers[0])
    tools = RolloutTools(engine=engine, emit=lambda event: None, cancellation=Cancellation(), mask=Mask())
    with pytest.raises(Restored, match=rf"{OLD} \(0.1.0, running, healthy\)"):
        sequence.finish(tools, alone(replace(order(engine), before=before)))


def test_tidying_up_that_fails_is_a_warning() -> None:
    """The new one serves: that is the result."""
    said: list[Event] = []
    engine = engine_with_old(breaking={f"remove {OLD}": EngineError("remove it", "busy")})
    said_so = run(engine, emit=said.append)
    assert re.fullmatch(r"health check healthy, after [0-9.]+ s of downtime", said_so)
    assert [event.text for event in said if isinstance(event, Warned)] == [
        (
            "0.2.0 of api in production serves, but the removal of the old container failed: remove it: busy"
            ". The next deployment removes it"
        )
    ]


class Lock:
    """A lock that somebody else takes at a call to the engine; how often it was asked for."""

    def __init__(self, engine: FakeEngine, taken_at: str) -> None:
        self.engine, self.taken_at = engine, taken_at
        self.asked = 0

    def ensure(self) -> None:
        self.asked += 1
        if self.taken_at in self.engine.calls:
            raise LockHeld("deploy api", "the lock was taken by Grace Hopper")


@pytest.mark.parametrize("moment", [f"create {NEW}", f"stop {OLD}", f"start {NEW}"])
@pytest.mark.parametrize("becomes", [healthy, crashing])
def test_who_lost_the_lock_touches_nothing_more(
    moment: str, becomes: Callable[[Kept], ContainerState]
) -> None:
    """Whoever took it may be at work there: nothing is stopped, started again or removed after that."""
    engine = engine_with_old(starting=becomes)
    with pytest.raises(
        MixedState, match="taken by Grace Hopper: this command stopped and changes nothing more"
    ) as caught:
        run(engine, still_mine=Lock(engine, moment).ensure)
    after = engine.calls[engine.calls.index(moment) + 1 :]
    assert after in ([], [f"start {NEW}"])
    assert f"{NEW} (0.2.0, " in caught.value.found
    assert f"{OLD} (0.1.0, " in caught.value.found


def test_a_container_that_the_next_operator_stopped_is_not_taken_for_a_crash() -> None:
    """Giving back would start the old one beside theirs."""
    engine = engine_with_old()

    def starting(kept: Kept) -> ContainerState:
        return replace(kept.state, status="exited", exit_code=137)

    engine.starting = starting
    with pytest.raises(MixedState, match=r"exit status 137; the lock was taken"):
        run(engine, still_mine=Lock(engine, f"start {NEW}").ensure)
    assert engine.names() == {OLD: "exited", NEW: "exited"}


def test_the_lock_is_asked_for_where_something_is_taken_away_and_nowhere_else() -> None:
    """Over ssh every question is a round trip."""
    engine = engine_with_old()
    lock = Lock(engine, "never")
    run(engine, still_mine=lock.ensure)
    assert lock.asked == len(["stop the old", "it is proven", "remove the old"])


def test_an_engine_that_does_not_tell_whose_the_lock_is_brings_the_old_one_back() -> None:
    """What ran before is not left lying for a question that got no answer."""
    engine, asked = engine_with_old(starting=crashing), [0]

    def unsure() -> None:
        asked[0] += 1
        if asked[0] == 2:
            raise EngineError("find the lock", "busy")

    with pytest.raises(Restored, match="exit status 1"):
        run(engine, still_mine=unsure)
    assert engine.names() == {OLD: "running"}


class Away(FakeEngine):
    """An engine that does not answer so many questions from a call on, as while it is restarted."""

    after: str = ""
    times: int = 0

    def _call(self, verb: str, name: str) -> None:
        self._answer()
        super()._call(verb, name)

    def state(self, container: str) -> ContainerState | None:
        self._answer()
        return super().state(container)

    def containers(self, labels: Mapping[str, str]) -> Sequence[ContainerState]:
        self._answer()
        return super().containers(labels)

    def _answer(self) -> None:
        if self.times and self.after in self.calls:
            self.times -= 1
            raise EngineUnreachable("ask the engine", "connection refused")


def away(after: str, times: int, **changes: Any) -> Away:
    engine = Away(**{"starting": healthy, **changes})
    engine.add(state(OLD, health="healthy", labels=PLACE.labels("serving") | {"release.version": "0.1.0"}))
    engine.after, engine.times = after, times
    return engine


def test_an_engine_that_is_away_for_a_moment_puts_back_what_ran() -> None:
    """An upgrade restarts it after the old one stopped: it is waited for, and that is said once."""
    engine, said = away(f"stop {OLD}", times=2), list[Event]()
    with pytest.raises(Restored, match="connection refused"):
        run(engine, emit=said.append, health_timeout=5000)
    assert engine.names() == {OLD: "running"}
    assert [event.text for event in said if isinstance(event, Notice)] == [
        "ask the engine: connection refused; waiting at most 5 s"
    ]


def test_an_engine_that_is_away_while_health_is_waited_for_is_no_failure() -> None:
    """The container runs on without it."""
    engine = away(f"start {NEW}", times=2)
    assert run(engine, health_timeout=5000).startswith("health check healthy, after ")
    assert engine.names() == {OLD: "running"}


def test_an_engine_that_stays_away_is_a_mixed_state_when_the_time_is_over() -> None:
    """Nobody waits for ever."""
    engine = away(f"stop {OLD}", times=1_000_000)
    with pytest.raises(MixedState, match="the engine does not show what runs"):
        run(engine)


def test_a_signal_ends_the_wait_for_an_engine_that_is_away() -> None:
    """And what ran before is put back when it answers."""
    engine, cancellation = away(f"start {NEW}", times=3), Cancellation()

    def emit(event: Event) -> None:
        if isinstance(event, Notice):
            cancellation.request("SIGTERM arrived")

    with pytest.raises(Restored, match="SIGTERM arrived"):
        run(engine, cancellation, emit, health_timeout=5000)
    assert engine.names() == {OLD: "running"}


def test_a_defect_while_putting_back_is_told_with_what_is_where() -> None:
    """It comes out as a state, not as a traceback."""
    broken = {f"start {OLD}": ValueError("a defect")}
    with pytest.raises(MixedState, match="failed too \\(ValueError\\)"):
        run(engine_with_old(starting=crashing, breaking=broken))
