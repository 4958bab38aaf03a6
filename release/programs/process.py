"""Runner of programs, with output to a log, limits, and cancellation.

A command line is data (`Command`), built and compared elsewhere. A program runs in a process group of its
own, so that stopping it stops its children; its output goes to a log file line by line, or is returned.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Final

from release.errors import CommandFailed, ReleaseError
from release.files import private
from release.programs.cancellation import Cancellation
from release.programs.environment import BASIC, EVERYTHING, inherited_variables
from release.programs.last_lines import LastLines
from release.programs.program_socket import ProgramSocket
from release.secrets.redact import Mask
from release.text.control_characters import InertStream
from release.text.shortening import shortened, tail
from release.values import Struct, field

TAIL_LINES: Final = 20
"""Number of last lines in an error."""


_GRACE_SECONDS: Final = 5.0


_ORPHAN_SECONDS: Final = 1.0


_POLL_SECONDS: Final = 0.01


_RUNNING: Final[set[int]] = set()
"""The process groups of programs that run now."""


class Command(Struct, frozen=True, kw_only=True):
    """Program to run: words, folder, environment, and input file."""

    argv: tuple[str, ...]
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables beside the inherited ones, or in their place."""
    inherits: tuple[str, ...] = BASIC
    """Names and patterns of variables that the program gets from the operator's environment."""
    stdin: Path | None = None

    def __str__(self) -> str:
        """Return the words as text for people."""
        return " ".join(self.argv)


class Completed(Struct, frozen=True, kw_only=True):
    """Ended program: exit status and output, with both streams together."""

    status: int
    output: str

    @property
    def tail(self) -> tuple[str, ...]:
        """Return the last lines; long lines are cut."""
        return tail(self.output.splitlines(), TAIL_LINES)


def run(
    command: Command,
    *,
    log: Path | None = None,
    mask: Mask | None = None,
    cancellation: Cancellation | None = None,
    on_line: Callable[[str], None] | None = None,
    check: bool = True,
    apart: list[str] | None = None,
    translate: Callable[[str], str] = str,
    before_stop: Callable[[], None] = lambda: None,
) -> Completed:
    """Run a program to its end.

    Args:
        command: program to run.
        log: file to which the output is appended.
        mask: masks secrets in the output first.
        cancellation: stops the program and its children when requested.
        on_line: called with each line of output, a long one cut.
        check: whether a status other than 0 is an error.
        apart: receives the last lines of standard error, unmasked, also of a program that is stopped. The
            output is standard output alone then; else both.
        translate: returns the output for a line: no, one or several lines.
        before_stop: called from another thread before the program is stopped; may wait.

    Raises:
        CommandFailed: the status is not 0, and `check` is set.
        Cancelled: the cancellation was requested before the program ended.
        ReleaseError: the program or its folder does not exist, or may not be run.
    """
    cancellation = cancellation or Cancellation()
    cancellation.check()
    with (
        _opened(command.stdin) as stdin,
        _started(command, stdin, apart) as process,
        cancellation.stopping(lambda: _stop_after(before_stop, process)),
    ):
        output = _drain(process, translate, log, mask or Mask(), on_line)
        status = process.wait()
    cancellation.check()
    if check and status != 0:
        raise CommandFailed(command.argv, status, tail(output.splitlines(), TAIL_LINES))
    return Completed(status=status, output=output)


@contextmanager
def _opened(path: Path | None) -> Iterator[IO[bytes] | int]:
    if path is None:
        yield subprocess.DEVNULL
        return
    with path.open("rb") as stream:
        yield stream


@contextmanager
def _started(
    command: Command, stdin: IO[bytes] | int, apart: list[str] | None
) -> Iterator[subprocess.Popen[str]]:
    try:
        process = subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=_environment(command),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if apart is None else subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise _not_started(command, error) from error
    _RUNNING.add(process.pid)
    complaints = LastLines(process.stderr) if process.stderr is not None else None
    with process:
        try:
            yield process
        except BaseException:
            _stop(process)
            raise
        finally:
            _RUNNING.discard(process.pid)
            if complaints is not None and apart is not None:
                apart += complaints.end()


def connect_to_program(command: Command) -> ProgramSocket:
    """Start a program and return a socket to its standard streams, as for `docker system dial-stdio`.

    Raises:
        ReleaseError: the program does not exist, or may not be run.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        end = theirs.fileno()
        try:
            process = subprocess.Popen(
                command.argv,
                env=_environment(command),
                stdin=end,
                stdout=end,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise _not_started(command, error) from error
    dialled = ProgramSocket(fileno=ours.detach())
    assert process.stderr is not None  # noqa: S101 - it was opened as a pipe
    dialled.process, dialled.complaints = process, LastLines(process.stderr)
    return dialled


def _environment(command: Command) -> dict[str, str]:
    return inherited_variables(command.inherits) | dict(command.env)


def _not_started(command: Command, error: OSError) -> ReleaseError:
    """Return the error for a failed start: POSIX reports a missing folder like a missing program."""
    attempted = f"run `{command.argv[0]}`"
    if command.cwd is not None and not command.cwd.is_dir():
        return ReleaseError(attempted, f"the working folder {command.cwd} does not exist")
    if isinstance(error, FileNotFoundError):
        hint = f"install {command.argv[0]}, or add its folder to PATH"
        return ReleaseError(attempted, "the program is not installed", hint)
    return ReleaseError(
        attempted,
        f"the system cannot start it: {error.strerror}",
        "check that the file is executable and made for this system",
    )


def _drain(
    process: subprocess.Popen[str],
    translate: Callable[[str], str],
    log: Path | None,
    mask: Mask,
    on_line: Callable[[str], None] | None,
) -> str:
    lines: list[str] = []
    assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
    with append_to_log(log, mask) if log is not None else nullcontext() as write:
        for text in filter(None, map(translate, process.stdout)):
            if write is not None:
                write(text)
            lines.append(shown := mask(text))
            if on_line is not None:
                for line in shown.removesuffix("\n").split("\n"):
                    on_line(shortened(line))
    return "".join(lines)


@contextmanager
def append_to_log(log: Path, mask: Mask) -> Iterator[Callable[[str], None]]:
    """Yield a function that appends text to a log, with secrets masked and control sequences removed."""
    stream, lines = mask.stream(), InertStream()
    again = mask.stream()  # control may have been inside a secret
    with private.open_for_append(log) as sink:

        def write(text: str) -> None:
            sink.write(again.feed(lines.feed(stream.feed(text))))
            sink.flush()

        try:
            yield write
        finally:
            sink.write(again.feed(lines.feed(stream.end()) + lines.end()) + again.end())


def _stop_after(before: Callable[[], None], process: subprocess.Popen[str]) -> None:
    try:
        before()
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    """End the program's whole group: politely, then for certain."""
    with suppress(ProcessLookupError):  # the group is empty
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        _await_orphans(process.pid)
        os.killpg(process.pid, signal.SIGKILL)


def kill_all() -> None:
    """Kill all running programs and their children without waiting."""
    for group in tuple(_RUNNING):
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _await_orphans(group: int) -> None:
    """Wait a short time for the program's children to end."""
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while time.monotonic() < deadline:
        os.killpg(group, 0)
        time.sleep(_POLL_SECONDS)


def output_of(argv: Sequence[str], *, inherits: tuple[str, ...] = EVERYTHING) -> str:
    """Return the stripped output of a short program. Raise CommandFailed if the program fails."""
    return run(Command(argv=tuple(argv), inherits=inherits)).output.strip()
