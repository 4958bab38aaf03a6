"""Words with a proxy through whatever program its image has."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from release.deploy.targets.engine.proxies.admin_connection import AdminConnection
from release.errors import ProxyError
from release.images.engine import ContainerSpec, Engine
from release.reference import Reference
from release.runspec import Mount
from tests.engine import lab
from tests.engine.deploy.traffic.edge import EXAMPLES

CONFIG = """\
cp /etc/edge/haproxy.cfg /tmp/haproxy.cfg
sed -i 's|^global|global\\n    stats socket ipv4@127.0.0.1:9999 level admin|' /tmp/haproxy.cfg
exec haproxy -W -db -f /tmp/haproxy.cfg
"""


@pytest.fixture
def proxy(engine: Engine, labels: Mapping[str, str]) -> str:
    """An HAProxy that takes orders at a socket and at a port."""
    image = engine.inspect(Reference.parse(lab.PROXIES_IMAGE))
    assert image is not None, "./dev builds it"
    mount = Mount(source=str(EXAMPLES), target="/etc/edge", read_only=True)
    spec = ContainerSpec(
        image=image.id, command=("sh", "-c", CONFIG), labels=labels, volumes=(mount,), stop_grace=100
    )
    container = engine.create(spec)
    engine.start(container)
    return container


def answer(engine: Engine, proxy: str, address: str) -> bytes | None:
    try:
        return AdminConnection(engine=engine, container=proxy, address=address).ask("show version\n")
    except ProxyError:
        return None


def test_each_program_that_may_be_there_carries_words(engine: Engine, proxy: str) -> None:
    """perl, then socat, then nc for a port; without any of them it is said what is missing."""
    socket, port = "/tmp/admin.sock", "127.0.0.1:9999"
    said = lab.eventually(lambda: answer(engine, proxy, socket), what="HAProxy")
    for gone in ("perl", "socat"):
        assert (answer(engine, proxy, socket), answer(engine, proxy, port)) == (said, said)
        engine.execute(proxy, ["sh", "-c", f"rm $(command -v {gone})"], env={}, timeout=30_000)
    assert answer(engine, proxy, port) == said
    with pytest.raises(ProxyError, match="neither perl nor socat"):
        AdminConnection(engine=engine, container=proxy, address=socket).ask("show info\n")


@pytest.mark.parametrize("address", ["/tmp/nobody.sock", "127.0.0.1:9998"])
def test_an_address_where_nobody_listens_is_said(engine: Engine, proxy: str, address: str) -> None:
    """With the system's own reason."""
    with pytest.raises(ProxyError, match=r"No such file or directory|Connection refused") as caught:
        AdminConnection(engine=engine, container=proxy, address=address).ask("show info\n")
    assert address in caught.value.attempted
