"""Output for people. No other package prints.

Standard output carries the result and nothing else; events, plans, questions and errors go to standard error:
on a terminal as live lines, for GitHub and GitLab in their own way, elsewhere as plain lines. Colour is for
terminals (`NO_COLOR`, `FORCE_COLOR` and `TERM` are heeded). A reader that goes away (`| head`) never stops
the work.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Self

from release.console.layout import Rows, field_lines, log_quote_lines, one_line, table_lines
from release.console.output import Line, OutputWriter, ResilientStream
from release.console.plain import Clock, PlainView
from release.errors import ReleaseError
from release.events import Event
from release.secrets.redact import Mask, Redacted
from release.text.control_characters import indent_continuation, inert, inert_line, json_text

__all__ = ["Console", "Rows"]


_SHOW_CURSOR: Final = b"\r\x1b[?25h\x1b[0m\x1b[K"
"""Control sequences: show the cursor, plain text, clear the line (ECMA-48; DECTCEM of the VT510)."""

_DIFF: Final = {"+": "green", "-": "red", "@": "cyan"}
"""Styles of lines in a unified diff, by their first character."""


class Console:
    """Renderer of events, results and errors, for several threads at once."""

    def __init__(
        self,
        masks: Iterable[str | Redacted] = (),
        *,
        environ: Mapping[str, str] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Set up the output without printing.

        Args:
            masks: values that are replaced by *** in everything that is printed.
            environ: variables that choose the view; None: the process's own.
            clock: measures the durations of stages.
        """
        self._lock = threading.RLock()
        values = [value if isinstance(value, Redacted) else Redacted(value) for value in masks]
        self.mask = Mask(values, told=self._mask_in_ci)
        """Mask of the run's secrets, shared with the run."""
        environ = os.environ if environ is None else environ
        self._output = OutputWriter(self.mask, environ)
        self._result = ResilientStream("stdout")
        self._view = _choose_view(self._output, environ, clock)

    def __enter__(self) -> Self:
        """Return this console."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the live lines, and write the CI system's summary."""
        with self._lock:
            self._view.close()

    def print_last_text(self, words: str = "") -> None:
        """Write a last text and restore the terminal without waiting for other threads.

        The text tells the reader that the process ends at once.
        """
        with suppress(OSError, ValueError):  # closed
            if os.isatty(2):
                os.write(2, _SHOW_CURSOR)
            if words and select.select((), (2,), (), 0)[1]:
                os.write(2, f"{inert(words)}\n".encode())

    def mask_values(self, values: Iterable[Redacted]) -> None:
        """Mask these values too in all later output."""
        self.mask.hide(values)

    def _mask_in_ci(self, values: Sequence[Redacted]) -> None:
        with self._lock:
            self._view.hidden(values)

    @property
    def can_ask(self) -> bool:
        """Return whether a person can be asked: standard input and standard error are terminals."""
        return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))

    # what goes on
    def emit(self, event: Event) -> None:
        """Render one event."""
        with self._lock:
            self._view.show(event)

    def print_fields(self, title: str, rows: Rows) -> None:
        """Write a titled list of labels and values to standard error, as a plan before a question."""
        lines = field_lines(self._clean_rows(rows))
        self._write(Line(text=inert_line(title), style="bold"), *(Line(text=line) for line in lines))

    def print_diff(self, lines: Iterable[str]) -> None:
        """Write lines of a unified diff to standard error."""
        self._write(*(Line(text=inert_line(line), style=_DIFF.get(line[:1], "")) for line in lines))

    def print_error(self, error: ReleaseError) -> None:
        """Print what was attempted and found, the end of the log if there is one, and the next step."""
        with self._lock:
            self._view.error(error)

    def print_unexpected_error(self, error: BaseException) -> None:
        """Print an unexpected exception: its source line, then one line of text."""
        trace = "".join(traceback.format_exception(error)).splitlines()
        said = f"this is a defect of the release library: {type(error).__name__}: {error}"
        with self._lock:
            self._view.close()
            self._write(
                *log_quote_lines(trace),
                Line(mark="✗ ", mark_style="bold red", text=said, style="bold"),
                Line(
                    mark="  → ",
                    mark_style="cyan",
                    text="report it with the lines above; `invoke status` shows what runs",
                ),
            )

    def confirm(self, question: str) -> bool:
        """Ask a question once on standard error. Return True only for "y" and "yes"."""
        with self._lock:
            self._output.ask(f"{question} [y/N] ")
            return sys.stdin.readline().strip().lower() in ("y", "yes")

    def choose(self, question: str) -> str:
        """Ask for a word on standard error. Return an empty text for Enter, "q" at the end of the input."""
        with self._lock:
            self._output.ask(f"{question} ")
            line = sys.stdin.readline()
            return line.strip().lower() if line else "q"

    def _write(self, *lines: Line) -> None:
        with self._lock:
            self._view.write(*lines)

    # the result
    def print_result(self, text: str) -> None:
        """Write the result, or a line of it, to standard output. Lines after the first are indented."""
        self._print(indent_continuation(self._output.clean(text)))

    def _print(self, text: str) -> None:
        """Write clean text to standard output."""
        with self._lock:
            trouble = self._result.attempt(f"{text}\n")
            if trouble is not None:
                said = (
                    f"could not write the result to standard output: {trouble.strerror}. The "
                    "command itself is done."
                )
                self._view.write(Line(mark="! ", mark_style="bold yellow", text=said))

    def print_page(self, text: str) -> None:
        """Write a page of the documentation as the result, its lines as they are."""
        self._print(self._output.clean(text.rstrip("\n")))

    def print_json(self, data: Any) -> None:
        """Write the result as indented JSON, with secrets masked in its texts."""
        self._print(json_text(data, clean=self.mask))

    def print_sheet(self, title: str, rows: Rows) -> None:
        """Write a titled list of labels and values as the result."""
        lines = [inert_line(title), *field_lines(self._clean_rows(rows))]
        self._print(self._output.clean("\n".join(lines)))

    def _clean_rows(self, rows: Rows) -> Rows:
        """Return the rows with clean texts; a label is put on one line."""
        return [(one_line(self._output.clean(label)), self._output.clean(text)) for label, text in rows]

    def print_table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write rows in aligned columns; on a terminal, lines are cut at its width."""
        limit = shutil.get_terminal_size().columns if self._result.isatty() else None
        cells = [[one_line(self._output.clean(cell)) for cell in row] for row in rows]
        for line in table_lines(columns, cells, limit):
            self.print_result(line)


def has_terminal() -> bool:
    """Return whether a program can use the terminal: standard input and output are terminals."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _github_view(output: OutputWriter, environ: Mapping[str, str], clock: Clock) -> PlainView:
    from release.console.github import GitHubView

    return GitHubView(output, environ, clock)


def _gitlab_view(output: OutputWriter, _environ: Mapping[str, str], clock: Clock) -> PlainView:
    from release.console.gitlab import GitLabView

    return GitLabView(output, clock)


def _terminal_view(output: OutputWriter, _environ: Mapping[str, str], clock: Clock) -> PlainView:
    from release.console.terminal import TerminalView

    return TerminalView(output, clock)


def _plain_view(output: OutputWriter, _environ: Mapping[str, str], clock: Clock) -> PlainView:
    return PlainView(output, clock)


_VIEWS: Final[
    Sequence[tuple[Callable[[OutputWriter, Mapping[str, str]], bool], Callable[..., PlainView]]]
] = (
    (lambda _, environ: environ.get("GITHUB_ACTIONS") == "true", _github_view),
    (lambda _, environ: environ.get("GITLAB_CI") == "true", _gitlab_view),
    (
        lambda _, environ: environ.get("CI", "").lower() not in ("", "0", "false"),
        _plain_view,
    ),  # some CI systems give their jobs a terminal
    (lambda output, _: output.is_terminal, _terminal_view),
    (lambda *_: True, _plain_view),
)
"""Conditions with their views; the first true condition decides."""


def _choose_view(output: OutputWriter, environ: Mapping[str, str], clock: Clock) -> PlainView:
    return next(make for fits, make in _VIEWS if fits(output, environ))(output, environ, clock)
