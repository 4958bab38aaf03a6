"""The container of the tests: its limits, its output, and the report that is copied out."""

from __future__ import annotations

import hashlib
import shlex
import threading
from collections import deque
from contextlib import suppress
from typing import Final

from release.brief import shortened
from release.chain.missing_service import lacks_companion
from release.chain.stage_context import StageContext
from release.chain.testing.counts import OutputCount
from release.chain.testing.coverage import bring_out
from release.chain.testing.hints import NOTHING, lacks_module, lacks_program, lacks_tests
from release.chain.testing.junit import LARGEST, BadReport, Report, parsed, text_of
from release.chain.testing.known import Known, known
from release.chain.testing.proof import Seen, asked
from release.config import Test
from release.errors import EngineError, EngineUnreachable, GateFailed
from release.images.container_spec import BRIDGE, UNWATCHED
from release.images.engine import ContainerSpec, ContainerState, StoredImage
from release.process import TAIL_LINES
from release.reference import Digest
from release.values import Struct

_LAST_WORDS_SECONDS: Final = 10.0
"""Seconds to wait for the output of a removed container."""


class Ran(Struct, frozen=True, kw_only=True):
    """A test run that ended."""

    seen: Seen
    lacked_memory: bool
    """True: the memory limit ended the run."""
    report: str | None
    """The JUnit report, without secrets."""
    tail: tuple[str, ...]
    """Last lines of the output."""
    output_sha256: str
    """Hash over the lines of the output."""


def container_spec(
    image: Digest, config: Test, labels: dict[str, str], private: tuple[str, ...] = ()
) -> ContainerSpec:
    """Return the container: limits of memory and processes, no capabilities, only configured networks.

    `private` are networks of companions.
    """
    command, _ = asked(config)
    return ContainerSpec(
        image=image,
        command=command,
        entrypoint=config.entrypoint,
        env=config.env,
        labels=labels,
        healthcheck=UNWATCHED,
        memory=config.memory,
        pids=config.pids,
        cap_drop=("ALL",),
        cap_add=config.cap_add,
        no_new_privileges=not config.new_privileges,
        has_network=config.network is not False or bool(private),
        networks=(*_configured(config, private), *private),
    )


def _configured(config: Test, private: tuple[str, ...]) -> tuple[str, ...]:
    """Return the configured network, also by the default name if networks of companions are joined."""
    if isinstance(config.network, str):
        return (config.network,)
    return (BRIDGE,) if config.network and private else ()


def run_tests(ctx: StageContext, image: StoredImage, private: tuple[str, ...] = ()) -> Ran:
    """Run the command until it ends, and copy its report. `private` are networks of companions.

    Raises:
        GateFailed: the container did not start, did not end in time, or wrote an unreadable report.
    """
    config = ctx.plan.service.test
    spec = container_spec(image.id, config, ctx.container_labels("test"), private)
    with Output(ctx, config) as output, ctx.container(lambda: ctx.engine.create(spec)) as container:
        made = ctx.engine.state(container)
        path = _report_path(config, made)
        before = _read(ctx, container, path, passed=False)
        _start(ctx, container, image)
        output.follow(container)
        status = _wait(ctx, container, config.timeout)
        output.whole()
        left = _read(ctx, container, path, passed=status == 0)
        bring_out(ctx, container, made.workdir if made is not None else "/")
        left = left if left != before else None  # this run did not write what the image had already
        ended = ctx.engine.state(container) if status != 0 else None
    return Ran(
        seen=Seen(
            argv=made.argv if made is not None else (),
            status=status,
            report=left.report if left is not None else None,
            counted=output.count.counted,
            is_given_up=output.count.is_given_up,
        ),
        lacked_memory=ended is not None and ended.oom_killed,
        report=left.text if left is not None else None,
        tail=tuple(output.tail),
        output_sha256=output.digest.hexdigest(),
    )


class _Left(Struct, frozen=True, kw_only=True):
    """A report in the container."""

    text: str
    """Text of the report, without secrets."""
    report: Report


def _start(ctx: StageContext, container: str, image: StoredImage) -> None:
    """Start the container. A missing program may be caused by an ENTRYPOINT that the command replaced."""
    config = ctx.plan.service.test
    try:
        ctx.engine.start(container)
    except EngineUnreachable:
        raise
    except EngineError as error:
        made = ctx.engine.state(container)
        hint = lacks_program(config, made.exit_code if made is not None else None, known(ctx)) or error.hint
        if config.entrypoint == "replace" and image.entrypoint:
            hint = (
                f"`test.command` replaces the image's ENTRYPOINT, {shlex.join(image.entrypoint)}: "
                'write the whole command, or test.entrypoint = "keep"'
            )
        raise GateFailed(
            "test", f"`{shlex.join(config.command)}` cannot start: {error.found}", hint
        ) from error


def _wait(ctx: StageContext, container: str, timeout: int) -> int:
    try:
        return ctx.engine.wait(container, timeout=timeout, cancellation=ctx.cancellation)
    except TimeoutError as error:
        raise GateFailed(
            "test",
            f"the tests still ran after {timeout / 1000:g} s and were stopped",
            "raise `test.timeout`, or find the test that hangs",
            ctx.mask.lines(ctx.engine.logs(container, lines=TAIL_LINES)),
        ) from error


def _report_path(config: Test, made: ContainerState | None) -> str:
    """Return the report's path in the container; a relative path is below the working folder."""
    _, path = asked(config)
    return path if path.startswith("/") or made is None else f"{made.workdir.rstrip('/')}/{path}"


def _read(ctx: StageContext, container: str, path: str, *, passed: bool) -> _Left | None:
    """Return the JUnit report. Raises GateFailed: a passed run wrote an unreadable one."""
    try:
        content = ctx.engine.read_file(container, path, limit=LARGEST)
        if content is None:
            return None
        text = ctx.mask(text_of(content))
        return _Left(text=text, report=parsed(text))
    except EngineUnreachable:
        raise
    except (EngineError, BadReport) as error:
        if not passed:
            return None
        found = error.found if isinstance(error, EngineError) else str(error)
        raise GateFailed(
            "test",
            f"the report {path} of the tests cannot be read: {found}",
            "check what writes it: a report has less than 64 MB, and is XML in UTF-8",
        ) from error


class Output:
    """Output of a container: complete in the log, and its last lines in memory.

    The block outlives the container.
    """

    def __init__(self, ctx: StageContext, config: Test) -> None:
        """Start without output."""
        self._shop = ctx
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.count = OutputCount(config.count)
        self.digest = hashlib.sha256()
        self._error: EngineError | OSError | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Output:
        """Return this object."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait a limited time for the last line."""
        if self._reader is not None:
            self._reader.join(_LAST_WORDS_SECONDS)

    def follow(self, container: str) -> None:
        """Start to read the container's output."""
        self._reader = threading.Thread(target=self._read, args=(container,), daemon=True)
        self._reader.start()

    def whole(self) -> None:
        """Wait for the last line. Raises EngineError, OSError: the output could not be read or written."""
        assert self._reader is not None  # noqa: S101 - the container was followed
        self._reader.join()
        if self._error is not None:
            raise self._error

    def _read(self, container: str) -> None:
        try:
            with self._shop.logging("test") as write:
                for line in self._shop.engine.follow(container, write):
                    self._line(self._shop.mask(line))
        except (EngineError, OSError) as error:
            self._error = error

    def _line(self, line: str) -> None:
        self.count.read(line)
        self.digest.update(line.encode("utf-8", "replace") + b"\n")
        brief = shortened(line)
        self.tail.append(brief)
        self._shop.flash("test", brief)


def why_it_failed(ran: Ran) -> str:
    """Return the exit status of a failed run, and the limit that ended the run, if any."""
    if ran.lacked_memory:
        return f"{ran.seen.status}: the tests needed more memory than `test.memory`"
    return str(ran.seen.status)


_PYTEST_USAGE: Final = 4
"""Exit status of pytest for a missing path, among other causes (pytest, "Exit codes")."""

_NO_NETWORK: Final = (
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
)
"""Messages of the C library for a program without network (gai_strerror(3), strerror(3))."""


def hint_of(ran: Ran, config: Test, commit: Known = NOTHING) -> str:
    """Return the hint for a failed run."""
    with suppress(StopIteration):
        next(
            line for line in ran.tail if config.network is False and any(word in line for word in _NO_NETWORK)
        )
        return (
            "the tests have no network: a table [tool.release.companions.<name>] starts a database or broker "
            "beside them, and `test.network = true` gives them the engine's network"
        )
    status = ran.seen.status
    missing = lacks_module(config, status, ran.tail, commit) or lacks_program(config, status, commit)
    if missing:
        return missing
    if status == _PYTEST_USAGE and any("file or directory not found" in line for line in ran.tail):
        return lacks_tests(config, commit)
    return lacks_companion(ran.tail) or f"run `{shlex.join(config.command)}` on your machine"
