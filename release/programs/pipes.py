"""Communication with a program through pipes, within limits of time and size."""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections.abc import Callable
from typing import IO, Any, Protocol, cast

from release.git import remote_passwords

_PIECE = 64 * 1024
_WAIT_SECONDS = 1.0


class PipedProgram(Protocol):
    """Program with three pipes."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status."""


def _unchecked() -> None:
    """Go on."""


def communicate(
    program: PipedProgram, said: bytes, *, seconds: float, most: int, check: Callable[[], None] = _unchecked
) -> tuple[bytes, bytes]:
    """Write the input and return both outputs.

    Args:
        program: a started program, whose pipes have no other user.
        said: input of the program.
        seconds: limit for input and outputs together.
        most: bytes of each output.
        check: called about every second; its exception ends the wait.

    Raises:
        TimeoutError: an output did not end in time.
        ValueError: an output is larger.
    """
    if program.stdin is None or program.stdout is None or program.stderr is None:
        raise ValueError("the program has no pipes")
    until, rest = time.monotonic() + seconds, memoryview(said)
    heard = {program.stdout: bytearray(), program.stderr: bytearray()}
    with selectors.DefaultSelector() as waiting:
        for stream in heard:
            waiting.register(stream, selectors.EVENT_READ)
        _begin(program.stdin, rest, waiting)
        while waiting.get_map():
            check()
            if (left := until - time.monotonic()) <= 0:
                raise TimeoutError(f"no end within {seconds:.3g} s")
            for key, _ in waiting.select(min(left, _WAIT_SECONDS)):
                if key.fileobj is program.stdin:
                    rest = _write(program.stdin, rest, waiting)
                else:
                    _read(key.fileobj, heard[key.fileobj], most, waiting)  # type: ignore[index, arg-type]
    return bytes(heard[program.stdout]), bytes(heard[program.stderr])


def _begin(stdin: IO[bytes], rest: memoryview, waiting: selectors.BaseSelector) -> None:
    os.set_blocking(stdin.fileno(), False)
    if rest:
        waiting.register(stdin, selectors.EVENT_WRITE)
    else:
        stdin.close()


def _write(stdin: IO[bytes], rest: memoryview, waiting: selectors.BaseSelector) -> memoryview:
    """Write as many bytes as the pipe takes; ignore an error if the program no longer reads."""
    try:
        rest = rest[cast(Any, stdin).raw.write(rest[:_PIECE]) or 0 :]  # None: the pipe is full
    except BrokenPipeError:
        rest = rest[:0]
    if not rest:
        waiting.unregister(stdin)
        stdin.close()
    return rest


def _read(stream: IO[bytes], into: bytearray, most: int, waiting: selectors.BaseSelector) -> None:
    piece = os.read(stream.fileno(), _PIECE)
    into += piece
    if len(into) > most:
        raise ValueError(f"more than {most} bytes came")
    if not piece:
        waiting.unregister(stream)


class Stream(threading.Thread):
    """Thread that reads the error output of a git command, while the output is read elsewhere."""

    def __init__(self, process: PipedProgram) -> None:
        """Start to read the error output."""
        super().__init__(daemon=True)
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - they are pipes
        assert process.stderr is not None  # noqa: S101 - as these
        process.stdin.close()
        self.out: IO[bytes] = process.stdout
        self._process = process
        self._complaints: IO[bytes] = process.stderr
        self._line = b""
        self.start()

    def run(self) -> None:
        """Read the error output and keep its last line."""
        for line in self._complaints:
            self._line = line

    def end(self) -> tuple[int, str]:
        """Wait for the command's end. Return its exit status and the last line of its error output."""
        status = self._process.wait()
        self.join()
        said = remote_passwords.mask_logins(self._line.decode("utf-8", "replace"))
        return status, said.strip() or "git gave no reason"


class Reader:
    """Reader of the answers of a program that answers requests one by one."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Set the stream, which only this reader reads."""
        self._fd, self._rest = stream.fileno(), bytearray()
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(self._fd, selectors.EVENT_READ)

    def close(self) -> None:
        """Close the reader."""
        self._waiting.close()

    def line(self, *, until: float, most: int) -> bytes:
        """Return the next line without its end; `until` is on the monotonic clock.

        Raises:
            TimeoutError: the line did not come in time.
            ValueError: the line is longer, or the output ended.
        """
        while (end := self._rest.find(b"\n")) < 0:
            if len(self._rest) > most:
                raise ValueError(f"a line is longer than {most} bytes")
            self._more(until)
        return self._taken(end + 1)[:-1]

    def exactly(self, size: int, *, until: float) -> bytes:
        """Return so many bytes. Raises as `line` does."""
        while len(self._rest) < size:
            self._more(until)
        return self._taken(size)

    def _taken(self, size: int) -> bytes:
        found = bytes(self._rest[:size])
        del self._rest[:size]
        return found

    def _more(self, until: float) -> None:
        while not self._waiting.select(max(min(until - time.monotonic(), _WAIT_SECONDS), 0)):
            if time.monotonic() >= until:
                raise TimeoutError("no answer in time")
        piece = os.read(self._fd, _PIECE)
        if not piece:
            raise ValueError("the output ended early")
        self._rest += piece
