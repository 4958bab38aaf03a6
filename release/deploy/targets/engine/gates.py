"""Conditions of a healthy container, beside its own health check and the recorded request.

A port that accepts connections, and a program in the container that ends with status 0. Both are settings, so
both are recorded, and a rollback asks the same again.
"""

from __future__ import annotations

import shlex
from typing import Final

from release.cancellation import Cancellation
from release.deploy.targets.engine.exec_probe import Inside
from release.errors import EngineError
from release.images.engine import ContainerState, Engine
from release.images.reach import reachable_address
from release.probe import one_line_text
from release.runspec import RunSpec
from release.values import Struct
from release.wire import ACCEPTS, probe_connection

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
    inside: Inside,
    timeout: int,
    cancellation: Cancellation,
) -> tuple[bool, str]:
    """Return whether all gates pass, and the evidence in a few words. The first failed gate ends the check.

    Args:
        gates: what to ask.
        engine: where the container runs.
        state: the running container.
        inside: asks a port that cannot be reached from this machine; where it cannot either, it is not asked.
        timeout: milliseconds that the program may take.
        cancellation: ends the wait for the program. Raises Cancelled.
    """
    said = []
    for port in gates.tcp:
        where = reachable_address(engine.host, state, port)
        text = (
            probe_connection(*where, check=cancellation.check)
            if where is not None
            else inside.tcp(port, state)
        )
        if text is not None:
            said.append(f"port {port} {text}")
            if text != ACCEPTS:
                return False, said[-1]
    if gates.command is not None:
        holds, told = _ends_well(gates.command, engine, state, timeout, cancellation)
        said.append(told)
        if not holds:
            return False, told
    return True, ", ".join(said)


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
