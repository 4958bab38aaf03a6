"""Runner of a program that uses the operator's terminal or standard streams."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from release.errors import ReleaseError
from release.programs.cancellation import Cancellation
from release.programs.environment import BASIC, inherited_variables
from release.programs.process import Command

_TERMINAL: tuple[str, ...] = (*BASIC, "TERM", "COLORTERM")


def hand_over(command: Command, *, timeout: float, cancellation: Cancellation) -> int:
    """Run a program with the operator's standard streams, and return its exit status.

    Ctrl-C goes to the program, because it is in the same process group.

    Raises:
        ReleaseError: the program does not exist, or may not be run.
        TimeoutError: the program was stopped after so many seconds.
        Cancelled: the program was stopped.
    """
    environment = inherited_variables((*_TERMINAL, *command.inherits)) | dict(command.env)
    try:
        with (
            _ctrl_c_is_its(),
            subprocess.Popen(command.argv, cwd=command.cwd, env=environment) as process,
            cancellation.stopping(process.kill),
        ):
            status = _ended(process, timeout)
    except TimeoutError:  # an OSError too
        raise
    except FileNotFoundError as error:
        program = command.argv[0]
        hint = f"install {program}, or add its folder to PATH"
        raise ReleaseError(f"run `{program}`", "there is no such program", hint) from error
    except OSError as error:
        raise ReleaseError(f"run `{command.argv[0]}`", error.strerror or str(error)) from error
    cancellation.check()
    return status


def _ended(process: subprocess.Popen[bytes], timeout: float) -> int:
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"it still ran after {timeout:g} s") from None
    finally:
        if process.poll() is None:
            process.kill()  # SIGTERM would be passed on, and whoever gets it may ignore it
    return status if status >= 0 else 128 - status


@contextmanager
def _ctrl_c_is_its() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, _ignore)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _ignore(_number: int, _frame: object) -> None:
    """Do nothing, because the program gets the signal itself; the program would inherit SIG_IGN."""
