"""Waiting until a container serves: its own health check, then the recorded request, and nothing breaking."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from typing import Final

from release.deploy.core.retry_unreachable import until_back
from release.deploy.targets.engine.exec_probe import Inside
from release.deploy.targets.engine.gates import Gates, ask_gates, port_asker
from release.errors import DeploymentFailed, EngineError
from release.events import Emit, Progress, Warned
from release.images.container_address import reachable_address
from release.images.engine import ContainerState, Engine
from release.network.probe import Answer, ask
from release.programs.cancellation import Cancellation
from release.programs.process import TAIL_LINES
from release.runspec import Probe
from release.secrets.redact import Mask
from release.values import Struct, field, replace

STEP: Final = "health"
"""The name under which the wait tells its progress."""

_LOOK_SECONDS: Final = 0.025
"""From one look at a starting container to the next: half of it is what a deployment waits too long."""

_PAUSE_SECONDS: Final = 0.5
"""From one run of a program in the container, or one look at it, to the next."""

_LEAST_MS: Final = 500
"""Least rest of the wait for another run of a program in the container."""

_CHECK_BYTES: Final = 4096
"""Kept bytes of what a health check writes: its status decides."""

_SETTLE_SECONDS: Final = 2.0
"""Time that a container without health check and reachable port must stay up to count as running."""


class Watch(Struct, frozen=True, kw_only=True, dict=True):
    """A container to wait for."""

    engine: Engine
    container: str
    probe: Probe | None
    timeout: int
    """Milliseconds from now to the moment it must be healthy."""
    emit: Emit
    mask: Mask = Mask()
    process: str = ""
    """Name of its process, which an error begins with; empty if the service has only one."""
    cancellation: Cancellation = field(default_factory=Cancellation)
    """Ends the wait."""
    gates: Gates = Gates()
    at_once: bool = False
    """True: its own check is run as soon as it answers, not when the engine's interval is over."""

    @cached_property
    def inside(self) -> Inside:
        """Return the probe from inside the container, for ports that cannot be reached from here."""
        return Inside(engine=self.engine, cancellation=self.cancellation)


class Healthy(Struct, frozen=True, kw_only=True):
    """A container that serves, its state at that time, and the evidence in a few words."""

    watch: Watch
    state: ContainerState
    evidence: str


def await_healthy(watch: Watch) -> Healthy:
    """Wait until the container serves. If the engine does not answer, wait for it.

    Raises:
        DeploymentFailed: the container ended, restarted, is unhealthy or too slow; with its last lines.
        EngineUnreachable: the engine did not answer.
    """
    began = time.monotonic()
    first = _state(watch)
    said: tuple[str, int | None] | None = None
    next_check, gated = began, ""
    while True:
        watch.cancellation.check()
        state = _alive(watch, first)
        answer = _answer(watch, state)
        if time.monotonic() >= next_check and _lacks_only_its_check(watch, state, answer):
            state = _checked(watch, state, within=_remaining_ms(watch, began))
            next_check = time.monotonic() + _PAUSE_SECONDS
        done, text = _judge(watch, state, answer, time.monotonic() - began)
        if done:
            left = _remaining_ms(watch, began)
            is_late = bool(gated) and left < _LEAST_MS  # the last answer stands
            done, gated = (False, gated) if is_late else _through_gates(watch, state, within=left)
            text = ", ".join(filter(None, [text, gated]))
        if done:
            return Healthy(watch=watch, state=state, evidence=watch.mask(text))
        known = (state.health, answer.status if answer is not None else None)
        if known != said:  # the many ways of not answering yet are one piece of news
            watch.emit(Progress(name=STEP, text=watch.mask(f"{state.name}: {text}")))
            said = known
        if time.monotonic() - began > watch.timeout / 1000:
            raise _failed(watch, f"after {watch.timeout / 1000:g} s {text}")
        watch.cancellation.pause(_LOOK_SECONDS if _is_seen(watch, state) else _PAUSE_SECONDS)


def _lacks_only_its_check(watch: Watch, state: ContainerState, answer: Answer | None) -> bool:
    answers = watch.probe is None or (answer is not None and answer.satisfies(watch.probe))
    return watch.at_once and answers and state.status == "running" and state.health == "starting"


def _checked(watch: Watch, state: ContainerState, *, within: int) -> ContainerState:
    """Run the container's health check as the engine does. If it fails, the engine's own result counts.

    Args:
        watch, state: the container.
        within: remaining milliseconds of the whole wait.
    """
    if not state.check or within <= 0:
        return state
    with suppress(EngineError, TimeoutError):
        ended = watch.engine.execute(
            state.id,
            state.check,
            env={},
            timeout=min(state.check_timeout, within),
            cancellation=watch.cancellation,
            limit=_CHECK_BYTES,
        )
        if ended.status == 0:
            return replace(state, health="healthy")
    return state


def _remaining_ms(watch: Watch, began: float) -> int:
    """Return the milliseconds that remain of the whole wait; at least one."""
    return max(1, watch.timeout - int((time.monotonic() - began) * 1000))


def _through_gates(watch: Watch, state: ContainerState, *, within: int) -> tuple[bool, str]:
    """Return the result of the gates. A program that failed is not run again at once."""
    holds, text = ask_gates(
        watch.gates,
        watch.engine,
        state,
        port=port_asker(watch.engine, state, watch.inside, watch.cancellation),
        timeout=within,
        cancellation=watch.cancellation,
    )
    if not holds:
        watch.cancellation.pause(_PAUSE_SECONDS)
    return holds, text


def keep_watch(healthy: Iterable[Healthy], milliseconds: int) -> str:
    """Watch that containers stay healthy for this time and unchanged; return the evidence.

    Raises:
        DeploymentFailed: a container ended, restarted or became unhealthy; with its last lines.
        EngineUnreachable: the engine did not answer.
    """
    firsts = [(each.watch, each.state) for each in healthy]
    wrong: dict[str, int] = {}
    end = time.monotonic() + milliseconds / 1000
    while True:
        for watch, first in firsts:
            watch.cancellation.check()
            _still(watch, first, wrong)
        if (left := end - time.monotonic()) <= 0:
            return f"stayed healthy for {milliseconds / 1000:g} s"
        time.sleep(min(left, _PAUSE_SECONDS))


def _still(watch: Watch, first: ContainerState, wrong: dict[str, int]) -> None:
    """Check the container once. One wrong answer may be a lost request; two in a row are a failure."""
    state = _alive(watch, first)
    if state.status != "running" or state.started_at != first.started_at:
        raise _failed(watch, f"it did not stay up: {state.status}, started again at {state.started_at}")
    is_before_its_first = watch.at_once and state.health == "starting"  # by the engine's clock
    if state.health != first.health and not is_before_its_first:
        raise _failed(watch, f"its health check did not stay {first.health}: {state.health}")
    answer = _answer(watch, state)
    good = watch.probe is None or answer is None or answer.satisfies(watch.probe)
    wrong[watch.container] = 0 if good else wrong.get(watch.container, 0) + 1
    if wrong[watch.container] > 1 and watch.probe is not None and answer is not None:
        raise _failed(watch, f"GET {watch.probe.path} did not stay well: {answer.text}")


def _judge(watch: Watch, state: ContainerState, answer: Answer | None, seconds: float) -> tuple[bool, str]:
    """Return whether the state is healthy enough, and the evidence."""
    if state.status != "running":
        return False, state.status
    checked = f"health check {state.health}" if state.health != "none" else ""
    well = state.health in ("none", "healthy")
    if watch.probe is not None and answer is not None:
        text = f"GET {watch.probe.path} gave {answer.text}"
        return well and answer.satisfies(watch.probe), f"{checked}, {text}" if checked else text
    if checked:
        return well, checked
    return (
        seconds >= _SETTLE_SECONDS,
        "running; it has no health check and no port to probe",
    )


def _answer(watch: Watch, state: ContainerState) -> Answer | None:
    """Return the result of the recorded request, from here or from inside; None if neither can send it."""
    if watch.probe is None:
        return None
    where = reachable_address(watch.engine.host, state, watch.probe.port)
    if where is not None:
        return ask(watch.probe, *where, check=watch.cancellation.check)
    is_due = state.status == "running" and state.health in ("none", "healthy")
    return watch.inside.http(watch.probe, state) if is_due else None


def _is_seen(watch: Watch, state: ContainerState) -> bool:
    """Return whether the request is sent from this machine, which costs the container only the answer."""
    return watch.probe is None or reachable_address(watch.engine.host, state, watch.probe.port) is not None


def warn_unreachable(watch: Watch) -> None:
    """Warn that ports cannot be reached from here, and name the check that decides instead."""
    state = _state(watch)
    ports = [*([watch.probe.port] if watch.probe is not None else []), *watch.gates.tcp]
    hidden = [
        port for port in dict.fromkeys(ports) if reachable_address(watch.engine.host, state, port) is None
    ]
    if not hidden:
        return
    noun = "port" if len(hidden) == 1 else "ports"
    found = f"{noun} {', '.join(map(str, hidden))} of {state.name} cannot be reached from this machine"
    with suppress(EngineError):  # it ended already: whoever waits for it says so
        if watch.inside.can_ask(state):
            watch.emit(Progress(name=STEP, text=f"{found}, so the probe runs inside the container"))
        else:
            watch.emit(
                Warned(
                    text=f"{found}, and the container has no Python for a probe inside: "
                    f"{_judge_of(watch, state)}"
                )
            )


def _judge_of(watch: Watch, state: ContainerState) -> str:
    if state.health != "none":
        return "only its health check decides"
    if watch.gates.command is not None:
        return "only its health_command decides"
    return 'only its status "running" decides; add a HEALTHCHECK or health_command'


def _state(watch: Watch) -> ContainerState:
    state = until_back(
        lambda: watch.engine.state(watch.container),
        milliseconds=watch.timeout,
        emit=watch.emit,
        cancellation=watch.cancellation,
    )
    if state is None:
        raise _failed(watch, "the container was removed")
    return state


def _alive(watch: Watch, first: ContainerState) -> ContainerState:
    """Return the container's state. Raises DeploymentFailed if it ended or restarted."""
    state = _state(watch)
    if state.status in ("exited", "dead", "removing"):
        reason = (
            "it needed more memory than its limit" if state.oom_killed else f"exit status {state.exit_code}"
        )
        raise _failed(watch, f"the container ended: {reason}")
    if state.status == "restarting" or state.restarts > first.restarts:
        raise _failed(
            watch, f"the container ended with exit status {state.exit_code}, and the engine restarted it"
        )
    if state.health == "unhealthy":
        raise _failed(watch, "its health check is unhealthy")
    return state


def _failed(watch: Watch, found: str) -> DeploymentFailed:
    """Return the failure with the container's last lines, without secrets."""
    lines: tuple[str, ...] = ()
    with suppress(EngineError):
        lines = watch.engine.logs(watch.container, lines=TAIL_LINES)
    tail = watch.mask.lines(lines)
    text = watch.mask(f"{watch.process}: {found}" if watch.process else found)
    return DeploymentFailed(f"verify the container {watch.container[:12]}", text, tail=tail)
