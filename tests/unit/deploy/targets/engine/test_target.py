"""One engine as a target: who serves, behind a proxy and without."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.core.place import Place, describe
from release.deploy.targets.engine.process_proxies import Front
from release.deploy.targets.engine.target import SingleEngine
from release.errors import DeploymentFailed, ProxyError
from release.runspec import RunSpec
from release.values import replace
from tests.unit.deploy.fakes import FakeEngine, digest, state, stored
from tests.unit.deploy.targets.engine.test_start_first import FakeProxy
from tests.unit.deploy.targets.swarm.fakes import means, order

PLACE = Place(service="api", environment="production")


def target(*, proxied: bool = True, **changes: Any) -> tuple[SingleEngine, FakeProxy]:
    """Two that run and one that is stopped, the first of them in traffic."""
    engine = FakeEngine()
    for name, status in {"one": "running", "two": "running", "three": "exited"}.items():
        engine.add(state(name, status=status, labels=PLACE.labels("serving")))
    proxy = FakeProxy(engine=engine, traffic={"id-one"})
    front = Front(proxy=proxy, drain=1000) if proxied else None
    return replace(SingleEngine(engine=engine, place=PLACE, front_of=lambda _: front), **changes), proxy


def at_once(target: SingleEngine) -> bool:
    (part,) = target.rollouts.parts(order()).fresh()
    return part.order.at_once


def names(target: SingleEngine) -> tuple[list[str], list[str], str]:
    ours = target.instances.look()
    return [one.name for one in ours.running], [one.name for one in ours.waiting], ours.unclear


def test_behind_a_proxy_those_that_get_requests_serve_and_the_others_wait() -> None:
    """Both run, and a deployment must know of both."""
    single, _ = target()
    assert names(single) == (["one"], ["two"], "")
    assert single.instances.look().ids == {"id-one", "id-two"}
    assert describe(single.instances.look().stopped) == "three (unknown version, exited)"


def test_without_a_proxy_all_that_run_serve() -> None:
    """They take their requests themselves."""
    single, _ = target(proxied=False)
    assert names(single) == (["one", "two"], [], "")


def test_a_proxy_that_sends_requests_to_none_of_them_is_said() -> None:
    """It may have forgotten: what runs is not taken for idle."""
    single, proxy = target()
    proxy.traffic = set()
    assert names(single) == (["one", "two"], [], "the proxy sends no requests to them")


def test_a_proxy_that_does_not_answer_is_said_and_looking_goes_on() -> None:
    """Status must not fail where it is needed most."""
    single, proxy = target()

    def silent(told: str) -> None:
        raise ProxyError("send a command to the proxy", f"no answer to {told}")

    proxy.breaking = silent
    assert names(single) == (["one", "two"], [], "send a command to the proxy: no answer to carried")


@pytest.mark.parametrize(("proxied", "strategy"), [(True, "start-first"), (False, "stop-first")])
def test_the_strategy_follows_from_the_place(proxied: bool, strategy: str) -> None:
    """Two at once need somebody in front."""
    single, _ = target(proxied=proxied)
    found = single.rollouts.strategy(RunSpec())
    assert found == strategy
    assert single.rollouts.describe(found).startswith(f"{strategy}: the ")


def test_its_own_check_is_run_at_once_unless_the_proxy_goes_by_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Traefik sends requests to what the engine calls healthy: it must have said so before."""
    monkeypatch.setattr(FakeProxy, "labels", lambda _: {})
    (alone, _), (behind, proxy) = target(proxied=False), target()
    assert at_once(alone)
    assert at_once(behind)
    proxy.traffic_with_health = True
    assert not at_once(behind)


def test_replicas_have_time_one_after_the_other() -> None:
    """The lock must not expire before the last."""
    single, _ = target()
    assert single.rollouts.patience(RunSpec(replicas=3, stop_grace=10), 100) == 3 * (100 + 1000 + 10)


def test_names_that_no_name_server_takes_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is touched: the containers would be made, and never be found."""
    single, proxy = target(place=Place(service="s" * 40, environment="e" * 20))
    monkeypatch.setattr(type(proxy), "problems", lambda *_: ())
    (problem,) = single.rollouts.settings_problems(RunSpec(proxy="dns"))
    assert problem.path == f"environments.{'e' * 20}.proxy"
    assert "makes names of 74 letters" in problem.message


def test_an_image_that_cannot_stand_behind_the_proxy_is_refused_with_a_way_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing was touched."""
    single, proxy = target()
    image = stored(digest("config 0.2.0"))
    monkeypatch.setattr(type(proxy), "image_problem", lambda *_: "the image has no HEALTHCHECK")
    monkeypatch.setattr(FakeEngine, "find", lambda *_, **__: image)
    with pytest.raises(DeploymentFailed, match="no HEALTHCHECK; nothing was changed") as caught:
        single.rollouts.roll_out(order(), means())
    assert "environments.production.proxy" in caught.value.hint


def test_what_a_proxy_may_lose_is_a_caution() -> None:
    """And nothing where there is none."""
    single, _ = target()
    assert single.rollouts.cautions() == ("it may lose a request",)
    assert target(proxied=False)[0].rollouts.cautions() == ()
