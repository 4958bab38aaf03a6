"""Several processes: everything is kept until all are proven, and put back in reverse where one fails."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import SERVING, Identity, Place
from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.engine import sequence
from release.deploy.targets.engine.instances import EngineInstances
from release.deploy.targets.engine.process_proxies import Front
from release.deploy.targets.engine.replacement_parts import Part, PartsMaker
from release.deploy.targets.engine.rollout import RolloutTools
from release.errors import DeploymentFailed, EngineError, MixedState, NameTaken, Restored
from release.events import Event, Warned
from release.images.engine import ContainerState
from release.programs.cancellation import Cancellation
from release.runspec import ProcessSpec, RunSpec
from release.secrets.redact import Mask
from release.values import replace
from tests.unit.deploy import fakes
from tests.unit.deploy.fakes import FakeEngine, Kept, digest, state
from tests.unit.deploy.targets.engine.test_start_first import FakeProxy

PLACE = Place(service="api", environment="production")
NEW, OLD = "0123456789ab", "ba9876543210"
IMAGE = digest("new")


def healthy(kept: Kept) -> ContainerState:
    return replace(kept.state, status="running", health="healthy")


def failing(*names: str) -> Any:
    """Containers of these processes of the new deployment end at once."""

    def starting(kept: Kept) -> ContainerState:
        wrong = any(kept.state.name == PLACE.at(name).fresh(NEW) for name in names)
        return replace(kept.state, status="exited", exit_code=1) if wrong else healthy(kept)

    return starting


def processes(*names: str, exclusive: str = "beat") -> RunSpec:
    return RunSpec(
        processes=tuple(
            ProcessSpec(name=name, settings=RunSpec(stop_grace=1000), exclusive=name == exclusive)
            for name in names
        )
    )


def identity(deployment: str, version: str) -> Identity:
    return Identity(
        deployment=deployment, version=version, commit="c" * 40, digest=digest("m"), record="e" * 64
    )


def engine_with(*names: str, deployment: str = OLD, **changes: Any) -> FakeEngine:
    """The old release runs these processes; the name of the only one is empty."""
    engine = FakeEngine(**{"starting": healthy, **changes})
    for name in names:
        place = PLACE.at(name)
        labels = place.labels(SERVING) | identity(deployment, "0.1.0").labels()
        engine.add(state(place.container, health="healthy", labels=labels))
    return engine


def maker(engine: FakeEngine, new: RunSpec, old: RunSpec | None = None, **changes: Any) -> PartsMaker:
    before: InstanceSet = EngineInstances(engine=engine, place=PLACE).look()
    request = RolloutRequest(
        place=PLACE,
        identity=identity(NEW, "0.2.0"),
        image=fakes.release("0.2.0").body.image,
        spec=new,
        secrets={},
        before=before,
        old=old or new,
        health_timeout=300,
        **changes,
    )
    return PartsMaker(place=PLACE, request=request, image=IMAGE, front_of=lambda _: None)


def tools(engine: FakeEngine, said: list[Event] | None = None) -> RolloutTools:
    return RolloutTools(
        engine=engine,
        emit=(said if said is not None else []).append,
        cancellation=Cancellation(),
        mask=Mask(),
    )


def parts(engine: FakeEngine, *names: str, **changes: Any) -> tuple[Part, ...]:
    return maker(engine, processes(*names), **changes).fresh()


def test_all_are_made_first_and_all_old_ones_go_last() -> None:
    """In the order of the settings; the evidence names each."""
    engine = engine_with("web", "beat")
    said = sequence.swap(tools(engine), parts(engine, "web", "beat"))
    assert said.startswith("web: health check healthy")
    assert "; beat: health check healthy" in said
    web, beat = (PLACE.at(name) for name in ("web", "beat"))
    assert engine.calls == [
        f"create {web.fresh(NEW)}",
        f"create {beat.fresh(NEW)}",
        f"stop {web.container}",
        f"start {web.fresh(NEW)}",
        f"stop {beat.container}",
        f"start {beat.fresh(NEW)}",
        f"remove {web.container}",
        f"rename {web.fresh(NEW)} {web.container}",
        f"remove {beat.container}",
        f"rename {beat.fresh(NEW)} {beat.container}",
    ]


def test_one_that_fails_puts_all_back_the_last_one_first() -> None:
    """Those that were not reached lose only their new container; one error tells it once."""
    engine = engine_with("web", "worker", "mail", starting=failing("worker"))
    told: list[Event] = []
    with pytest.raises(Restored) as caught:
        sequence.swap(tools(engine, told), parts(engine, "web", "worker", "mail"))
    web, worker, mail = (PLACE.at(name) for name in ("web", "worker", "mail"))
    assert engine.calls[-7:] == [
        f"remove {mail.fresh(NEW)}",
        f"stop {worker.fresh(NEW)}",
        f"remove {worker.fresh(NEW)}",
        f"start {worker.container}",
        f"stop {web.fresh(NEW)}",
        f"remove {web.fresh(NEW)}",
        f"start {web.container}",
    ]
    assert set(engine.names()) == {web.container, worker.container, mail.container}
    assert str(caught.value).startswith("cannot deploy 0.2.0 of api in production: ")
    assert caught.value.found.count("what ran before runs again") == 1
    assert caught.value.found.startswith("worker: the container ended: exit status 1; ")
    assert len([each for each in told if isinstance(each, Warned) and "restoring" in each.text]) == 1


def test_what_cannot_be_made_leaves_nothing() -> None:
    """The containers of the processes before it are gone again; nothing was stopped."""
    engine = engine_with("web", "worker")
    engine.add(state(PLACE.at("worker").fresh(NEW), status="exited"))
    with pytest.raises(DeploymentFailed, match="nothing was changed") as caught:
        sequence.swap(tools(engine), parts(engine, "web", "worker"))
    assert isinstance(caught.value.__cause__, NameTaken)
    assert PLACE.at("web").fresh(NEW) not in engine.names()
    assert not [call for call in engine.calls if call.startswith("stop api-production-web ")]


def test_what_the_new_release_lacks_is_stopped_first_and_goes_last() -> None:
    """And it is put back where another one fails."""
    engine = engine_with("web", "mail")
    sequence.swap(tools(engine), parts(engine, "web"))
    assert engine.calls[1] == f"stop {PLACE.at('mail').container}"
    assert engine.names() == {PLACE.at("web").container: "running"}
    engine = engine_with("web", "mail", starting=failing("web"))
    with pytest.raises(Restored):
        sequence.swap(tools(engine), parts(engine, "web"))
    assert engine.calls[-1] == f"start {PLACE.at('mail').container}"
    assert engine.names() == dict.fromkeys([PLACE.at("web").container, PLACE.at("mail").container], "running")


def test_a_first_deployment_that_fails_leaves_nothing() -> None:
    """Nothing ran before."""
    engine = engine_with(starting=failing("beat"))
    with pytest.raises(DeploymentFailed, match="no release ran before, and none runs now"):
        sequence.swap(tools(engine), parts(engine, "web", "beat"))
    assert engine.names() == {}


def test_an_exclusive_one_does_not_start_beside_one_that_did_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine says that it stopped it, and it still runs: the new one is not started."""
    engine = engine_with("beat")
    monkeypatch.setattr(FakeEngine, "stop", lambda *_, **__: None)
    with pytest.raises(Restored, match="it is exclusive, and api-production-beat"):
        sequence.swap(tools(engine), parts(engine, "beat", "web"))
    assert f"start {PLACE.at('beat').fresh(NEW)}" not in engine.calls


def test_an_exclusive_one_is_not_put_back_beside_a_new_one_that_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That the new one cannot be removed is a mixed state, not a reason for two of them."""
    engine = engine_with("beat", starting=failing("beat"))

    def stuck(_: FakeEngine, container: str) -> None:
        raise EngineError(f"remove {container}", "it is stuck")

    monkeypatch.setattr(FakeEngine, "remove", stuck)
    with pytest.raises(MixedState):
        sequence.swap(tools(engine), parts(engine, "beat"))
    assert f"start {PLACE.at('beat').container}" not in engine.calls


def test_what_is_put_back_of_several_deployments_is_said() -> None:
    """It ran so before: an earlier operator died. Nobody is told that all is well."""
    engine = engine_with("web", starting=failing("worker"))
    labels = PLACE.at("worker").labels(SERVING) | identity("c" * 12, "0.0.9").labels()
    engine.add(state(PLACE.at("worker").container, health="healthy", labels=labels))
    with pytest.raises(MixedState) as caught:
        sequence.swap(tools(engine), parts(engine, "web", "worker"))
    assert "these are of several deployments" in caught.value.found
    assert "invoke rollback" in caught.value.hint


def test_a_process_that_did_not_run_before_is_said_where_the_others_are_put_back() -> None:
    """An earlier operator died between its stop and its start."""
    engine = engine_with("web", starting=failing("web"))
    labels = PLACE.at("worker").labels(SERVING) | identity(OLD, "0.1.0").labels()
    engine.add(state(PLACE.at("worker").container, status="exited", labels=labels))
    with pytest.raises(MixedState, match="before, none of these processes ran: worker"):
        sequence.swap(tools(engine), parts(engine, "web", "worker"))


def test_only_what_ran_before_and_is_gone_is_lost() -> None:
    """A process that is new has nothing to go back to; that is no reason not to revert."""
    engine = engine_with("web")
    for name in ("web", "worker"):
        place = PLACE.at(name)
        labels = place.labels(SERVING) | identity(NEW, "0.2.0").labels()
        engine.add(state(place.fresh(NEW), health="healthy", labels=labels))
    made = maker(engine, processes("web", "worker"), processes("web"), replaces=OLD)
    assert [(part.name, part.order.lost) for part in made.resumed()] == [("web", False), ("worker", False)]
    engine.remove(f"id-{PLACE.at('web').container}")
    made = maker(engine, processes("web", "worker"), processes("web"), replaces=OLD)
    assert [(part.name, part.order.lost) for part in made.resumed()] == [("web", True), ("worker", False)]
    assert [len(made.new(part)) for part in made.resumed()] == [1, 1]


def test_a_rollout_that_broke_off_is_finished_from_where_it_is() -> None:
    """Web was replaced, beat was made: the old ones go when both are proven."""
    engine = engine_with("web", "beat")
    for name, status in (("web", "running"), ("beat", "created")):
        place = PLACE.at(name)
        labels = place.labels(SERVING) | identity(NEW, "0.2.0").labels()
        engine.add(state(place.fresh(NEW), status=status, health="healthy", image=IMAGE, labels=labels))
    made = maker(engine, processes("web", "beat"), replaces=OLD)
    sequence.finish(tools(engine), made.resumed())
    assert engine.names() == dict.fromkeys([PLACE.at("web").container, PLACE.at("beat").container], "running")


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeProxy, "labels", lambda _: {})


def behind(engine: FakeEngine, proxy: FakeProxy, *names: str, key: str = "edge") -> Any:
    """These processes are behind one proxy."""
    front = Front(proxy=proxy, drain=50, key=key)
    return lambda name: front if name in names else None


@pytest.mark.usefixtures("proxied")
def test_one_process_behind_a_proxy_becomes_several_without_a_gap() -> None:
    """The process that has the proxy takes the requests over from the only one, which drains and goes."""
    engine = engine_with("")
    proxy = FakeProxy(engine=engine, traffic={f"id-{PLACE.container}"})
    made = replace(
        maker(engine, processes("web", "beat"), RunSpec()), front_of=behind(engine, proxy, "", "web")
    )
    sequence.swap(tools(engine), made.fresh())
    web, beat = PLACE.at("web"), PLACE.at("beat")
    assert [call for call in engine.calls if not call.startswith("create")] == [
        f"start {web.fresh(NEW)}",
        f"switch {PLACE.container} to {web.fresh(NEW)}",
        f"start {beat.fresh(NEW)}",
        f"forget {PLACE.container}",
        f"stop {PLACE.container}",
        f"remove {PLACE.container}",
        f"rename {web.fresh(NEW)} {web.container}",
        f"rename {beat.fresh(NEW)} {beat.container}",
    ]


@pytest.mark.usefixtures("proxied")
def test_a_failure_gives_the_requests_back_to_the_only_process() -> None:
    """Before the new containers go."""
    engine = engine_with("", starting=failing("beat"))
    proxy = FakeProxy(engine=engine, traffic={f"id-{PLACE.container}"})
    made = replace(
        maker(engine, processes("web", "beat"), RunSpec()), front_of=behind(engine, proxy, "", "web")
    )
    with pytest.raises(Restored):
        sequence.swap(tools(engine), made.fresh())
    assert proxy.traffic == {f"id-{PLACE.container}"}
    assert engine.names() == {PLACE.container: "running"}


@pytest.mark.usefixtures("proxied")
def test_what_goes_behind_a_proxy_of_its_own_keeps_its_requests_to_the_end() -> None:
    """Nobody takes them over, so it is stopped when all others are proven."""
    engine = engine_with("web", "admin")
    proxy = FakeProxy(engine=engine, traffic={f"id-{PLACE.at('admin').container}"})
    made = replace(maker(engine, processes("web")), front_of=behind(engine, proxy, "admin"))
    sequence.swap(tools(engine), made.fresh())
    web, admin = PLACE.at("web"), PLACE.at("admin")
    in_order = (f"start {web.fresh(NEW)}", f"stop {admin.container}")
    moments = [engine.calls.index(call) for call in in_order]
    assert moments == sorted(moments)
    assert engine.names() == {web.container: "running"}
