"""What people see. The only module that prints.

Standard output carries the result and nothing else; events, plans, questions and errors go to standard error
as plain lines. Colour is for a terminal only (rich looks at `NO_COLOR`, `TERM` and the stream). A reader that
goes away (`| head`) never stops the work.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, TextIO

import rich.console
from rich.text import Text

from release.errors import CommandFailed, DeploymentFailed, GateFailed, ReleaseError
from release.events import Event, Failed, Finished, Notice, Progress, Started, Warned
from release.redact import Mask, Redacted

Rows = Sequence[tuple[str, str]]
"""Labels and what stands beside them; a text of several lines keeps its lines."""

_ESCAPES: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
"""Terminal control (ECMA-48, 5.4 and 8.3): text from a log must not steer the reader's terminal."""


class _Errors(rich.console.Console):
    """Standard error. When the reader is gone rich would end the program; here the work goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Console:
    """Renders events, results and errors; safe to be used by several threads at once."""

    def __init__(self, masks: Iterable[str | Redacted] = ()) -> None:
        """Replace these values by *** in everything that is printed."""
        self._lock = threading.RLock()
        self._errors = _Errors(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._masked = [value if isinstance(value, Redacted) else Redacted(value) for value in masks]
        self._mask = Mask(self._masked)

    def hide(self, values: Iterable[Redacted]) -> None:
        """Replace these values too, from now on."""
        with self._lock:
            self._masked += list(values)
            self._mask = Mask(self._masked)

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked: standard input and standard error are terminals."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    # what goes on
    def emit(self, event: Event) -> None:
        """Render one event as one line."""
        mark, style, text = _rendered(event)
        self._line(f"{mark} ", style, text, "dim" if isinstance(event, Progress) else "")

    def fields(self, title: str, rows: Rows) -> None:
        """A titled list of labels and values on standard error, as a plan before it is carried out."""
        self._line("", "", title, "bold")
        for line in _field_lines(rows):
            self._line("", "", line, "")

    def error(self, error: ReleaseError) -> None:
        """What was attempted, what was found, the end of the log if there is one, and the next step."""
        self._line("✗ ", "bold red", f"cannot {error.attempted}: {error.found}", "bold")
        if isinstance(error, CommandFailed | GateFailed | DeploymentFailed):
            for line in error.tail:
                self._line("  │ ", "dim", line, "dim")
        if error.hint:
            self._line("  → ", "cyan", error.hint, "")

    def unexpected(self, error: BaseException) -> None:
        """An error that nobody foresaw: where it came from, then one line."""
        for line in "".join(traceback.format_exception(error)).splitlines():
            self._line("  │ ", "dim", line, "dim")
        self._line("✗ ", "bold red", f"this is a defect: {type(error).__name__}: {error}", "bold")
        self._line("  → ", "cyan", "report it with the lines above", "")

    def confirm(self, question: str) -> bool:
        """Ask once, on standard error; only y and yes mean yes."""
        with self._lock:
            self._errors.print(Text(self._clean(f"{question} [y/N] ")), end="")
            return sys.stdin.readline().strip().lower() in ("y", "yes")

    # the result
    def result(self, text: str) -> None:
        """Write the result, or a line of it, to standard output."""
        with self._lock:
            _write(sys.stdout, self._clean(text) + "\n")

    def document(self, data: Any) -> None:
        """Write the result as indented JSON."""
        self.result(json.dumps(data, indent=2))

    def sheet(self, title: str, rows: Rows) -> None:
        """Write a titled list of labels and values as the result."""
        self.result("\n".join([title, *_field_lines(rows)]))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write rows in aligned columns; on a terminal, lines are cut at its width."""
        for line in _table_lines(columns, [[_one_line(cell) for cell in row] for row in rows]):
            self.result(line)

    def _line(self, mark: str, mark_style: str, text: str, style: str) -> None:
        with self._lock:
            self._errors.print(Text(mark, mark_style) + Text(self._clean(text), style))

    def _clean(self, text: str) -> str:
        return _ESCAPES.sub("", self._mask(text))


def _rendered(event: Event) -> tuple[str, str, str]:
    """Mark, its style, and the line."""
    match event:
        case Started():
            return "▸", "cyan", event.name
        case Progress():
            return "·", "dim", f"{event.name}: {event.text}"
        case Finished():
            return "✓", "green", _ended(event)
        case Failed():
            return "✗", "red", _ended(event)
        case Notice():
            return "•", "cyan", event.text
        case Warned():
            return "!", "bold yellow", event.text


def _ended(event: Finished | Failed) -> str:
    line = f"{event.name}  {event.duration_ms / 1000:.1f} s"
    return f"{line}  {event.summary}" if event.summary else line


def _field_lines(rows: Rows) -> list[str]:
    """Each label once, in a column as wide as the widest."""
    width = max((len(label) for label, _ in rows), default=0)
    return [
        f"  {label if first else '':<{width}}  {line}".rstrip()
        for label, text in rows
        for first, line in zip([True, *[False] * text.count("\n")], text.split("\n"), strict=True)
    ]


def _table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (columns, *rows)
    )
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return [line[:limit] for line in lines]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _write(stream: TextIO, text: str) -> None:
    """Write and flush; with the reader gone, the rest goes nowhere (Python docs, `signal`, on SIGPIPE)."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
            os.dup2(nowhere.fileno(), stream.fileno())
