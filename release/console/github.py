"""GitHub Actions: groups, annotations, masks, outputs and a summary.

Source: GitHub Docs, "Workflow commands for GitHub Actions". Commands are read from standard error as from
standard output, so that the latter keeps to the result.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from release.console.layout import event_lines
from release.console.logs import last_log_lines
from release.console.output import Line, OutputWriter
from release.console.plain import Clock, PlainView
from release.console.report import RunSummary
from release.errors import ReleaseError
from release.events import Deployed, Event, Failed, Finding, Finished, Found, Released, Warned
from release.secrets.redact import Redacted

_ANNOTATIONS: Final = 10
"""Number of annotations of a kind that GitHub keeps for one step."""

_SUMMARY_BYTES: Final = 1024 * 1024
"""Largest summary of a step."""


class GitHubView(PlainView):
    """View for GitHub Actions: plain lines, log groups, annotations, outputs and a summary."""

    def __init__(
        self, output: OutputWriter, environ: Mapping[str, str], clock: Clock = time.monotonic
    ) -> None:
        """Read the paths of the runner's files from the environment."""
        super().__init__(output, clock)
        self._environ, self._report = environ, RunSummary(clean=output.clean)

    def show(self, event: Event) -> None:
        """Render an event."""
        self._report.add(event)
        match event:
            case Finished() | Failed():
                self.remember(event)
                self._write_log_group(event)
            case Warned():
                self._write_workflow_command("warning", event.text)
            case Found():
                self._annotate(event.findings)
            case Released() | Deployed():
                self._append_to_runner_file("GITHUB_OUTPUT", _release_outputs(event))
            case _:
                super().show(event)

    def error(self, error: ReleaseError) -> None:
        """Render the error, also as an annotation."""
        self._report.error = error
        super().error(error)
        self._write_workflow_command(
            "error", f"{error.found}\n{error.hint}".strip(), title=f"cannot {error.attempted}"
        )

    def hidden(self, values: Sequence[Redacted]) -> None:
        """Tell the runner to mask these values in the other steps too.

        The values are written to the runner, which masks them, and never to a file.
        """
        if _has_regular_file():
            return
        for line in {line for value in values for line in value.reveal().splitlines() if line.strip()}:
            self.output.write_raw(f"::add-mask::{escape_data(line)}\n")

    def close(self) -> None:
        """Write the summary."""
        if not self._report.is_empty:
            page = self._report.to_markdown()
            self._append_to_runner_file(
                "GITHUB_STEP_SUMMARY", page.encode()[:_SUMMARY_BYTES].decode(errors="ignore")
            )
            self._report = RunSummary(clean=self.output.clean)

    def _write_log_group(self, event: Finished | Failed) -> None:
        """Write the stage's line and its log as a group, in which no line is a command."""
        (line,) = event_lines(event)
        lines = last_log_lines(event.log)
        if not lines:
            self.write(line)
            return
        token = secrets.token_hex(16)
        log = self.output.clean("\n".join(lines)) + "\n"
        self._write_workflow_command("group", f"{line.mark}{line.text}")
        self.output.write_raw(f"::stop-commands::{token}\n{log}::{token}::\n::endgroup::\n")

    def _annotate(self, findings: Sequence[Finding]) -> None:
        for finding in findings[:_ANNOTATIONS]:
            where = {"file": finding.file, "line": finding.line, "col": finding.column}
            self._write_workflow_command("error", finding.message, **where, title=finding.title)
        if len(findings) > _ANNOTATIONS:
            more = f"{len(findings) - _ANNOTATIONS} more findings are in the log"
            self.write(Line(mark="• ", mark_style="cyan", text=more))

    def _write_workflow_command(self, name: str, message: str, **properties: str | int | None) -> None:
        known = [
            f"{key}={_escape_property(self.output.clean(str(value)))}"
            for key, value in properties.items()
            if value is not None
        ]
        words = f"{name} {','.join(known)}" if known else name
        self.output.write_raw(f"::{words}::{escape_data(self.output.clean(message))}\n")

    def _append_to_runner_file(self, variable: str, text: str) -> None:
        """Append text to one of the runner's files.

        An error is ignored, so that no release fails for its summary.
        """
        path = self._environ.get(variable)
        if not path:
            return
        try:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(self.output.clean(text))
        except OSError as error:
            self._write_workflow_command(
                "warning", f"could not write {variable}: {error.strerror}; later steps may lack values"
            )


def _release_outputs(event: Released | Deployed) -> str:
    found = {"version": event.version, "digest": event.digest, "reference": event.reference}
    if isinstance(event, Deployed):
        found |= {"environment": event.environment, "deployment": event.deployment}
    return "".join(map(_output_assignment, found.items()))


def _output_assignment(item: tuple[str, str]) -> str:
    """Return an output value between delimiters that the value cannot contain ("Multiline strings")."""
    end = f"end-{secrets.token_hex(16)}"
    return f"{item[0]}<<{end}\n{item[1]}\n{end}\n"


def escape_data(text: str) -> str:
    """Return the text escaped as the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    """Return the text escaped as a property of a workflow command."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


def _has_regular_file() -> bool:
    try:
        return sys.stderr is None or stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode)
    except (OSError, ValueError):
        return True
