"""A real terminal for a program, and what a person would see on it."""

from __future__ import annotations

import base64
import errno
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyte

SECONDS = 240
NEUTRAL = {
    *("CI", "GITHUB_ACTIONS", "GITLAB_CI", "NO_COLOR", "FORCE_COLOR"),
    *("COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
}
"""Variables that say for whom is printed: of whoever runs the tests, not of the tests."""


def python(script: str) -> list[str]:
    """A command line that runs a script, whatever the encoding of command lines is."""
    encoded = base64.b64encode(script.encode()).decode()
    return [sys.executable, "-c", f"import base64; exec(base64.b64decode({encoded!r}))"]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A program that ended: its status, what was on the terminal, and what went elsewhere."""

    status: int
    raw: str
    """Everything that was written to the terminal."""
    lines: list[str]
    """The terminal in the end, with what has scrolled away."""
    frames: list[tuple[str, ...]] = field(repr=False)
    """The terminal's rows whenever they had changed."""
    cursor_hidden: bool
    out: str
    """Standard output, where it was a pipe."""

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


@dataclass
class Terminal:
    """A terminal of some size."""

    columns: int = 80
    rows: int = 24
    screen: Any = field(init=False)

    def __post_init__(self) -> None:
        self.screen = pyte.HistoryScreen(self.columns, self.rows, history=100_000, ratio=1.0)
        self._stream = pyte.ByteStream(self.screen)
        self._master, self._slave = pty.openpty()
        self.resize(self.columns, self.rows)

    def resize(self, columns: int, rows: int) -> None:
        """Another size from now on; lines that are there stay, cut."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        pipe_out: bool = False,
        on_frame: Callable[[tuple[str, ...]], None] = lambda frame: None,
        env: Mapping[str, str] | None = None,
    ) -> Seen:
        """Run a program to its end; its standard error is the terminal, its output too or a pipe."""
        environ = {key: value for key, value in os.environ.items() if key not in NEUTRAL}
        with subprocess.Popen(
            argv,
            cwd=cwd,
            env={**environ, "TERM": "xterm-256color", **(env or {})},
            stdin=self._slave,
            stdout=subprocess.PIPE if pipe_out else self._slave,
            stderr=self._slave,
            start_new_session=True,
        ) as program:
            os.close(self._slave)
            try:
                raw, frames = self._watch(on_frame)
                out = program.stdout.read().decode() if program.stdout is not None else ""
                status = program.wait(SECONDS)
            finally:
                with suppress(ProcessLookupError):
                    program.kill()
                os.close(self._master)
        return Seen(
            status=status,
            raw=raw.decode(errors="replace"),
            lines=self._lines(),
            frames=frames,
            cursor_hidden=bool(self.screen.cursor.hidden),
            out=out,
        )

    def _watch(self, on_frame: Callable[[tuple[str, ...]], None]) -> tuple[bytes, list[tuple[str, ...]]]:
        frames: list[tuple[str, ...]] = [()]
        raw, until = b"", time.monotonic() + SECONDS
        while time.monotonic() < until:
            chunk = self._read()
            if not chunk:
                break
            raw += chunk
            self._stream.feed(chunk)
            frame = tuple(line.rstrip() for line in self.screen.display)
            if frame != frames[-1]:
                frames.append(frame)
                on_frame(frame)
        return raw, frames

    def _read(self) -> bytes:
        try:
            return os.read(self._master, 65536)
        except OSError as error:  # nobody has the other end open any more (pty(7))
            if error.errno != errno.EIO:
                raise
            return b""

    def _lines(self) -> list[str]:
        past = ["".join(row[at].data for at in range(self.screen.columns)) for row in self.screen.history.top]
        lines = [line.rstrip() for line in [*past, *self.screen.display]]
        while lines and not lines[-1]:
            lines.pop()
        return lines
