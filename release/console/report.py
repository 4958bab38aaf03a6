"""Summary of a run, collected from its events, as a page of Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from release.console.layout import error_log_tail, one_line, seconds_text
from release.errors import ReleaseError
from release.events import Deployed, Event, Failed, Finished, Found, Planned, Released, Warned
from release.text.control_characters import inert
from release.values import Struct, field

_COMMITS: Final = 50
"""Largest number of commits on a page."""

_SPECIAL: Final = re.compile(
    r"([\\`*_{}\[\]<>()#+!|~&@$]|:(?=//)|(?<=www)\.|^[-=]|(?<=\A\d)[.)])", re.IGNORECASE
)
"""Markup characters of Markdown (CommonMark 0.31, 2.4), and of addresses and names on GitHub."""


class RunSummary(Struct, kw_only=True):
    """Collected events of a run for its summary page."""

    planned: Planned | None = None
    ended: list[Finished | Failed] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    findings: list[Found] = field(default_factory=list)
    result: Released | Deployed | None = None
    error: ReleaseError | None = None
    clean: Callable[[str], str] = inert
    """Function that removes control sequences and masks secrets."""

    def add(self, event: Event) -> None:
        """Store the event if the page shows its kind."""
        match event:
            case Planned():
                self.planned = event
            case Finished() | Failed():
                self.ended.append(event)
            case Warned():
                self.warnings.append(event.text)
            case Found():
                self.findings.append(event)
            case Released() | Deployed():
                self.result = event

    @property
    def is_empty(self) -> bool:
        """Return whether no event for the page was added."""
        return not (self.ended or self.result or self.error)

    def to_markdown(self) -> str:
        """Return the page as Markdown. Each text is cleaned before Markdown is added."""
        parts = [
            f"### {self._title_line()}",
            _markdown_table(("", ""), self._fact_rows()),
            _markdown_table(("stage", "", "time", ""), map(self._stage_row, self.ended)),
            _markdown_list("Commits", self._commit_lines()),
            _markdown_list("Warnings", list(map(self._escape_text, self.warnings))),
            self._error_section(),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _title_line(self) -> str:
        if self.error is not None:
            return f"✗ {self._release_name()}: {self._escape_text(self.error.attempted)} failed"
        if isinstance(self.result, Deployed):
            verb = "runs in" if self.result.changed else "already ran in"
            return f"✓ {self._release_name()} {verb} {self._escape_text(self.result.environment)}"
        return (
            f"✓ {self._release_name()}{' is released' if self.result is not None else ': all gates passed'}"
        )

    def _release_name(self) -> str:
        known = self.result or self.planned
        return self._escape_text(f"{known.service} {known.version}") if known is not None else "release"

    def _fact_rows(self) -> list[tuple[str, str]]:
        facts = [("commit", self._code_text(self.planned.commit))] if self.planned is not None else []
        if self.result is None:
            return facts
        tag = self.result.tag if isinstance(self.result, Released) else None
        return [
            ("version", self._code_text(self.result.version)),
            ("digest", self._code_text(self.result.digest)),
            ("reference", self._code_text(self.result.reference)),
            *([("git tag", self._code_text(tag))] if tag else []),
            *facts,
        ]

    def _commit_lines(self) -> list[str]:
        if not isinstance(self.result, Released):
            return []
        more = len(self.result.commits) - _COMMITS
        lines = [self._escape_text(commit) for commit in self.result.commits[:_COMMITS]]
        return [*lines, f"… and {more} more"] if more > 0 else lines

    def _error_section(self) -> str:
        if self.error is None:
            return ""
        tail = self.clean("\n".join(error_log_tail(self.error)))
        quoted = f"\n\n{_code_block(tail)}" if tail else ""
        hint = f"\n\n→ {self._escape_text(self.error.hint)}" if self.error.hint else ""
        return f"#### Error\n\n{self._escape_text(self.error.found)}{quoted}{hint}"

    def _stage_row(self, event: Finished | Failed) -> tuple[str, ...]:
        mark = "✓" if isinstance(event, Finished) else "✗"
        return (
            self._escape_text(event.name),
            mark,
            seconds_text(event.duration_ms),
            self._escape_text(event.summary),
        )

    def _escape_text(self, text: str) -> str:
        return escape_for_markdown(self.clean(text))

    def _code_text(self, text: str) -> str:
        return code_in_table(self.clean(text))


def _markdown_table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [" | ".join(row) for row in rows]
    if not lines:
        return ""
    return "\n".join(
        f"| {line} |" for line in (" | ".join(columns), " | ".join("---" for _ in columns), *lines)
    )


def _markdown_list(title: str, items: list[str]) -> str:
    return "\n".join([f"#### {title}", "", *(f"- {item}" for item in items)]) if items else ""


def escape_for_markdown(text: str) -> str:
    """Return the text escaped for Markdown, on one line."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def code_in_table(text: str) -> str:
    """Return the value as code in a table's cell."""
    return f"`{one_line(text).replace('`', '').replace('|', '')}`"


def _code_block(text: str) -> str:
    """Return the text as a code block, with a fence longer than any in it (CommonMark 0.31, 4.5)."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
