"""What a run came to, collected from its events, and as a page of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from release.console.layout import one_line, seconds, tail_of
from release.errors import ReleaseError
from release.events import Deployed, Event, Failed, Finished, Found, Planned, Released, Warned
from release.frozen import Struct, field

_COMMITS: Final = 50
"""How many commits a page lists."""

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")
"""What Markdown may take for markup (CommonMark 0.31, 2.4)."""


class Report(Struct, kw_only=True):
    """The events that a reader wants to see again in the end."""

    planned: Planned | None = None
    ended: list[Finished | Failed] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    findings: list[Found] = field(default_factory=list)
    result: Released | Deployed | None = None
    error: ReleaseError | None = None

    def add(self, event: Event) -> None:
        """Keep what belongs on the page."""
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
        """Whether nothing happened that a page could tell."""
        return not (self.ended or self.result or self.error)

    def markdown(self) -> str:
        """The page."""
        parts = [
            f"### {self._title()}",
            _table(("", ""), self._facts()),
            _table(("stage", "", "time", ""), map(_stage_row, self.ended)),
            _list("Commits", self._commits()),
            _list("Warnings", [text_of(warning) for warning in self.warnings]),
            self._error(),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _title(self) -> str:
        if self.error is not None:
            return f"✗ {self._name()}: {text_of(self.error.attempted)} failed"
        if isinstance(self.result, Deployed):
            verb = "runs in" if self.result.changed else "already ran in"
            return f"✓ {self._name()} {verb} {text_of(self.result.environment)}"
        return f"✓ {self._name()}{' is released' if self.result is not None else ': all gates passed'}"

    def _name(self) -> str:
        known = self.result or self.planned
        return text_of(f"{known.service} {known.version}") if known is not None else "release"

    def _facts(self) -> list[tuple[str, str]]:
        facts = [("commit", code(self.planned.commit))] if self.planned is not None else []
        if self.result is None:
            return facts
        tag = self.result.tag if isinstance(self.result, Released) else None
        return [
            ("version", code(self.result.version)),
            ("digest", code(self.result.digest)),
            ("reference", code(self.result.reference)),
            *([("git tag", code(tag))] if tag else []),
            *facts,
        ]

    def _commits(self) -> list[str]:
        if not isinstance(self.result, Released):
            return []
        more = len(self.result.commits) - _COMMITS
        lines = [text_of(commit) for commit in self.result.commits[:_COMMITS]]
        return [*lines, f"… and {more} more"] if more > 0 else lines

    def _error(self) -> str:
        if self.error is None:
            return ""
        tail = "\n".join(tail_of(self.error))
        quoted = f"\n\n{_fenced(tail)}" if tail else ""
        hint = f"\n\n→ {text_of(self.error.hint)}" if self.error.hint else ""
        return f"#### Error\n\n{text_of(self.error.found)}{quoted}{hint}"


def _stage_row(event: Finished | Failed) -> tuple[str, ...]:
    mark = "✓" if isinstance(event, Finished) else "✗"
    return (event.name, mark, seconds(event.duration_ms), text_of(event.summary))


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [" | ".join(row) for row in rows]
    if not lines:
        return ""
    return "\n".join(
        f"| {line} |" for line in (" | ".join(columns), " | ".join("---" for _ in columns), *lines)
    )


def _list(title: str, items: list[str]) -> str:
    return "\n".join([f"#### {title}", "", *(f"- {item}" for item in items)]) if items else ""


def text_of(text: str) -> str:
    """The text as Markdown that shows it as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def code(text: str) -> str:
    """A value in a table's cell, as code."""
    return f"`{one_line(text).replace('`', '').replace('|', '')}`"


def _fenced(text: str) -> str:
    """A block of code whose fence is longer than any in it (CommonMark 0.31, 4.5)."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
