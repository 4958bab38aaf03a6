"""The container of the tests: its limits, its output, and the report that is copied out."""

from __future__ import annotations

import hashlib
import shlex
import threading
from collections import deque
from contextlib import suppress
from typing import Final

from release.chain.missing_service import hint_for_missing_service
from release.chain.stage_context import StageContext
from release.chain.testing.counts import OutputCounter
from release.chain.testing.coverage import copy_coverage_report
from release.chain.testing.hints import (
    NOTHING,
    hint_for_missing_module,
    hint_for_missing_program,
    hint_for_missing_tests,
)
from release.chain.testing.junit import LARGEST, JUnitReport, UnreadableReport, decode_report, parse_report
from release.chain.testing.known import CommittedTests, find_committed_tests
from release.chain.testing.proof import EndedTestRun, command_and_report_path
from release.config import Test
from release.errors import EngineError, EngineUnreachable, GateFailed
from release.images.container_spec import BRIDGE, UNWATCHED
from release.images.engine import ContainerSpec, ContainerState, StoredImage
from release.programs.process import TAIL_LINES
from release.reference import Digest
from release.text.shortening import shortened
from release.values import Struct

_LAST_WORDS_SECONDS: Final = 10.0
"""Seconds to wait for the output of a removed container."""


class FinishedTestRun(Struct, frozen=True, kw_only=True):
    """A test run that ended."""

    seen: EndedTestRun
    lacked_memory: bool
    """True: the memory limit ended the run."""
    report: str | None
    """The JUnit report, without secrets."""
    tail: tuple[str, ...]
    """Last lines of the output."""
    output_sha256: str
    """Hash over the lines of the output."""


def container_spec_for_tests(
    image: Digest, config: Test, labels: dict[str, str], private: tuple[str, ...] = ()
) -> ContainerSpec:
    """Return the container: limits of memory and processes, no capabilities, only configured networks.

    `private` are networks of companions.
    """
    command, _ = command_and_report_path(config)
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
        networks=(*_networks_to_join(config, private), *private),
    )


def _networks_to_join(config: Test, private: tuple[str, ...]) -> tuple[str, ...]:
    """Return the configured network, also by the default name if networks of companions are joined."""
    if isinstance(config.network, str):
        return (config.network,)
    return (BRIDGE,) if config.network and private else ()


def run_tests(ctx: StageContext, image: StoredImage, private: tuple[str, ...] = ()) -> FinishedTestRun:
    """Run the command until it ends, and copy its report. `private` are networks of companions.

    Raises:
        GateFailed: the container did not start, did not end in time, or wrote an unreadable report.
    """
    config = ctx.plan.service.test
    spec = container_spec_for_tests(image.id, config, ctx.container_labels("test"), private)
    with ContainerOutput(ctx, config) as output, ctx.container(lambda: ctx.engine.create(spec)) as container:
        made = ctx.engine.state(container)
        path = _report_path(config, made)
        before = _read_report(ctx, container, path, passed=False)
        _start_container(ctx, container, image)
        output.follow(container)
        status = _wait_for_end(ctx, container, config.timeout)
        output.wait_until_complete()
        left = _read_report(ctx, container, path, passed=status == 0)
        copy_coverage_report(ctx, container, made.workdir if made is not None else "/")
        left = left if left != before else None  # this run did not write what the image had already
        ended = ctx.engine.state(container) if status != 0 else None
    return FinishedTestRun(
        seen=EndedTestRun(
            argv=made.argv if made is not None else (),
            status=status,
            report=left.report if left is not None else None,
            counted=output.count.counts,
            has_pattern_timed_out=output.count.has_timed_out,
        ),
        lacked_memory=ended is not None and ended.oom_killed,
        report=left.text if left is not None else None,
        tail=tuple(output.tail),
        output_sha256=output.digest.hexdigest(),
    )


class _ContainerReport(Struct, frozen=True, kw_only=True):
    """A report in the container."""

    text: str
    """Text of the report, without secrets."""
    report: JUnitReport


def _start_container(ctx: StageContext, container: str, image: StoredImage) -> None:
    """Start the container. A missing program may be caused by an ENTRYPOINT that the command replaced."""
    config = ctx.plan.service.test
    try:
        ctx.engine.start(container)
    except EngineUnreachable:
        raise
    except EngineError as error:
        made = ctx.engine.state(container)
        hint = (
            hint_for_missing_program(
                config, made.exit_code if made is not None else None, find_committed_tests(ctx)
            )
            or error.hint
        )
        if config.entrypoint == "replace" and image.entrypoint:
            hint = (
                f"`test.command` replaces the image's ENTRYPOINT, {shlex.join(image.entrypoint)}: "
                'write the whole command, or test.entrypoint = "keep"'
            )
        raise GateFailed(
            "test", f"`{shlex.join(config.command)}` cannot start: {error.found}", hint
        ) from error


def _wait_for_end(ctx: StageContext, container: str, timeout: int) -> int:
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
    _, path = command_and_report_path(config)
    return path if path.startswith("/") or made is None else f"{made.workdir.rstrip('/')}/{path}"


def _read_report(ctx: StageContext, container: str, path: str, *, passed: bool) -> _ContainerReport | None:
    """Return the JUnit report. Raises GateFailed: a passed run wrote an unreadable one."""
    try:
        content = ctx.engine.read_file(container, path, limit=LARGEST)
        if content is None:
            return None
        text = ctx.mask(decode_report(content))
        return _ContainerReport(text=text, report=parse_report(text))
    except EngineUnreachable:
        raise
    except (EngineError, UnreadableReport) as error:
        if not passed:
            return None
        found = error.found if isinstance(error, EngineError) else str(error)
        raise GateFailed(
            "test",
            f"the report {path} of the tests cannot be read: {found}",
            "check what writes it: a report has less than 64 MB, and is XML in UTF-8",
        ) from error


class ContainerOutput:
    """Output of a container: complete in the log, and its last lines in memory.

    The block outlives the container.
    """

    def __init__(self, ctx: StageContext, config: Test) -> None:
        """Start without output."""
        self._ctx = ctx
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.count = OutputCounter(config.count)
        self.digest = hashlib.sha256()
        self._error: EngineError | OSError | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> ContainerOutput:
        """Return this object."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait a limited time for the last line."""
        if self._reader is not None:
            self._reader.join(_LAST_WORDS_SECONDS)

    def follow(self, container: str) -> None:
        """Start to read the container's output."""
        self._reader = threading.Thread(target=self._read_lines, args=(container,), daemon=True)
        self._reader.start()

    def wait_until_complete(self) -> None:
        """Wait for the last line. Raises EngineError, OSError: the output could not be read or written."""
        assert self._reader is not None  # noqa: S101 - the container was followed
        self._reader.join()
        if self._error is not None:
            raise self._error

    def _read_lines(self, container: str) -> None:
        try:
            with self._ctx.open_log("test") as write:
                for line in self._ctx.engine.follow(container, write):
                    self._add_line(self._ctx.mask(line))
        except (EngineError, OSError) as error:
            self._error = error

    def _add_line(self, line: str) -> None:
        self.count.read_line(line)
        self.digest.update(line.encode("utf-8", "replace") + b"\n")
        brief = shortened(line)
        self.tail.append(brief)
        self._ctx.show_brief_progress("test", brief)


def describe_exit_status(ran: FinishedTestRun) -> str:
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


def hint_for_failed_tests(ran: FinishedTestRun, config: Test, commit: CommittedTests = NOTHING) -> str:
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
    missing = hint_for_missing_module(config, status, ran.tail, commit) or hint_for_missing_program(
        config, status, commit
    )
    if missing:
        return missing
    if status == _PYTEST_USAGE and any("file or directory not found" in line for line in ran.tail):
        return hint_for_missing_tests(config, commit)
    return hint_for_missing_service(ran.tail) or f"run `{shlex.join(config.command)}` on your machine"
