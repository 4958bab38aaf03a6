"""Gates: a port that accepts connections, a program in the container."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from release.deploy.targets.engine.exec_probe import Inside
from release.deploy.targets.engine.gates import Gates, ask_gates, port_asker
from release.errors import EngineError
from release.images.engine import ContainerState
from release.images.values import Executed
from release.programs.cancellation import Cancellation
from release.runspec import RunSpec
from tests.unit.deploy.fakes import FakeEngine, RolloutRequest, state


@contextmanager
def listening(*, greet: bytes = b"", close: bool = False) -> Iterator[int]:
    """A port that accepts one connection, says something or closes it at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            connection, _ = server.accept()
            connection.sendall(greet)
            if close:
                connection.close()
            else:
                kept.append(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        thread.join()
        for connection in kept:
            connection.close()


def asked(port: int) -> tuple[bool, str]:
    running = state(ports={5432: ("127.0.0.1", port)})
    engine = FakeEngine()
    return ask_all(Gates(tcp=(5432,)), engine, running)


def ask_all(gates: Gates, engine: FakeEngine, running: ContainerState) -> tuple[bool, str]:
    cancellation = Cancellation()
    port = port_asker(engine, running, Inside(engine=engine), cancellation)
    return ask_gates(gates, engine, running, port=port, timeout=1000, cancellation=cancellation)


@pytest.mark.parametrize("greet", [b"", b"220 ready\r\n"])
def test_a_port_holds_that_keeps_the_connection(greet: bytes) -> None:
    """Whoever speaks first."""
    with listening(greet=greet) as port:
        assert asked(port) == (True, "port 5432 accepts connections")


def test_a_connection_that_is_closed_at_once_is_none() -> None:
    """So does an engine's proxy in front of a container that does not listen."""
    with listening(close=True) as port:
        assert asked(port) == (False, "port 5432 closes connections at once")


def test_a_port_that_nobody_listens_on_does_not_hold() -> None:
    """With the system's own word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert asked(port) == (False, "port 5432 accepts no connection: Connection refused")


class Running(FakeEngine):
    """An engine whose containers end a program in this way."""

    def __init__(self, ending: Executed | Exception) -> None:
        super().__init__()
        self.ending = ending

    def ran(self, order: RolloutRequest) -> Executed:
        assert order.cancellation is not None, "a signal ends the wait"
        if isinstance(self.ending, Exception):
            raise self.ending
        return self.ending


@pytest.mark.parametrize(
    ("ending", "holds", "text"),
    [
        (Executed(status=0, output=b"fine\n", errors=b""), True, "`check -a` ended with status 0"),
        (
            Executed(status=1, output=b"", errors=b"a\nno db\n"),
            False,
            "`check -a` ended with status 1: no db",
        ),
        (TimeoutError(), False, "`check -a` still runs after 1 s"),
        (EngineError("run", "no such program"), False, "`check -a` could not be run: no such program"),
    ],
)
def test_a_program_holds_that_ends_with_status_0(
    ending: Executed | Exception, holds: bool, text: str
) -> None:
    """What it said last is told when it does not."""
    gates = Gates(command=("check", "-a"))
    assert ask_all(gates, Running(ending), state()) == (holds, text)


def test_gates_are_what_was_recorded() -> None:
    """Nothing is asked where nothing is known."""
    assert Gates.of(None) == Gates() == Gates.of(RunSpec())
    assert Gates.of(RunSpec(health_tcp=(1,), health_command=("a",))) == Gates(tcp=(1,), command=("a",))


def test_the_first_gate_that_does_not_hold_ends_the_asking() -> None:
    """The program is not run while the port is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    engine = Running(AssertionError("it was run"))
    running = state(ports={1: ("127.0.0.1", port)})
    holds, text = ask_all(Gates(tcp=(1,), command=("check",)), engine, running)
    assert (holds, text) == (False, "port 1 accepts no connection: Connection refused")
