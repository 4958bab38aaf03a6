"""Caddy: the containers are the upstreams of one handler, set in one request and read back."""

from __future__ import annotations

import pytest

from release.config import Proxy as Settings
from release.deploy.core.place import Place
from release.deploy.targets.engine.proxies.caddy import Caddy
from release.errors import EngineError, ProxyError
from release.images.engine import Executed
from tests.unit.deploy.targets.engine.proxies.fakes import NETWORK, FakeCaddy, container

OLD, NEW = container("old", "10.0.0.2"), container("new", "10.0.0.3")


def proxy(engine: FakeCaddy, backend: str = "api") -> Caddy:
    settings = Settings(
        kind="caddy", network=NETWORK, container="lb", admin="127.0.0.1:2019", backend=backend
    )
    return Caddy(
        engine=engine, place=Place(service="api", environment="production"), settings=settings, port=8000
    )


def test_the_upstreams_change_in_one_request() -> None:
    """What others wrote there stays."""
    engine = FakeCaddy(upstreams=[{"dial": "elsewhere:1", "max_requests": 3}, {"dial": "old-own:8000"}])
    proxy(engine).switch(into=[NEW], out=[OLD])
    assert engine.upstreams == [{"dial": "elsewhere:1", "max_requests": 3}, {"dial": "new-own:8000"}]
    assert [request.split()[0] for request in engine.said] == ["GET", "PATCH", "GET"]


def test_a_switch_that_is_said_again_writes_nothing() -> None:
    """A new configuration would close connections that clients keep."""
    engine = FakeCaddy(upstreams=[{"dial": "new-own:8000"}])
    proxy(engine).switch(into=[NEW], out=[OLD])
    assert [request.split()[0] for request in engine.said] == ["GET"]


@pytest.mark.parametrize("dial", ["new:8000", "new-own:8000", "10.0.0.3:8000"])
def test_a_container_is_in_traffic_by_any_of_its_names_or_its_address(dial: str) -> None:
    """Somebody may have written it by hand."""
    assert proxy(FakeCaddy(upstreams=[{"dial": dial}])).in_traffic([OLD, NEW]) == {NEW.id}


def test_the_name_that_all_share_says_nothing_about_one() -> None:
    """Nor does another port."""
    engine = FakeCaddy(upstreams=[{"dial": "api-production-any:8000"}, {"dial": "new:9000"}])
    assert proxy(engine).in_traffic([OLD, NEW]) == frozenset()


def test_upstreams_that_are_not_what_was_told_are_an_error() -> None:
    """Success is what is read back."""
    engine = FakeCaddy(upstreams=[], deaf=True)
    with pytest.raises(ProxyError, match=r"was set to .*new-own:8000.*, but it has \[\]"):
        proxy(engine).switch(into=[NEW], out=[])


def test_a_handler_that_is_not_there_is_a_problem_before_the_rollout() -> None:
    """With Caddy's own words."""
    (problem,) = proxy(FakeCaddy(), backend="other").problems(1)
    assert "404 Not Found" in problem
    assert "unknown object ID" in problem


@pytest.mark.parametrize("said", [b"<html>welcome</html>", b'{"dial": "x"}', b'["x"]'])
def test_an_answer_that_is_no_upstreams_is_the_proxys_error(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something else may answer at the address: a rollout must be able to put back what ran."""
    text = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(said) + said
    monkeypatch.setattr(FakeCaddy, "_answer", lambda *_: Executed(status=0, output=text, errors=b""))
    with pytest.raises(ProxyError, match="the answer is not a list of upstreams"):
        proxy(FakeCaddy()).in_traffic([OLD, NEW])


@pytest.mark.parametrize(("migrates", "count"), [(b"1\n", 0), (b"0\n", 1), (b"", 1)])
def test_a_network_that_loses_waiting_connections_is_a_caution(migrates: bytes, count: int) -> None:
    """Nothing is said by a kernel that is too old to know it."""
    cautions = list(proxy(FakeCaddy(migrates=migrates)).cautions())
    assert len(cautions) == count
    assert all("--sysctl net.ipv4.tcp_migrate_req=1" in caution for caution in cautions)


def test_a_caddy_that_does_not_answer_is_no_caution(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a problem, said once."""

    def refused(*_: object, **__: object) -> Executed:
        raise EngineError("run sh", "there is no such container")

    monkeypatch.setattr(FakeCaddy, "execute", refused)
    assert list(proxy(FakeCaddy()).cautions()) == []
