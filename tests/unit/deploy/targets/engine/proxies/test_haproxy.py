"""HAProxy: each container takes a free server, and the servers' state decides."""

from __future__ import annotations

from typing import Any

import pytest

from release.config import Proxy as Settings
from release.deploy.core.place import Place
from release.deploy.targets.engine.proxies import haproxy
from release.deploy.targets.engine.proxies.haproxy import HAProxy
from release.errors import ProxyError
from tests.unit.deploy.targets.engine.proxies.fakes import NETWORK, FakeHAProxy, container

OLD, NEW = container("old", "10.0.0.2"), container("new", "10.0.0.3")


def proxy(engine: FakeHAProxy, **changes: Any) -> HAProxy:
    told = {"container": "lb", "admin": "/run/admin.sock", "backend": "api", "network": NETWORK, **changes}
    place = Place(service="api", environment="production")
    return HAProxy(engine=engine, place=place, settings=Settings(kind="haproxy", **told), port=8000)


def test_a_container_takes_a_free_server_by_its_address_and_the_other_lets_requests_end() -> None:
    """The new one first: there is no moment without a server."""
    engine = FakeHAProxy.with_slots(3)
    told = proxy(engine)
    told.switch(into=[OLD], out=[])
    assert told.in_traffic([OLD, NEW]) == {OLD.id}
    engine.said.clear()
    told.switch(into=[NEW], out=[OLD])
    assert [order for order in engine.said if order.startswith("set")] == [
        "set server api/seat2 addr 10.0.0.3 port 8000",
        "set server api/seat2 state ready",
        "set server api/seat1 state drain",
    ]
    assert told.in_traffic([OLD, NEW]) == {NEW.id}


def test_a_server_with_resolvers_is_told_a_name_that_the_container_keeps() -> None:
    """It follows the container to another address, and the good name moves on."""
    engine = FakeHAProxy.with_slots(2, domain="nobody.invalid")
    told = proxy(engine)
    told.switch(into=[NEW], out=[])
    assert "set server api/seat1 fqdn new-own" in engine.said
    assert told.in_traffic([OLD, NEW]) == {NEW.id}


def test_a_switch_that_is_said_again_changes_nothing() -> None:
    """A command after a crash says everything once more."""
    engine = FakeHAProxy.with_slots(3)
    told = proxy(engine)
    told.switch(into=[OLD], out=[])
    before = {name: dict(slot) for name, slot in engine.slots.items()}
    told.switch(into=[OLD], out=[NEW])
    assert engine.slots == before


def test_requests_under_way_are_counted_on_the_servers_of_the_containers() -> None:
    """Those of other servers are no concern of theirs."""
    engine = FakeHAProxy.with_slots(3)
    told = proxy(engine)
    told.switch(into=[OLD, NEW], out=[])
    engine.under_way = {"seat1": 4, "seat2": 7}
    assert told.busy([OLD]) == 4
    assert told.busy([OLD, NEW]) == 11


def test_a_container_that_goes_leaves_its_server_free() -> None:
    """The next one takes it."""
    engine = FakeHAProxy.with_slots(1)
    told = proxy(engine)
    told.switch(into=[OLD], out=[])
    told.forget([OLD])
    assert told.in_traffic([OLD]) == frozenset()
    told.switch(into=[NEW], out=[])
    assert told.in_traffic([NEW]) == {NEW.id}


def test_a_switch_without_a_free_server_is_an_error_that_says_so() -> None:
    """Nothing was told to the others."""
    engine = FakeHAProxy.with_slots(1)
    told = proxy(engine)
    told.switch(into=[OLD], out=[])
    with pytest.raises(ProxyError, match="none of its 1 servers is free"):
        told.switch(into=[NEW], out=[OLD])
    assert told.in_traffic([OLD]) == {OLD.id}


def test_a_server_that_does_not_become_ready_is_an_error_with_every_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An order that was taken is no proof: the state is read back."""
    monkeypatch.setattr(haproxy, "_CONFIRM_SECONDS", 0.1)
    engine = FakeHAProxy.with_slots(2)
    engine.deaf = True
    with pytest.raises(ProxyError, match=r"seat1 \(10\.0\.0\.3\) rests; seat2"):
        proxy(engine).switch(into=[NEW], out=[])


def test_a_container_without_an_address_on_the_network_is_refused() -> None:
    """HAProxy could not reach it."""
    with pytest.raises(ProxyError, match="no address on the network edge"):
        proxy(FakeHAProxy.with_slots(2)).switch(into=[container("far", "", networks={})], out=[])


@pytest.mark.parametrize(
    ("slots", "backend", "found"),
    [
        (2, "nope", "Can't find backend"),
        (0, "api", "all 0 servers"),
        (1, "api", "1 replicas needs one more"),
    ],
)
def test_what_would_stop_a_rollout_is_said_before_it(slots: int, backend: str, found: str) -> None:
    """Too few servers, or another backend."""
    told = proxy(FakeHAProxy.with_slots(slots), backend=backend)
    assert [found in line for line in told.problems(1)] == [True]


def test_a_backend_with_enough_servers_has_no_problem() -> None:
    """One more than serve."""
    assert list(proxy(FakeHAProxy.with_slots(3)).problems(2)) == []


def test_the_state_of_the_servers_is_kept_where_haproxy_reads_it_at_its_start() -> None:
    """After every change."""
    engine = FakeHAProxy.with_slots(2)
    told = proxy(engine, state_file="/var/lib/haproxy/servers")
    told.switch(into=[NEW], out=[])
    assert "seat1 10.0.0.3 2" in engine.files["/var/lib/haproxy/servers"]


def test_a_table_that_lacks_a_column_is_the_proxys_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version, or another program: a rollout must be able to put back what ran."""
    monkeypatch.setattr(FakeHAProxy, "_state", lambda _: "1\n# be_name srv_name\napi seat1\n")
    with pytest.raises(ProxyError, match="the answer is not the expected table: 'srv_addr'"):
        proxy(FakeHAProxy.with_slots(1)).in_traffic([container("old", "10.0.0.2")])
