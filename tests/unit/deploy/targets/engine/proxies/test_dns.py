"""A name on a network: it is moved by renaming, for that cuts no connection."""

from __future__ import annotations

import pytest

from release.config import Proxy as Settings
from release.deploy.core.place import Place
from release.deploy.targets.engine.proxies.dns import Dns
from release.errors import EngineError, NameTaken, ProxyError
from release.images.engine import ContainerState
from tests.unit.deploy.fakes import FakeEngine
from tests.unit.deploy.targets.engine.proxies.fakes import NETWORK, container

PLACE = Place(service="api", environment="production")
OURS = PLACE.labels("serving")


def old(**changes: object) -> ContainerState:
    return container("api-production", "10.0.0.2", labels=OURS | {"release.deployment": "aaa"}, **changes)


def new() -> ContainerState:
    return container("api-production-bbb", "10.0.0.3", labels=OURS | {"release.deployment": "bbb"})


def engine_with(*states: ContainerState, **changes: object) -> FakeEngine:
    engine = FakeEngine(**changes)  # type: ignore[arg-type]
    for known in states:
        engine.add(known)
    return engine


def proxy(engine: FakeEngine) -> Dns:
    settings = Settings.model_validate({"kind": "dns", "network": NETWORK, "ttl": "1ms"})
    return Dns(engine=engine, place=PLACE, settings=settings, port=8000)


def test_the_name_is_taken_from_one_and_given_to_the_other() -> None:
    """The old one gets back the name that it had at first; nobody is disconnected."""
    engine = engine_with(old(), new())
    proxy(engine).switch(into=[new()], out=[old()])
    assert engine.calls == [
        "rename api-production api-production-aaa",
        "rename api-production-bbb api-production",
    ]
    assert proxy(engine).in_traffic([old(), new()]) == {new().id}


def test_a_name_that_is_where_it_should_be_stays_there() -> None:
    """Said again, nothing happens."""
    engine = engine_with(old())
    proxy(engine).switch(into=[old()], out=[])
    assert engine.calls == []


def test_half_a_move_is_taken_back() -> None:
    """The second renaming failed: the old one has its name again."""
    failing = {"rename api-production-bbb api-production": EngineError("rename", "no space")}
    engine = engine_with(old(), new(), breaking=failing)
    with pytest.raises(EngineError, match="no space"):
        proxy(engine).switch(into=[new()], out=[old()])
    assert proxy(engine).in_traffic([old(), new()]) == {old().id}


def test_a_stranger_is_not_renamed() -> None:
    """It is somebody's."""
    engine = engine_with(container("api-production", "10.0.0.2"), new())
    with pytest.raises(NameTaken, match="no deployment made"):
        proxy(engine).switch(into=[new()], out=[])
    assert engine.calls == []


def test_a_name_on_another_network_is_not_in_traffic() -> None:
    """The proxy does not see it."""
    elsewhere = old(networks={"other": "10.9.0.2"})
    engine = engine_with(elsewhere)
    assert proxy(engine).in_traffic([elsewhere]) == frozenset()
    with pytest.raises(ProxyError, match="docker network inspect edge"):
        proxy(engine).switch(into=[elsewhere], out=[])


def test_requests_under_way_are_not_known() -> None:
    """So the container's own stop lets them end."""
    assert proxy(engine_with(old())).busy([old()]) is None
