"""GitLab CI: each stage's log as a section that opens and closes.

Source: GitLab Docs, "CI/CD job logs", "Custom collapsible sections". Every run writes the version
for later jobs into a dotenv report.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from typing import Final

from release.console.layout import event_lines
from release.console.logs import last_log_lines
from release.console.output import OutputWriter
from release.console.plain import Clock, PlainView
from release.events import Event, Failed, Finished

_ERASE: Final = "\x1b[0K"
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]")


class GitLabView(PlainView):
    """View for GitLab CI: plain lines, and each stage's log as a section with its duration."""

    def __init__(self, output: OutputWriter, clock: Clock = time.monotonic) -> None:
        """Start the count of sections, whose names must differ in one job's log."""
        super().__init__(output, clock)
        self._numbers: Iterator[int] = itertools.count(1)

    def show(self, event: Event) -> None:
        """Render an event."""
        if isinstance(event, Finished | Failed):
            self.remember(event)
            self._write_log_section(event)
        else:
            super().show(event)

    def _write_log_section(self, event: Finished | Failed) -> None:
        (line,) = event_lines(event)
        lines = last_log_lines(event.log)
        if not lines:
            self.write(line)
            return
        ended = int(time.time())
        name = f"release_{_NOT_IN_NAMES.sub('_', event.name)}_{next(self._numbers)}"
        began = ended - round(event.duration_ms / 1000)
        self.output.write_raw(f"{_ERASE}section_start:{began}:{name}[collapsed=true]\r{_ERASE}")
        self.write(line)
        self.output.write_raw(self.output.clean("\n".join(lines)) + "\n")
        self.output.write_raw(f"{_ERASE}section_end:{ended}:{name}\r{_ERASE}\n")
