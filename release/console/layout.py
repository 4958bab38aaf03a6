"""Layout of results, errors and events as lines. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from release.console.output import Line
from release.errors import CommandFailed, DeploymentFailed, GateFailed, ReleaseError
from release.events import Event, Failed, Finished, Notice, Planned, Progress, Started, Warned

Rows = Sequence[tuple[str, str]]
"""Pairs of a label and a value; a value may have several lines."""


def event_lines(event: Event) -> tuple[Line, ...]:
    """Return the lines that people see of an event; none for an event for machines."""
    match event:
        case Planned():
            begins = f"{event.service} {event.version} from commit {event.commit[:12]} ({event.subject})"
            return _notice_line(begins), _notice_line(f"logs: {event.folder}/")
        case Started():
            return (Line(mark="▸ ", mark_style="cyan", text=event.name),)
        case Progress():
            return (Line(mark="· ", mark_style="dim", text=f"{event.name}: {event.text}", style="dim"),)
        case Finished():
            return (Line(mark="✓ ", mark_style="green", text=finished_stage_text(event)),)
        case Failed():
            return (Line(mark="✗ ", mark_style="red", text=finished_stage_text(event)),)
        case Notice():
            return (_notice_line(event.text),)
        case Warned():
            return (Line(mark="! ", mark_style="bold yellow", text=event.text),)
    return ()


def _notice_line(text: str) -> Line:
    return Line(mark="• ", mark_style="cyan", text=text)


def finished_stage_text(event: Finished | Failed) -> str:
    """Return name, duration and summary of a stage, as "build  1.2 s  87 MB"."""
    line = f"{event.name}  {seconds_text(event.duration_ms)}"
    return f"{line}  {event.summary}" if event.summary else line


def seconds_text(milliseconds: float) -> str:
    """Return a duration as "1.2 s" or "2 min 05 s"."""
    if milliseconds < 100_000:
        return f"{milliseconds / 1000:.1f} s"
    minutes, rest = divmod(int(milliseconds / 1000), 60)
    return f"{minutes} min {rest:02d} s"


def error_lines(error: ReleaseError, tail: Sequence[str], log: Path | None) -> tuple[Line, ...]:
    """Return the lines of an error: attempted and found, end of the log, next step, path of the log."""
    head = Line(
        mark="✗ ", mark_style="bold red", text=f"cannot {error.attempted}: {error.found}", style="bold"
    )
    steps = [error.hint] if error.hint else []
    if log is not None and str(log) not in error.hint:
        steps.append(f"the whole log: {relative_path_text(log)}")
    return (
        head,
        *log_quote_lines(tail),
        *(Line(mark="  → ", mark_style="cyan", text=step) for step in steps),
    )


def error_log_tail(error: ReleaseError) -> tuple[str, ...]:
    """Return the last log lines of an error; none for errors without a log."""
    return error.tail if isinstance(error, CommandFailed | GateFailed | DeploymentFailed) else ()


def log_quote_lines(lines: Sequence[str]) -> tuple[Line, ...]:
    """Return log lines with a mark in front, to tell them from other output."""
    return tuple(Line(mark="  │ ", mark_style="dim", text=line, style="dim") for line in lines)


def relative_path_text(path: Path) -> str:
    """Return the path relative to the current folder if it is below it, else the whole path."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def field_lines(rows: Rows) -> list[str]:
    """Return labels and values in two columns; a label stands only on the first line of its value."""
    width = max((cell_len(label) for label, _ in rows), default=0)
    return [
        f"  {set_cell_size(label if first else '', width)}  {line}".rstrip()
        for label, text in rows
        for first, line in zip([True, *[False] * text.count("\n")], text.split("\n"), strict=True)
    ]


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], limit: int | None) -> list[str]:
    """Return rows in aligned columns, cut at `limit` cells; wide characters count as two cells."""
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    lines = (
        "  ".join(set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (columns, *rows)
    )
    return [set_cell_size(line, min(limit, cell_len(line))).rstrip() if limit else line for line in lines]


def one_line(text: str) -> str:
    """Return the text with each run of white space as one space."""
    return " ".join(text.split())
