"""`invoke report`: one HTML file about releases and deployments, or an incident as Markdown."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from release.commands.command_line import CommandContext
from release.errors import ReleaseError, UsageError
from release.files.private import HOME, ensure_owned_subfolder, write
from release.ledger import query
from release.text.control_characters import inert_line

if TYPE_CHECKING:
    from release.commands.report.data import Clean
    from release.deploy.environment.environment import Workspace

NAME: Final = "report.html"


def report(cmd: CommandContext) -> int:
    """Write the report and print its path; with `--incident`, print a timeline. Raises UsageError."""
    options = cmd.options
    if options.incident and options.since is None:
        found = "the beginning is not given"
        raise UsageError("print an incident", found, 'add --since, as --since "yesterday 18:00"')
    clean = partial(_clean_text, cmd)
    with cmd.open_workspace() as workspace:
        workspace.refresh()
        if options.incident:
            from release.commands.report.incident import incident_timeline

            cmd.console.print_page(
                incident_timeline(workspace, query.parse_since(options.since or "", query.Clock()), clean)
            )
            return 0
        _write_report(cmd, workspace, clean)
    return 0


def _clean_text(cmd: CommandContext, text: str) -> str:
    """Return text on one line, with secrets masked and control sequences removed."""
    return inert_line(cmd.console.mask(text))


def _write_report(cmd: CommandContext, workspace: Workspace, clean: Clean) -> None:
    from release.commands.report.data import collect_report_data
    from release.commands.report.page import render_page

    text = render_page(collect_report_data(workspace, cmd.options.since, clean))
    given = cmd.options.output
    try:
        path = (
            Path(given) if given is not None else ensure_owned_subfolder(workspace.source.root / HOME) / NAME
        )
        if given is None:
            write(path, text)
        else:
            _replace_file(path, text)
    except OSError as error:
        attempted = f"write the report {given or NAME}"
        raise ReleaseError(attempted, str(error), "name another file: --output FILE") from error
    cmd.console.print_result(str(path))


def _replace_file(path: Path, text: str) -> None:
    """Replace a file in one step, so that a reader never sees half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
