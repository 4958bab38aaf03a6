"""The container of a smoke run: started, asked, stopped, and what to do about one that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from release.chain.building.stage import BuiltImage
from release.chain.smoking import hints
from release.chain.smoking.hints import Seen, Sockets, read_sockets
from release.chain.smoking.starting import StartClock
from release.chain.stage_context import StageContext
from release.config import Smoke
from release.errors import EngineError, EngineUnreachable, GateFailed
from release.images.reach import reachable
from release.images.values import numbers_of
from release.probe import Answer, await_answer
from release.process import TAIL_LINES
from release.signals import Signal, caught, stop_signal
from release.values import Struct

_LOOK_SECONDS: Final = 0.5
"""How often the engine is asked whether the container still runs, while it does not answer."""

_HINT_LINES: Final = 200
"""Of the output, for what a hint is made from."""

_SERVER_ERROR: Final = 500
_LOOK_INSIDE_MS: Final = 5_000


class Run(Struct, frozen=True, kw_only=True):
    """One smoke run: what is run, and how."""

    ctx: StageContext
    built: BuiltImage
    settings: Smoke

    def has_a_command(self) -> None:
        """Refuse an image that names nothing to run. Raises GateFailed."""
        hint = hints.no_command(Seen(settings=self.settings, image=self.built.stored))
        if hint:
            raise GateFailed("smoke", "the image has no CMD and no ENTRYPOINT", hint)

    def probe(self, container: str) -> str:
        """Start the container and wait for the right answer. Raises GateFailed."""
        ctx, config = self.ctx, self.settings
        self._start(container)
        state = ctx.engine.state(container)
        where = reachable(ctx.engine.host, state, config.port) if state is not None else None
        if where is None:
            self._alive(container)
            hint = "run the same again; if it stays, read the engine's log"
            raise GateFailed("smoke", f"the engine published no port for {config.port}", hint)
        ctx.say("smoke", f"asking {config.path} on port {config.port}")
        clock = StartClock(config.timeout / 1000, lambda: self._usage(container))
        answer = await_answer(
            config.probe,
            *where,
            alive=self._now_and_then(container),
            is_over=lambda answer: clock.is_over(starting=_may_be_starting(answer)),
            interval=lambda: clock.interval,
        )
        if not answer.satisfies(config.probe):
            asked = f"GET {config.path} on port {config.port}"
            found = f"after {clock} {asked} gave {answer.whole}, not {config.status}"
            sockets = self._sockets(container) if answer.status is None else None
            raise self._failed(container, found, lambda seen: hints.unanswered(seen, answer, sockets))
        return answer.text

    def _start(self, container: str) -> None:
        """Start it. A program that is not there is a failure of the image, not of the engine."""
        try:
            self.ctx.engine.start(container)
        except EngineUnreachable:
            raise
        except EngineError as error:
            state = self.ctx.engine.state(container)
            if state is None or not state.exit_code:
                raise
            found = f"the container did not start: {error.found}"
            raise self._failed(container, found, hints.never_started) from error

    def _usage(self, container: str) -> float | None:
        with suppress(EngineError):
            return self.ctx.engine.processor_time(container)
        return None

    def _now_and_then(self, container: str) -> Callable[[], None]:
        """Looks at the container when that is due; each look costs the engine what the service needs."""
        due = time.monotonic() + _LOOK_SECONDS

        def look() -> None:
            nonlocal due
            self.ctx.cancellation.check()
            if time.monotonic() >= due:
                self._alive(container)
                due = time.monotonic() + _LOOK_SECONDS

        return look

    def _alive(self, container: str) -> None:
        self.ctx.cancellation.check()
        state = self.ctx.engine.state(container)
        if state is not None and state.status == "running":
            return
        if state is None:
            raise GateFailed("smoke", "the container is gone before it answered", "run the same again")
        memory = ": it needed more memory than `smoke.memory`" if state.oom_killed else ""
        found = f"the container ended with status {state.exit_code}{memory} before it answered"
        raise self._failed(container, found, hints.ended)

    def stop(self, container: str) -> tuple[int, Signal]:
        """Ask it to stop: its exit status, and the signal. A service that does not end loses requests.

        Raises:
            GateFailed: it did not end in time, or not with 0 or 128 and the number of its signal.
        """
        engine, grace = self.ctx.engine, self.settings.stop_grace
        state = engine.state(container)
        signal = stop_signal(state.stop_signal if state is not None else "")
        has_ended, handles = self._asked_to_stop(container, signal)
        state = engine.state(container)
        status, allowed = state.exit_code if state is not None else -1, (0, signal.exit_status)
        if has_ended and status in allowed:
            return status, signal
        how = f"ended with status {status}" if has_ended else f"did not end within {grace / 1000:g} s"
        found = f"after {signal} it {how} (allowed: {grace / 1000:g} s, status 0 or {signal.exit_status})"
        if has_ended:
            raise self._failed(container, found, lambda seen: hints.unclean(seen, signal))
        raise self._failed(container, found, lambda seen: hints.deaf(seen, signal, handles))

    def _asked_to_stop(self, container: str, signal: Signal) -> tuple[bool, frozenset[int] | None]:
        """Send the signal and wait. Whether it ended in time; else the signals that it handles, if known."""
        engine, handles = self.ctx.engine, None
        engine.signal(container, signal.number)
        try:
            engine.wait(container, timeout=self.settings.stop_grace, cancellation=self.ctx.cancellation)
        except TimeoutError:
            if not self.settings.init:  # its process 1 is the engine's then
                handles = caught(self._inside(container, "/proc/1/status"))
            engine.stop(container, grace=0)
            return False, handles
        return True, None

    def _sockets(self, container: str) -> Sockets | None:
        text = self._inside(container, "/proc/net/tcp", "/proc/net/tcp6")
        return read_sockets(text) if text else None

    def _inside(self, container: str, *paths: str) -> str:
        """Files of the kernel as the container sees them; empty where its image has no `cat`."""
        with suppress(EngineError, TimeoutError):
            said = self.ctx.engine.execute(
                container,
                ["cat", *paths],
                env={},
                timeout=_LOOK_INSIDE_MS,
                cancellation=self.ctx.cancellation,
            )
            return said.output.decode(errors="replace")
        return ""

    def _failed(self, container: str, found: str, hint: Callable[[Seen], str]) -> GateFailed:
        """The failure with the last lines of the container, and a hint from what is known of it."""
        engine, service, lines = self.ctx.engine, self.ctx.plan.service, tuple[str, ...]()
        with suppress(EngineError):
            lines = engine.logs(container, lines=_HINT_LINES)
        state = engine.state(container)
        seen = Seen(
            settings=self.settings,
            image=self.built.stored,
            target=service.build.target,
            state=state,
            lines=lines,
            owner=self._owner(container),
            of_environments=self.ctx.plan.service.smoke.command is None and self.settings.command is not None,
        )
        return GateFailed("smoke", found, hint(seen), self.ctx.mask.lines(lines[-TAIL_LINES:]))

    def _owner(self, container: str) -> tuple[int, int]:
        """User and group of the program, by the files of its image."""
        user = self.built.stored.user if self.settings.user is None else self.settings.user
        read = self.ctx.engine.read_file
        with suppress(EngineError):
            files = [read(container, path) or b"" for path in ("/etc/passwd", "/etc/group")]
            return numbers_of(user, *(content.decode(errors="replace") for content in files))
        return numbers_of(user, "", "")


def _may_be_starting(answer: Answer) -> bool:
    """Return whether it may need more time: it does not answer, or fails to (RFC 9110, section 15.6)."""
    return answer.status is None or answer.status >= _SERVER_ERROR
