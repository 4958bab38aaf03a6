"""Where a container's port answers, seen from this machine."""

from __future__ import annotations

import pytest

from release.images.container_address import is_local, reachable_address
from tests.unit.deploy.fakes import state

SSH = "ssh://deploy@host.example"
ANY = "0.0.0.0"  # noqa: S104 - nothing is bound


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("unix:///var/run/docker.sock", True),
        ("tcp://127.0.0.1:2375", True),
        (SSH, False),
        ("tcp://10.0.0.7:2376", False),
    ],
)
def test_an_engine_is_local_by_its_address(host: str, expected: bool) -> None:
    """A socket, or a loopback address."""
    assert is_local(host) is expected


@pytest.mark.parametrize(
    ("host", "published", "expected"),
    [
        ("unix:///x", (ANY, 8080), ("127.0.0.1", 8080)),
        ("unix:///x", ("::", 8080), ("::1", 8080)),
        ("unix:///x", ("127.0.0.1", 8080), ("127.0.0.1", 8080)),
        (SSH, (ANY, 8080), ("host.example", 8080)),
        (SSH, ("10.1.2.3", 8080), ("10.1.2.3", 8080)),
        (SSH, ("127.0.0.1", 8080), None),
        ("unix:///x", None, ("172.17.0.2", 8000)),
        (SSH, None, None),
    ],
)
def test_a_port_is_asked_where_it_can_be_reached_from_here(
    host: str, published: tuple[str, int] | None, expected: tuple[str, int] | None
) -> None:
    """The published address, a remote engine's own host, or the container's address on this machine."""
    container = state(ports={8000: published} if published else {}, address="172.17.0.2")
    assert reachable_address(host, container, 8000) == expected
