"""A few words with a proxy in its own container."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from release.deploy.targets.engine.proxies.admin_connection import AdminConnection
from release.errors import ProxyError
from release.images.engine import Executed
from tests.unit.deploy.fakes import FakeEngine, RolloutRequest


@dataclass
class Answering(FakeEngine):
    """An engine whose programs end in one way."""

    ended: Executed | None = None
    env: dict[str, str] = field(default_factory=dict)

    def ran(self, order: RolloutRequest) -> Executed:
        self.env = dict(order.env)
        if self.ended is None:
            raise TimeoutError(f"{order.argv[0]} in {order.container} still runs after {order.timeout} ms")
        return self.ended


def line(address: str, ended: Executed | None) -> tuple[AdminConnection, Answering]:
    engine = Answering(ended=ended)
    return AdminConnection(engine=engine, container="lb", address=address), engine


def test_words_go_to_a_socket_or_to_a_port() -> None:
    """As environment values: nothing of them is read by a shell."""
    well = Executed(status=0, output=b"yes", errors=b"")
    asked, engine = line("/run/admin.sock", well)
    assert asked.ask("$(hello)\n") == b"yes"
    assert engine.env == {"WORDS": "$(hello)\n", "HOST": "", "PORT": "", "SOCKET": "/run/admin.sock"}
    asked, engine = line("127.0.0.1:2019", well)
    asked.ask("hello")
    assert (engine.env["HOST"], engine.env["PORT"], engine.env["SOCKET"]) == ("127.0.0.1", "2019", "")


@pytest.mark.parametrize(
    ("ended", "found"),
    [
        (Executed(status=97, output=b"", errors=b""), "neither perl nor socat"),
        (Executed(status=111, output=b"", errors=b"a\nConnection refused\n"), "Connection refused"),
        (Executed(status=2, output=b"", errors=b""), "status 2"),
        (Executed(status=0, output=b"x", errors=b"", is_cut=True), "its answer is longer than 1024 KiB"),
        (None, "no answer within"),
    ],
)
def test_a_proxy_that_cannot_be_spoken_to_is_an_error_of_its_own(ended: Executed | None, found: str) -> None:
    """With what was said, and where."""
    asked, _ = line("/run/admin.sock", ended)
    with pytest.raises(ProxyError, match=found) as caught:
        asked.ask("hello")
    assert caught.value.attempted == "send a command to the proxy in lb at /run/admin.sock"
    assert caught.value.hint
