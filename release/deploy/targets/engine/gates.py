"""Health gates of a container, asked at the engine that runs it.

A port that accepts connections, and a program in the container that ends with status 0. Their settings are in
`release.gatespec`, so they are recorded, and a rollback asks the same again.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Final

from release.deploy.targets.engine.exec_probe import Inside
from release.errors import EngineError
from release.images.container_address import reachable_address
from release.images.engine import ContainerState, Engine
from release.network.probe import one_line_text
from release.network.tcp import ACCEPTS, probe_connection
from release.programs.cancellation import Cancellation
from release.runspec import RunSpec
from release.values import Struct

_OUTPUT_BYTES: Final = 4096
"""Kept bytes of what the program writes."""


class Gates(Struct, frozen=True, kw_only=True):
    """The gates of one deployment."""

    tcp: tuple[int, ...] = ()
    """Ports inside the container."""
    command: tuple[str, ...] | None = None
    """A program in the container and its words."""

    @classmethod
    def of(cls, spec: RunSpec | None) -> Gates:
        """Return the gates of recorded settings; none if no settings are known."""
        if spec is None:
            return cls()
        return cls(tcp=spec.health_tcp or (), command=spec.health_command)


def ask_gates(
    gates: Gates,
    engine: Engine,
    state: ContainerState,
    *,
    port: Callable[[int], str | None],
    timeout: int,
    cancellation: Cancellation,
) -> tuple[bool, str]:
    """Return whether all gates pass, and the evidence in a few words. The first failed gate ends the check.

    Args:
        gates: what to ask.
        engine: where the container runs.
        state: the running container.
        port: connects to a port of the container, and returns what it found; None: it cannot be asked.
        timeout: milliseconds that the program may take.
        cancellation: ends the wait for the program. Raises Cancelled.
    """
    said = []
    for number in gates.tcp:
        text = port(number)
        if text is not None:
            said.append(f"port {number} {text}")
            if text != ACCEPTS:
                return False, said[-1]
    if gates.command is not None:
        holds, told = _ends_well(gates.command, engine, state, timeout, cancellation)
        said.append(told)
        if not holds:
            return False, told
    return True, ", ".join(said)


def port_asker(
    engine: Engine, state: ContainerState, inside: Inside, cancellation: Cancellation
) -> Callable[[int], str | None]:
    """Return a function that connects to a port of a container: from this machine if it can, else inside."""

    def ask(port: int) -> str | None:
        where = reachable_address(engine.host, state, port)
        if where is None:
            return inside.tcp(port, state)
        return probe_connection(*where, check=cancellation.check)

    return ask


def _ends_well(
    command: tuple[str, ...],
    engine: Engine,
    state: ContainerState,
    timeout: int,
    cancellation: Cancellation,
) -> tuple[bool, str]:
    words = f"`{shlex.join(command)}`"
    try:
        ended = engine.execute(
            state.id, command, env={}, timeout=timeout, cancellation=cancellation, limit=_OUTPUT_BYTES
        )
    except TimeoutError:
        return False, f"{words} still runs after {timeout / 1000:g} s"
    except EngineError as error:
        return False, f"{words} could not be run: {error.found}"
    lines = (ended.errors or ended.output).decode(errors="replace").strip().splitlines()
    told = f": {one_line_text(lines[-1])}" if lines and ended.status else ""
    return ended.status == 0, f"{words} ended with status {ended.status}{told}"
