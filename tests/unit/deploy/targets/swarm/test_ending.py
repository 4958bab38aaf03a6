"""The end of tasks: what is waited for, and for how long."""

from __future__ import annotations

import socket
import threading

import pytest

from release.deploy.targets.swarm import ending


def test_a_port_is_waited_for_until_nothing_listens_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is an answer; one that stays taken ends the wait all the same."""
    monkeypatch.setattr(ending, "_PAUSE_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(ending, "_PORT_SECONDS", 0.05)
        ending.await_free_ports(["127.0.0.1"], [port])
        monkeypatch.setattr(ending, "_PORT_SECONDS", 60.0)
        waiting = threading.Thread(target=ending.await_free_ports, args=(["127.0.0.1"], [port]), daemon=True)
        waiting.start()
    waiting.join(30)
    assert not waiting.is_alive()
