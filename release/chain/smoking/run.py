"""The container of a smoke run: start, stop, and the error of a failed run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from release.chain.building.stage import BuiltImage
from release.chain.smoking import hints, stopping
from release.chain.smoking.hints import SmokeFailure
from release.chain.smoking.sockets import ListeningPorts, parse_listening_ports
from release.chain.stage_context import StageContext
from release.config import SmokeRun
from release.errors import EngineError, EngineUnreachable, GateFailed
from release.images.engine import ContainerState, Executed
from release.images.values import user_and_group_ids
from release.programs.process import TAIL_LINES
from release.programs.signals import Signal, caught_signals, stop_signal
from release.text.shortening import once_each
from release.values import Struct

_LOOK_SECONDS: Final = 0.5
"""Seconds between two checks that a silent container still runs."""

_HINT_LINES: Final = 200
"""Lines of the output that hints are made from."""

_ROOT: Final = ("", "root", "0")
"""Users of an image that are root; an image without USER runs as root."""

_CAT: Final = "import sys; [print(open(path).read()) for path in sys.argv[1:]]"
"""Python code that prints a file, for images without `cat`."""
_LOOK_INSIDE_MS: Final = 5_000
_OUTPUT_BYTES: Final = 64 * 1024
"""Most bytes of output that are kept of a program in the container."""


class SmokeContainer(Struct, frozen=True, kw_only=True):
    """Settings and image of one smoke run."""

    ctx: StageContext
    built: BuiltImage
    settings: SmokeRun
    has_own_command: bool = True
    """False: the command comes from the environments."""

    def refuse_missing_command(self) -> None:
        """Refuse an image without a command. Raises GateFailed."""
        hint = hints.hint_for_missing_command(
            SmokeFailure(settings=self.settings, image=self.built.stored_image)
        )
        if hint:
            raise GateFailed("smoke", "the image has no CMD and no ENTRYPOINT", hint)

    def is_not_root(self) -> None:
        """Refuse root if `smoke.non_root` is set. Raises GateFailed."""
        user = self.settings.user or self.built.stored_image.user
        if self.settings.non_root and user.partition(":")[0] in _ROOT:
            hint = "end the Dockerfile with a USER that is not root, as USER 10001"
            raise GateFailed(
                "smoke", f"the container runs as root ({f'USER {user}' if user else 'no USER'})", hint
            )

    def start(self, container: str) -> None:
        """Start the container. Raises GateFailed: the program is missing in the image."""
        try:
            self.ctx.engine.start(container)
        except EngineUnreachable:
            raise
        except EngineError as error:
            state = self.ctx.engine.state(container)
            if state is None or not state.exit_code:
                raise
            found = f"the container did not start: {error.found}"
            raise self.create_error(container, found, hints.hint_for_unstarted_container) from error

    def processor_seconds(self, container: str) -> float | None:
        """Return the container's processor time in seconds; None if the engine does not report it."""
        with suppress(EngineError):
            return self.ctx.engine.used(container).seconds
        return None

    def periodic_check(self, container: str) -> Callable[[], None]:
        """Return a function that checks from time to time that the container runs."""
        due = time.monotonic() + _LOOK_SECONDS

        def look() -> None:
            nonlocal due
            self.ctx.cancellation.check()
            if time.monotonic() >= due:
                self.require_running(container)
                due = time.monotonic() + _LOOK_SECONDS

        return look

    def require_running(self, container: str, before: str = "before it answered") -> ContainerState:
        """Return the state of the container. Raises GateFailed: the container does not run."""
        self.ctx.cancellation.check()
        state = self.ctx.engine.state(container)
        if state is not None and state.status == "running":
            return state
        if state is None:
            raise GateFailed(
                "smoke",
                f"the container was removed {before}",
                "another program removed it, as `docker container prune`: run it again",
            )
        memory = ": it needed more memory than `smoke.memory`" if state.oom_killed else ""
        found = f"the container ended with status {state.exit_code}{memory} {before}"
        raise self.create_error(container, found, hints.hint_for_ended_container)

    def execute(self, container: str, argv: Sequence[str], *, timeout: int) -> Executed:
        """Run a program in the container. Raises GateFailed, if the container ended; TimeoutError."""
        try:
            return self.ctx.engine.execute(
                container,
                argv,
                env={},
                timeout=timeout,
                cancellation=self.ctx.cancellation,
                limit=_OUTPUT_BYTES,
            )
        except EngineUnreachable:
            raise
        except EngineError:
            self.require_running(container)
            raise

    def stop(self, container: str) -> tuple[int, Signal]:
        """Send the stop signal; return the exit status and the signal.

        Raises:
            GateFailed: the container ended before, not in time, or with a status other than 0 or 128 +
                signal.
        """
        engine, grace = self.ctx.engine, self.settings.stop_grace
        signal = stop_signal(self.require_running(container, "before it was asked to stop").stop_signal)
        has_ended, handles = self._send_stop_signal(container, signal)
        state = engine.state(container)
        status, allowed = state.exit_code if state is not None else -1, (0, signal.exit_status)
        if has_ended and status in allowed:
            return status, signal
        how = f"ended with status {status}" if has_ended else f"did not end within {grace / 1000:g} s"
        found = f"after {signal} it {how} (allowed: {grace / 1000:g} s, status 0 or {signal.exit_status})"
        if has_ended:
            raise self.create_error(
                container, found, lambda seen: stopping.hint_for_exit_status(seen, signal)
            )
        raise self.create_error(
            container, found, lambda seen: stopping.hint_for_ignored_signal(seen, signal, handles)
        )

    def _send_stop_signal(self, container: str, signal: Signal) -> tuple[bool, frozenset[int] | None]:
        """Send the signal and wait; return whether the container ended, else also the handled signals."""
        engine, handles = self.ctx.engine, None
        engine.signal(container, signal.number)
        try:
            engine.wait(container, timeout=self.settings.stop_grace, cancellation=self.ctx.cancellation)
        except TimeoutError:
            if not self.settings.init:  # its process 1 is the engine's then
                handles = caught_signals(self._read_kernel_files(container, "/proc/1/status"))
            engine.stop(container, grace=0)
            return False, handles
        return True, None

    def peak_memory(self, container: str) -> int | None:
        """Return the container's memory peak in bytes; None if neither engine nor kernel reports it."""
        with suppress(EngineError):
            peak = self.ctx.engine.used(container).peak_memory
            if peak is not None:
                return peak
        text = self._read_kernel_files(container, "/sys/fs/cgroup/memory.peak").strip()
        return int(text) if text.isdigit() else None

    def listening_ports(self, container: str) -> ListeningPorts | None:
        """Return the ports that the container's programs listen on; None without `cat` and Python."""
        text = self._read_kernel_files(container, "/proc/net/tcp", "/proc/net/tcp6")
        return parse_listening_ports(text) if text else None

    def _read_kernel_files(self, container: str, *paths: str) -> str:
        """Return the container's kernel files; empty if the image has neither `cat` nor Python."""
        for program in (("cat",), ("python3", "-c", _CAT), ("python", "-c", _CAT)):
            with suppress(EngineError, TimeoutError):
                said = self.ctx.engine.execute(
                    container,
                    [*program, *paths],
                    env={},
                    timeout=_LOOK_INSIDE_MS,
                    cancellation=self.ctx.cancellation,
                )
                if said.output:
                    return said.output.decode(errors="replace")
        return ""

    def create_error(
        self, container: str, found: str, hint: Callable[[SmokeFailure], str], first: Sequence[str] = ()
    ) -> GateFailed:
        """Return the error with the last lines of the container, and a hint from the known facts.

        `first` holds lines to show before the container's lines.
        """
        engine, service, lines = self.ctx.engine, self.ctx.plan.service, tuple[str, ...]()
        with suppress(EngineError):
            lines = engine.logs(container, lines=_HINT_LINES)
        seen = SmokeFailure(
            settings=self.settings,
            image=self.built.stored_image,
            target=service.build.target,
            state=engine.state(container),
            lines=lines,
            owner=self._program_owner(container),
            of_environments=not self.has_own_command and self.settings.command is not None,
        )
        tail = self.ctx.mask.lines((*first, *once_each(lines)[-TAIL_LINES:]))
        return GateFailed("smoke", self.ctx.mask(found), hint(seen), tail)

    def _program_owner(self, container: str) -> tuple[int, int]:
        """Return user and group of the program, by the image's files."""
        user = self.built.stored_image.user if self.settings.user is None else self.settings.user
        read = self.ctx.engine.read_file
        with suppress(EngineError):
            files = [read(container, path) or b"" for path in ("/etc/passwd", "/etc/group")]
            return user_and_group_ids(user, *(content.decode(errors="replace") for content in files))
        return user_and_group_ids(user, "", "")
