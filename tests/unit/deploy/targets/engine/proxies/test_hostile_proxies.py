"""A proxy, or what answers at its admin address, that says anything: a ProxyError of one sentence."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.config import Proxy as Settings
from release.deploy.core.place import Place
from release.deploy.targets.engine.proxies.caddy import Caddy
from release.deploy.targets.engine.proxies.haproxy import HAProxy
from release.errors import ProxyError
from release.images.engine import Executed
from tests.unit.deploy.fakes import FakeEngine, RolloutRequest
from tests.unit.deploy.targets.engine.proxies.fakes import NETWORK, container

PLACE = Place(service="api", environment="production")
ONE = container("one", "10.0.0.2")


@dataclass
class Says(FakeEngine):
    """An engine in whose container `lb` something gives always the same answer."""

    answer: bytes = b""
    status: int = 0
    is_cut: bool = False

    def ran(self, order: RolloutRequest) -> Executed:
        return Executed(status=self.status, output=self.answer, errors=self.answer, is_cut=self.is_cut)


def caddy(engine: Says) -> Caddy:
    settings = Settings(kind="caddy", network=NETWORK, container="lb", admin="127.0.0.1:2019", backend="api")
    return Caddy(engine=engine, place=PLACE, settings=settings, port=8000)


def haproxy(engine: Says) -> HAProxy:
    settings = Settings(kind="haproxy", network=NETWORK, container="lb", admin="/run/a.sock", backend="api")
    return HAProxy(engine=engine, place=PLACE, settings=settings, port=8000)


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


CADDY = {
    "nothing": b"",
    "deep": http(b"[" * 100_000),
    "deep and closed": http(b"[" * 5_000 + b"]" * 5_000),
    "many": http(b"[" + b"{}," * 300_000 + b"{}]"),
    "a huge number": http(b'[{"dial": "a:1", "x": ' + b"9" * 10_000 + b"}]"),
    "not a number": http(b'[{"dial": "a:1", "x": NaN}]'),
    "half a character": http(rb'[{"dial": "\ud800"}]'),
    "another type": http(b'[{"dial": ["a"]}]'),
    "an object": http(b'{"a": 1}'),
    "not UTF-8": http(b'["\xff"]'),
    "a long status": http(b"m" * 900_000, status="500 " + "x" * 50_000),
    "a huge length": http(b"[]", "Content-Length: " + "9" * 30),
    "a negative length": http(b"[1]", "Content-Length: -5"),
    "a huge chunk": http(b"fffffffffffffffffffff\r\n[]", "Transfer-Encoding: chunked"),
    "an odd chunk": http(b"zz\r\n[]", "Transfer-Encoding: chunked"),
    "many headers": http(b"[]", *["X: y"] * 1000),
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
    "not HTTP": b"hello",
}


@pytest.mark.parametrize("answer", CADDY.values(), ids=CADDY.keys())
@pytest.mark.attack(
    "Caddy's admin API answers deep, huge or strange JSON or HTTP",
    "The answer has at most 1 MiB, 20 levels and 20000 values; the error is one sentence",
)
def test_a_hostile_caddy_is_a_proxy_error(answer: bytes) -> None:
    """Before and during a rollout."""
    proxy = caddy(Says(answer=answer))
    for ask in (proxy.upstreams, lambda: proxy.in_traffic([ONE]), lambda: proxy.switch(into=[ONE], out=[])):
        with pytest.raises(ProxyError) as caught:
            ask()
        assert len(str(caught.value)) < 1500


NAMES = b"1\n# srv_name srv_addr srv_port srv_fqdn srv_op_state srv_admin_state\n"
HAPROXY = {
    "nothing": b"",
    "large": b"x" * 900_000,
    "another version": b"2" * 10_000 + b"\n",
    "a long number": NAMES + b"a 1.2.3.4 80 - 2 " + b"9" * 5_000 + b"\n",
    "no number": NAMES + b"a 1.2.3.4 80 - x " + b"y" * 500_000 + b"\n",
    "too few columns": NAMES + b"a\n",
    "other columns": b"1\n# a b\n1 2\n",
}


@pytest.mark.parametrize("answer", HAPROXY.values(), ids=HAPROXY.keys())
@pytest.mark.attack(
    "HAProxy's runtime socket answers something other than its tables",
    "A table is read strictly from at most 1 MiB; the error quotes 300 characters",
)
def test_a_hostile_haproxy_is_a_proxy_error(answer: bytes) -> None:
    """For the servers."""
    proxy = haproxy(Says(answer=answer))
    for ask in (proxy.slots, lambda: proxy.in_traffic([ONE]), lambda: proxy.switch(into=[ONE], out=[])):
        with pytest.raises(ProxyError) as caught:
            ask()
        assert len(str(caught.value)) < 1500


def test_a_long_answer_and_a_long_complaint_are_short_errors() -> None:
    """What the engine cut is refused; of what a program complains the first characters are shown."""
    with pytest.raises(ProxyError, match="longer than"):
        caddy(Says(answer=b"x", is_cut=True)).upstreams()
    with pytest.raises(ProxyError) as caught:
        caddy(Says(answer=b"y" * 500_000, status=1)).upstreams()
    assert len(str(caught.value)) < 1500


@given(
    st.binary(max_size=200)
    | st.lists(st.dictionaries(st.just("dial"), st.text() | st.none())).map(json.dumps).map(str.encode)
)
def test_any_answer_is_read_or_refused(content: bytes) -> None:
    """Nothing but a ProxyError comes out."""
    for answer in (content, http(content), NAMES + content):
        for proxy in (caddy(Says(answer=answer)), haproxy(Says(answer=answer))):
            try:
                proxy.in_traffic([ONE])
                proxy.busy([ONE])
            except ProxyError:
                pass
