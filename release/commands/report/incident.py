"""The timeline of an incident as Markdown, for a post-mortem."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

from release.commands.report.data import Clean, version_lookup
from release.commands.text.history import HISTORY, Entry, history_row
from release.deploy.environment.environment import Workspace
from release.ledger import query
from release.records import Deployment, Record
from release.text.local_time import utc_time

_MOST: Final = 1000
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~-])")


def incident_timeline(workspace: Workspace, since: query.ParsedTime, clean: Clean) -> str:
    """Return the events since a time as Markdown, oldest first. Raise LedgerError."""
    service = workspace.service.service
    waiting = [draft for draft in workspace.ledger.unsynced() if draft.service == service]
    recorded = islice(query.history(workspace.ledger, service, since=since.text), _MOST)
    entries: list[Entry] = [
        *reversed(list(recorded)),
        *(each for each in waiting if _event_time(each) >= since.text),
    ]
    version = version_lookup(workspace)
    entries.sort(key=_event_sort_key)
    rows = [tuple(map(clean, history_row(each, version(each.body), utc_time))) for each in entries]
    bodies = [each.body for each in entries if isinstance(each, Record)]
    failed = [
        body
        for body in bodies
        if isinstance(body, Deployment) and body.status in ("failed", "restored", "mixed")
    ]
    backs = [body for body in bodies if isinstance(body, Deployment) and body.reason == "rollback"]
    ended = {body.deployment for body in backs if body.status == "healthy"}
    begin, failures = since.text[:16].replace("T", " "), _count_with_noun(failed, "deployment")
    return "\n".join(
        [
            f"# Incident of {escape_markdown(service)}",
            "",
            f"From {begin}Z. {failures} failed; {len(ended)} rolled back. Times are UTC.",
            "",
            *("## Impact", "", "_Who noticed what, from when to when._", ""),
            *("## Timeline", ""),
            *_markdown_table(rows),
            *("", "## Cause", "", "_What led to it, and why it was not noticed before._", ""),
            *("## What we change", "", "- [ ] _an action, with an owner and a date_", ""),
        ]
    )


def _event_time(entry: Entry) -> str:
    return entry.envelope.recorded_at if isinstance(entry, Record) else entry.recorded_at


def _event_sort_key(entry: Entry) -> tuple[str, bool]:
    """Return the sort key of an event: the time, then a start before an end."""
    return _event_time(entry), getattr(entry.body, "status", "") != "started"


def _count_with_noun(found: Sequence[object], noun: str) -> str:
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'}"


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return ["Nothing was recorded."]
    head = [f"| {' | '.join(HISTORY)} |", f"|{' --- |' * len(HISTORY)}"]
    return [*head, *(f"| {' | '.join(map(escape_markdown, row))} |" for row in rows)]


def escape_markdown(text: str) -> str:
    """Return the text escaped for Markdown (CommonMark 0.31, "Backslash escapes")."""
    return _SPECIAL.sub(r"\\\1", text) if not re.fullmatch(r"[\w .:/@-]*", text) else text
