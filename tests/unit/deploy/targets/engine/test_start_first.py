"""Start-first: the new one is healthy before it takes the traffic, or the old one keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from release.deploy.core.place import ContainerSet, Identity, Place, container_spec, look
from release.deploy.targets.engine import sequence
from release.deploy.targets.engine.process_proxies import Front
from release.deploy.targets.engine.replacement_parts import Part
from release.deploy.targets.engine.rollout import Replacement, RolloutTools
from release.errors import (
    Cancelled,
    DeploymentFailed,
    EngineError,
    LockHeld,
    MixedState,
    ProxyError,
    ReleaseError,
    Restored,
)
from release.events import Event, Warned
from release.images.engine import ContainerState, StoredImage
from release.programs.cancellation import Cancellation
from release.runspec import Healthcheck, RunSpec
from release.secrets.redact import Mask
from release.values import replace
from tests.unit.deploy.fakes import FakeEngine, Kept, digest, state

PLACE = Place(service="api", environment="production")
IDENTITY = Identity(
    deployment="0123456789ab", version="0.2.0", commit="c" * 40, digest=digest("m"), record="e" * 64
)
NEW, OLD = "api-production-0123456789ab", "api-production"
IMAGE = digest("new")


@dataclass
class FakeProxy:
    """Who is in traffic, in memory; what it is told stands among the engine's calls."""

    engine: FakeEngine
    traffic: set[str] = field(default_factory=set)
    requests: list[int | None] = field(default_factory=lambda: [None])
    """What is said to be under way, question by question; the last one again and again."""
    breaking: Callable[[str], None] = lambda told: None
    traffic_with_health: bool = False

    def problems(self, replicas: int) -> Iterable[str]:
        raise AssertionError(replicas)

    def image_problem(self, image: StoredImage, check: Healthcheck | None) -> str:
        raise AssertionError(image)

    def cautions(self) -> Iterable[str]:
        return ("it may lose a request",)

    def labels(self) -> Mapping[str, str]:
        raise AssertionError

    def in_traffic(self, containers: Sequence[ContainerState]) -> frozenset[str]:
        self.breaking("carried")
        return frozenset(one.id for one in containers if one.id in self.traffic)

    def switch(self, *, into: Sequence[ContainerState], out: Sequence[ContainerState]) -> None:
        names = [",".join(one.name for one in some) or "nobody" for some in (into, out)]
        self.engine.calls.append(f"switch {names[1]} to {names[0]}")
        self.breaking(self.engine.calls[-1])
        self.traffic = (self.traffic - {one.id for one in out}) | {one.id for one in into}

    def busy(self, containers: Sequence[ContainerState]) -> int | None:
        self.breaking("busy")
        return self.requests.pop(0) if len(self.requests) > 1 else self.requests[0]

    def forget(self, containers: Sequence[ContainerState]) -> None:
        self.engine.calls.append(f"forget {','.join(one.name for one in containers)}")


def healthy(kept: Kept) -> ContainerState:
    return replace(kept.state, status="running", health="healthy")


def crashing(kept: Kept) -> ContainerState:
    return replace(kept.state, status="exited", exit_code=1) if kept.state.name == NEW else healthy(kept)


def world(**changes: Any) -> tuple[FakeEngine, FakeProxy]:
    """An old one in traffic."""
    engine = FakeEngine(**{"starting": healthy, **changes})
    kept = engine.add(
        state(OLD, health="healthy", labels=PLACE.labels("serving") | {"release.version": "0.1.0"})
    )
    return engine, FakeProxy(engine=engine, traffic={kept.state.id})


def order(engine: FakeEngine, *, replicas: int = 1, before: ContainerSet | None = None) -> Replacement:
    spec = RunSpec(proxy="haproxy", networks=("edge",), replicas=replicas)
    return Replacement(
        place=PLACE,
        deployment=IDENTITY.deployment,
        version="0.2.0",
        containers=tuple(
            container_spec(PLACE, IDENTITY, spec, image=IMAGE, secrets={}, replica=number)
            for number in range(1, replicas + 1)
        ),
        probe=None,
        old_probe=None,
        old_grace=1000,
        health_timeout=300,
        before=before or look(engine, PLACE),
        drain=50,
    )


def behind(order: Replacement, proxy: FakeProxy) -> list[Part]:
    """The only process, behind a proxy."""
    return [Part(order=order, front=Front(proxy=proxy, drain=order.drain))]


def swap(tools: RolloutTools, order: Replacement, proxy: FakeProxy) -> str:
    return sequence.swap(tools, behind(order, proxy))


def finish(tools: RolloutTools, order: Replacement, proxy: FakeProxy) -> str:
    return sequence.finish(tools, behind(order, proxy))


def give_back(
    tools: RolloutTools, order: Replacement, proxy: FakeProxy, error: DeploymentFailed
) -> ReleaseError:
    return sequence.give_back(tools, behind(order, proxy), error)


def tools(
    engine: FakeEngine, cancellation: Cancellation | None = None, said: list[Event] | None = None
) -> RolloutTools:
    return RolloutTools(
        engine=engine,
        emit=(said if said is not None else []).append,
        cancellation=cancellation or Cancellation(),
        mask=Mask(),
    )


def test_the_new_one_is_proven_before_the_switch_and_the_old_one_stops_after_it() -> None:
    """The order of a rollout, as engine and proxy saw it."""
    engine, proxy = world()
    assert swap(tools(engine), order(engine), proxy) == "health check healthy"
    assert engine.calls == [
        f"create {NEW}",
        f"start {NEW}",
        f"switch {OLD} to {NEW}",
        f"forget {OLD}",
        f"stop {OLD}",
        f"remove {OLD}",
        f"rename {NEW} {OLD}",
    ]
    assert proxy.traffic == {f"id-{NEW}"}


def test_a_release_that_never_was_well_is_never_in_traffic() -> None:
    """The proxy was not even spoken to."""
    engine, proxy = world(starting=crashing)
    with pytest.raises(Restored, match=r"exit status 1; what ran before gets the requests: api-production"):
        swap(tools(engine), order(engine), proxy)
    assert engine.names() == {OLD: "running"}
    assert not [call for call in engine.calls if call.startswith("switch")]


def test_a_release_that_turns_bad_with_the_traffic_gives_it_back_before_it_goes() -> None:
    """No moment without anybody."""
    engine, proxy = world()

    def turning(told: str) -> None:
        if told == f"switch {OLD} to {NEW}":
            kept = engine.kept[-1]
            kept.state = replace(kept.state, health="unhealthy")

    proxy.breaking = turning
    with pytest.raises(Restored, match="unhealthy"):
        swap(tools(engine), order(engine), proxy)
    assert engine.calls[2:] == [
        f"switch {OLD} to {NEW}",
        f"switch {NEW} to {OLD}",
        f"forget {NEW}",
        f"stop {NEW}",
        f"remove {NEW}",
    ]
    assert proxy.traffic == {f"id-{OLD}"}


def test_a_proxy_that_refuses_the_switch_leaves_the_old_one_in_traffic() -> None:
    """It is asked, and says that nothing moved."""

    def refusing(told: str) -> None:
        if told == f"switch {OLD} to {NEW}":
            raise ProxyError("switch", "no server is free")

    engine, proxy = world()
    proxy.breaking = refusing
    with pytest.raises(Restored, match="no server is free"):
        swap(tools(engine), order(engine), proxy)
    assert engine.names() == {OLD: "running"}


def test_a_proxy_that_says_nothing_more_is_a_mixed_state_and_both_are_left() -> None:
    """Requests may go to either: neither is taken away."""

    def silent(told: str) -> None:
        if told in ("carried", f"switch {OLD} to {NEW}"):
            raise ProxyError("send a command to the proxy", "it does not answer")

    engine, proxy = world()
    proxy.breaking = silent
    with pytest.raises(MixedState) as caught:
        swap(tools(engine), order(engine), proxy)
    assert "it is unknown which containers get requests: it does not answer" in caught.value.found
    assert "api-production (0.1.0, running, healthy)" in caught.value.found
    assert engine.names() == {OLD: "running", NEW: "running"}


def test_a_proxy_that_sends_requests_elsewhere_is_no_success() -> None:
    """The switch said nothing, and did nothing."""
    engine, proxy = world()
    proxy.switch = lambda **_: None  # type: ignore[method-assign]
    with pytest.raises(Restored, match="the proxy sends requests to: api-production"):
        swap(tools(engine), order(engine), proxy)


def test_the_old_one_stops_when_nothing_is_under_way_there() -> None:
    """Or when the time for that is over, which is said."""
    engine, proxy = world()
    proxy.requests = [2, 1, 0]
    said: list[Event] = []
    swap(tools(engine, said=said), replace(order(engine), drain=60_000), proxy)
    assert proxy.requests == [0]
    assert any("no request was open" in str(event) for event in said)
    engine, proxy = world()
    proxy.requests, said = [3], []
    swap(tools(engine, said=said), order(engine), proxy)
    assert any("3 requests were still open after 0.05 s" in str(event) for event in said)


def test_an_old_one_that_does_not_leave_is_a_warning() -> None:
    """The new one serves: that is the result."""
    engine, proxy = world(breaking={f"stop {OLD}": EngineError("stop it", "busy")})
    said: list[Event] = []
    swap(tools(engine, said=said), order(engine), proxy)
    assert proxy.traffic == {f"id-{NEW}"}
    assert [event.text for event in said if isinstance(event, Warned)] == [
        (
            "0.2.0 of api in production serves, but api-production could not be removed: stop it: busy. "
            "The next deployment removes it"
        )
    ]


def test_a_first_deployment_that_fails_leaves_nothing() -> None:
    """Nobody was in traffic before."""
    engine = FakeEngine(starting=crashing)
    with pytest.raises(DeploymentFailed, match="none runs now") as caught:
        swap(tools(engine), order(engine), FakeProxy(engine=engine))
    assert type(caught.value) is DeploymentFailed
    assert engine.names() == {}


@pytest.mark.parametrize("moment", [f"create {NEW}", f"start {NEW}", f"switch {OLD} to {NEW}"])
def test_a_cancellation_before_the_end_leaves_the_traffic_where_it_was(moment: str) -> None:
    """A signal that arrives during a call takes effect after it."""
    cancellation = Cancellation()

    class Signalled(list[str]):
        def append(self, call: str) -> None:
            super().append(call)
            if call == moment:
                cancellation.request("SIGTERM arrived")

    engine, proxy = world(calls=Signalled())
    with pytest.raises(DeploymentFailed, match="SIGTERM arrived") as caught:
        swap(tools(engine, cancellation), order(engine), proxy)
    assert isinstance(caught.value.__cause__, Cancelled)
    assert (engine.names(), proxy.traffic) == ({OLD: "running"}, {f"id-{OLD}"})


def two_in_traffic(**changes: Any) -> tuple[FakeEngine, FakeProxy]:
    engine, proxy = world(**changes)
    second = engine.add(state(f"{OLD}.2", health="healthy", labels=PLACE.labels("serving")))
    proxy.traffic.add(second.state.id)
    return engine, proxy


def test_replicas_are_replaced_one_after_the_other() -> None:
    """The first old one is stopped before the second is touched, and kept."""
    engine, proxy = two_in_traffic()
    swap(tools(engine), order(engine, replicas=2), proxy)
    told = [call for call in engine.calls if call.split()[0] in ("start", "switch", "stop", "remove")]
    assert told == [
        f"start {NEW}",
        f"switch {OLD} to {NEW}",
        f"stop {OLD}",
        f"start {NEW}.2",
        f"switch {OLD}.2 to {NEW}.2",
        f"stop {OLD}.2",
        f"remove {OLD}",
        f"remove {OLD}.2",
    ]
    assert engine.names() == {OLD: "running", f"{OLD}.2": "running"}


def test_a_second_replica_that_fails_brings_the_first_old_one_back_too() -> None:
    """It was stopped by then: it is started, proven and in traffic again."""

    def starting(kept: Kept) -> ContainerState:
        ends = kept.state.name == f"{NEW}.2"
        return replace(kept.state, status="exited", exit_code=1) if ends else healthy(kept)

    engine, proxy = two_in_traffic(starting=starting)
    with pytest.raises(Restored, match="exit status 1"):
        swap(tools(engine), order(engine, replicas=2), proxy)
    assert engine.names() == {OLD: "running", f"{OLD}.2": "running"}
    assert proxy.traffic == {f"id-{OLD}", f"id-{OLD}.2"}


def test_more_or_fewer_replicas_than_before_are_fine() -> None:
    """What has no partner only comes, or only goes."""
    engine, proxy = world()
    swap(tools(engine), order(engine, replicas=3), proxy)
    assert set(engine.names()) == {OLD, f"{OLD}.2", f"{OLD}.3"}
    assert len(proxy.traffic) == 3
    engine, proxy = two_in_traffic()
    swap(tools(engine), order(engine), proxy)
    assert (engine.names(), proxy.traffic) == ({OLD: "running"}, {f"id-{NEW}"})


MOMENTS = ["create", "start", "switch", "stop", "forget", "remove"]


def broken_off(after: str) -> tuple[FakeEngine, FakeProxy, Replacement]:
    """A rollout whose process was killed right after this call; how it was meant."""
    engine, proxy = world()
    meant = order(engine)
    steps: dict[str, Callable[[], object]] = {
        "create": lambda: engine.create(meant.containers[0]),
        "start": lambda: engine.start(f"id-{NEW}"),
        "switch": lambda: proxy.switch(into=[engine.kept[1].state], out=[engine.kept[0].state]),
        "stop": lambda: engine.stop(f"id-{OLD}", grace=1),
        "forget": lambda: proxy.forget([engine.kept[0].state]),
        "remove": lambda: engine.remove(f"id-{OLD}"),
    }
    for name, act in steps.items():
        act()
        if name == after:
            break
    known = engine.state(f"id-{OLD}")
    before = ContainerSet(running=(known,) if known is not None else (), stopped=())
    return engine, proxy, replace(meant, before=before)


@pytest.mark.parametrize("after", MOMENTS)
def test_a_rollout_that_broke_off_anywhere_can_be_finished(after: str) -> None:
    """Engine and proxy are asked how far it came."""
    engine, proxy, meant = broken_off(after)
    assert finish(tools(engine), meant, proxy) == "health check healthy"
    assert (engine.names(), proxy.traffic) == ({OLD: "running"}, {f"id-{NEW}"})


@pytest.mark.parametrize("after", MOMENTS[:-1])
def test_a_rollout_that_broke_off_can_be_given_back_while_the_old_one_is_there(after: str) -> None:
    """It is started if it was stopped, and has the traffic before the new one goes."""
    engine, proxy, meant = broken_off(after)
    error = give_back(tools(engine), meant, proxy, DeploymentFailed("deploy", "it broke off"))
    assert isinstance(error, Restored)
    assert (engine.names(), proxy.traffic) == ({OLD: "running"}, {f"id-{OLD}"})


def test_a_rollout_of_which_not_every_container_was_made_is_given_back() -> None:
    """What is missing cannot be finished."""
    engine, proxy = world()
    meant = order(engine, replicas=2)
    engine.create(meant.containers[0])
    with pytest.raises(Restored, match="only 1 of 2 containers had been made"):
        finish(tools(engine), meant, proxy)
    assert engine.names() == {OLD: "running"}


@pytest.mark.parametrize("moment", [f"create {NEW}", f"start {NEW}", f"switch {OLD} to {NEW}"])
def test_who_lost_the_lock_leaves_the_traffic_and_both_as_they_are(moment: str) -> None:
    """Whoever took it may be moving it: nothing is switched, stopped or removed after that."""
    engine, proxy = world()

    def ensure() -> None:
        if moment in engine.calls:
            raise LockHeld("deploy api", "the lock was taken by Grace Hopper")

    with pytest.raises(MixedState, match="this command stopped and changes nothing more") as caught:
        swap(replace(tools(engine), still_mine=ensure), order(engine), proxy)
    assert engine.calls[engine.calls.index(moment) + 1 :] in ([], [f"start {NEW}"])
    assert engine.names()[OLD] == "running"
    assert "; in traffic: api-production" in caught.value.found


def test_old_ones_that_never_stopped_are_asked_too_before_they_count_as_restored() -> None:
    """One of them turned unhealthy meanwhile: that is no restoration, and nothing is taken away."""
    engine, proxy = world()

    def starting(kept: Kept) -> ContainerState:
        engine.kept[0].state = replace(engine.kept[0].state, health="unhealthy")
        return crashing(kept)

    engine.starting = starting
    with pytest.raises(MixedState, match="its health check is unhealthy"):
        swap(tools(engine), order(engine), proxy)
    assert engine.names() == {OLD: "running", NEW: "exited"}


@pytest.mark.parametrize("moment", ["carried", f"switch {OLD} to {NEW}", f"switch {NEW} to {OLD}"])
def test_a_defect_of_a_proxy_is_told_with_what_is_where(moment: str) -> None:
    """Whatever it raises, the deployment ends with its own errors."""
    engine, proxy = world()

    def turning(told: str) -> None:
        if told == f"switch {OLD} to {NEW}":
            engine.kept[-1].state = replace(engine.kept[-1].state, health="unhealthy")
        if told == moment:
            raise ValueError("no JSON")

    proxy.breaking = turning
    with pytest.raises((Restored, MixedState)):
        swap(tools(engine), order(engine), proxy)
    assert engine.names()[OLD] == "running"


def test_a_replica_that_was_restarted_while_the_next_one_came_is_no_success() -> None:
    """Each is looked at once more, as it was when it was proven."""
    engine, proxy = two_in_traffic()

    def starting(kept: Kept) -> ContainerState:
        if kept.state.name == f"{NEW}.2":
            first = next(one for one in engine.kept if one.state.name == NEW)
            first.state = replace(first.state, started_at="2026-11-20T11:00:00Z", health="starting")
        return healthy(kept)

    engine.starting = starting
    with pytest.raises(Restored, match="it did not stay up: running, started again at 2026-11-20T11:00:00Z"):
        swap(tools(engine), order(engine, replicas=2), proxy)
    assert engine.names() == {OLD: "running", f"{OLD}.2": "running"}


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_new_ones_stay_whatever_their_health_where_the_old_ones_are_gone(replicas: int) -> None:
    """Nothing else could have the traffic; also where another of them was never made."""
    engine = FakeEngine(starting=crashing)
    meant = replace(order(engine, replicas=replicas), lost=True)
    engine.start(engine.create(meant.containers[0]))
    proxy = FakeProxy(engine=engine, traffic={f"id-{NEW}"})
    with pytest.raises(MixedState, match=rf"what ran before was removed; {NEW} .* was not changed"):
        finish(tools(engine), meant, proxy)
    assert (engine.names(), proxy.traffic) == ({NEW: "exited"}, {f"id-{NEW}"})
