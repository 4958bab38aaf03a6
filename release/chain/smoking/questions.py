"""The questions of a smoke run: HTTP, TCP, a program in the container, and whether the container stays up.

Every configured question is asked, and each answer is kept as a phrase.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from release.chain.smoking import hints
from release.chain.smoking.run import SmokeContainer
from release.chain.smoking.starting import ServiceProcessorTime, StartClock
from release.errors import GateFailed
from release.images.container_address import reachable_address
from release.images.engine import ContainerState, Executed
from release.network.probe import INTERVAL_SECONDS, Answer, await_answer
from release.network.tcp import ACCEPTS, probe_connection
from release.programs.process import TAIL_LINES
from release.values import Struct

_PAUSE_SECONDS: Final = 0.5
"""Seconds between two runs of a program, or two looks at the container."""

_LEAST_MS: Final = 1_000
"""Shortest time limit for a program in the container, in milliseconds."""

_STARTING: Final = 0.1
"""Share of one processor above which a container that must stay up still counts as starting."""

_NO_PROGRAM: Final = (126, 127)
_SERVER_ERROR: Final = 500
_HEALTHCHECK: Final = "its HEALTHCHECK"


class SmokeQuestions(Struct, frozen=True, kw_only=True):
    """The questions of one smoke run to a running container."""

    run: SmokeContainer
    container: str
    usage: ServiceProcessorTime
    clock: StartClock
    """Clock of `timeout`."""
    window: StartClock | None
    """Clock of `stays_up`."""
    started: ContainerState
    """State of the container right after its start."""

    @classmethod
    def begin(cls, run: SmokeContainer, container: str) -> SmokeQuestions:
        """Start the container and the clocks. Raises GateFailed."""
        run.start(container)
        settings = run.settings

        usage = ServiceProcessorTime(lambda: run.processor_seconds(container))
        clock = StartClock(settings.timeout / 1000, usage)
        window = None
        if settings.stays_up is not None:
            window = StartClock(settings.stays_up / 1000, usage, busy=_STARTING)
        return cls(
            run=run,
            container=container,
            usage=usage,
            clock=clock,
            window=window,
            started=run.require_running(container),
        )

    def ask_all(self) -> Iterator[str]:
        """Ask the questions in order; yield each answer in words. Raises GateFailed for a wrong answer."""
        settings = self.run.settings
        if settings.port is not None:
            yield self._ask_http(settings.port)
        for port in settings.tcp:
            yield self._ask_tcp(port)
        if settings.check is not None:
            yield self._ask_program(settings.check, f"`{shlex.join(settings.check)}`", "`smoke.check`")
        if self.window is not None:
            yield self._check_stays_up(self.window)

    def _ask_http(self, port: int) -> str:
        config, probe = self.run.settings, self.run.settings.probe
        assert probe is not None  # noqa: S101 - there is a port
        where = self.address(port)
        self.run.ctx.report_progress("smoke", f"asking {config.path} on port {port}")
        answer = await_answer(
            probe,
            *where,
            alive=self.run.periodic_check(self.container),
            is_over=lambda answer: self.clock.is_over(starting=_may_still_be_starting(answer)),
            interval=lambda: self.clock.interval,
        )
        if not answer.satisfies(probe):
            if answer.status is None:  # it may have ended since the last look
                self.run.require_running(self.container)
            asked = f"GET {config.path} on port {port}"
            found = f"after {self.clock}, {asked} gave {answer.whole}, not {config.status}"
            sockets = self.run.listening_ports(self.container) if answer.status is None else None
            raise self.run.create_error(
                self.container, found, lambda seen: hints.hint_for_wrong_answer(seen, answer, sockets)
            )
        return f"{config.path} answered {answer.text}"

    def _ask_tcp(self, port: int) -> str:
        where = self.address(port)
        self.run.ctx.report_progress("smoke", f"connecting to port {port}")
        require_running = self.run.periodic_check(self.container)
        while (text := probe_connection(*where, check=require_running)) != ACCEPTS:
            require_running()
            if self.clock.is_over():
                self.run.require_running(self.container)
                raise self._silent_port_error(port, text)
            self.run.ctx.cancellation.pause(max(self.clock.interval, INTERVAL_SECONDS))
        return f"port {port} {ACCEPTS}"

    def _silent_port_error(self, port: int, text: str) -> GateFailed:
        found, sockets = f"port {port} {text}, after {self.clock}", self.run.listening_ports(self.container)
        return self.run.create_error(
            self.container, found, lambda seen: hints.hint_for_silent_port(seen, port, sockets)
        )

    def address(self, port: int) -> tuple[str, int]:
        """Return the host and port of a container's port. Raises GateFailed."""
        where = reachable_address(self.run.ctx.engine.host, self.started, port)
        if where is None:
            self.run.require_running(self.container)
            hint = "run the same again; if it stays, read the engine's log"
            raise GateFailed("smoke", f"the engine published no port for {port}", hint)
        return where

    def _ask_program(self, argv: Sequence[str], name: str, key: str) -> str:
        """Run a program in the container until it ends with 0. Raises GateFailed."""
        self.run.ctx.report_progress("smoke", f"running {name} in the container")
        while True:
            self.run.require_running(self.container)
            ended = self._run_until_end(argv)
            if ended is not None and ended.status == 0:
                return f"{name} ended with status 0"
            self.run.require_running(self.container)  # 126 also if the container ended at the same moment
            lacks = ended is not None and ended.status in _NO_PROGRAM
            if lacks or self.clock.is_over():
                raise self._failed_program_error(ended, argv, name, key)
            self.run.ctx.cancellation.pause(_PAUSE_SECONDS)

    def _run_until_end(self, argv: Sequence[str]) -> Executed | None:
        """Return the end of the program; None if the program still runs at the time limit."""
        timeout = self.run.settings.timeout
        left = timeout - int(self.clock.elapsed * 1000)
        try:
            with self.usage.exclude():
                return self.run.execute(self.container, argv, timeout=max(left, _LEAST_MS))
        except TimeoutError:
            return None

    def _failed_program_error(
        self, ended: Executed | None, argv: Sequence[str], name: str, key: str
    ) -> GateFailed:
        if ended is None:
            found, lines = f"{name} in the container still ran after {self.clock}", []
        else:
            found = f"{name} in the container ended with status {ended.status}, not 0"
            if ended.status not in _NO_PROGRAM:
                found = f"{found}, after {self.clock}"
            lines = (ended.output + ended.errors).decode(errors="replace").splitlines()[-TAIL_LINES:]
        shown = [f"{argv[0]}: {line}" for line in lines]
        self.run.ctx.write_log("smoke", shown)
        status = ended.status if ended is not None else None
        return self.run.create_error(
            self.container, found, lambda seen: hints.hint_for_failed_check(seen, key, status), shown
        )

    def _check_stays_up(self, window: StartClock) -> str:
        """Check that the container runs during the whole window, without a restart. Raises GateFailed."""
        seconds = (self.run.settings.stays_up or 0) / 1000
        told = f"stayed up for {seconds:g} s"
        if self.started.check:
            self._ask_program(self.started.check, _HEALTHCHECK, "the image's HEALTHCHECK")
        self.run.ctx.report_progress("smoke", f"watching it stay up for {seconds:g} s")
        while not window.is_over():
            self._refuse_restart(seconds)
            self.run.ctx.cancellation.pause(_PAUSE_SECONDS)
        self._refuse_restart(seconds)
        if self.started.check:
            self._ask_program(self.started.check, _HEALTHCHECK, "the image's HEALTHCHECK")
            self._refuse_restart(seconds)
            told += f", and {_HEALTHCHECK} ended with status 0"
        self._report_other_ports()
        return told

    def _refuse_restart(self, seconds: float) -> None:
        state, first = (
            self.run.require_running(self.container, f"within the {seconds:g} s of `smoke.stays_up`"),
            self.started,
        )
        if state.started_at != first.started_at or state.restarts != first.restarts:
            found = f"the container was started again within the {seconds:g} s of `smoke.stays_up`"
            raise self.run.create_error(self.container, found, hints.hint_for_ended_container)
        if state.health == "unhealthy":
            found = f"its health check failed within the {seconds:g} s of `smoke.stays_up`"
            raise self.run.create_error(
                self.container,
                found,
                lambda seen: hints.hint_for_failed_check(seen, "the image's HEALTHCHECK", 1),
            )

    def _report_other_ports(self) -> None:
        """Report listening ports that no question is about."""
        if self.run.settings.ports:
            return
        sockets = self.run.listening_ports(self.container)
        if sockets is not None and sockets.on_all_addresses:
            port = min(sockets.on_all_addresses)
            ways = f"`smoke.port = {port}` (HTTP) or `smoke.tcp = [{port}]`"
            text = f"it listens on port {port}, which no question is about: {ways} asks it too"
            self.run.ctx.report_progress("smoke", text)


def _may_still_be_starting(answer: Answer) -> bool:
    """Return whether an answer may change: no answer, or a server error (RFC 9110, section 15.6)."""
    return answer.status is None or answer.status >= _SERVER_ERROR
