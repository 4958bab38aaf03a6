"""`invoke history`: the records of one service, or of several that belong together."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

from release.commands import command_line
from release.commands.command_line import CommandContext, open_chosen
from release.commands.text.history import HISTORY, Entry, history_row
from release.commands.text.marks import version_text
from release.deploy.environment.environment import Workspace
from release.deploy.environment.unconfigured import unconfigured
from release.deploy.execution.recording import event_json
from release.errors import LedgerError
from release.events import Notice
from release.ledger import query
from release.records import (
    Body,
    Deployment,
    Draft,
    Freeze,
    Operation,
    Quarantine,
    Record,
    Release,
    Verification,
)


def history(cmd: CommandContext) -> int:
    """Print releases, deployments and rollbacks, newest first, and return the exit code."""
    count = command_line.parse_history_limit(cmd.options)
    with open_chosen(cmd) as workspaces:
        workspaces[0].refresh()
        since = _since(cmd)
        several = [_entries(each, cmd.options.environment, since) for each in workspaces]
        if cmd.options.json:
            entries = islice(_newest_first(several), count)
            cmd.console.print_json([_json(entry) for entry in entries])
        else:
            shown = islice(_newest_first([_ended(each) for each in several]), count)
            _show(cmd, shown, _versions(workspaces[0]))
    return 0


def _show(cmd: CommandContext, entries: Iterator[Entry], version: Callable[[Body], str]) -> None:
    """Print a table, with a column for the service if several were chosen."""
    rows = [(entry, history_row(entry, version(entry.body))) for entry in entries]
    if not cmd.names_several_services:
        cmd.console.print_table(HISTORY, [row for _, row in rows])
        return
    told = [(row[0], _envelope(entry).service, *row[1:]) for entry, row in rows]
    cmd.console.print_table((HISTORY[0], "service", *HISTORY[1:]), told)


def _newest_first(several: Sequence[Iterator[Entry]]) -> Iterator[Entry]:
    """Yield the entries of all services by their times; those of one service stay in their order."""
    if len(several) == 1:
        return several[0]
    return heapq.merge(*several, key=lambda entry: str(_envelope(entry).recorded_at), reverse=True)


def _envelope(entry: Entry) -> Any:
    return entry.envelope if isinstance(entry, Record) else entry


def _since(cmd: CommandContext) -> str | None:
    """Return the begin of the chosen period. Raise UsageError."""
    if cmd.options.since is None:
        return None
    moment = query.parse_since(cmd.options.since, query.Clock())
    cmd.console.emit(Notice(text=moment.explanation))
    return moment.text


def _entries(workspace: Workspace, environment: str | None, since: str | None) -> Iterator[Entry]:
    """Yield unpublished events, then the records of the ledger."""
    _known_environment(workspace, environment)
    service = workspace.service.service
    waiting = (draft for draft in reversed(workspace.ledger.unsynced()) if draft.service == service)
    yield from (
        draft for draft in waiting if _is_in(draft, environment) and draft.recorded_at >= (since or "")
    )
    yield from query.history(workspace.ledger, service, environment=environment, since=since)


def _known_environment(workspace: Workspace, environment: str | None) -> None:
    """Warn of an environment with records but without configuration. Raise UsageError if it has neither."""
    if environment is None:
        return
    if environment in unconfigured(workspace.service, workspace.ledger):
        text = f"{environment} is not in the configuration: reading its records from the ledger"
        workspace.emit(Notice(text=text))
    else:
        workspace.service.environment(environment)


def _is_in(draft: Draft[Body], environment: str | None) -> bool:
    body = draft.body
    kinds = Deployment | Freeze | Verification | Operation
    return environment is None or (isinstance(body, kinds) and body.environment == environment)


def _ended(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Yield one record for each deployment and operation: the end, or the start if there is no end."""
    seen: set[str] = set()
    for entry in entries:
        body = entry.body
        name = body.deployment if isinstance(body, Deployment) else getattr(body, "operation", "")
        if not name:
            yield entry
        elif name not in seen:
            seen.add(name)
            yield entry


def _json(entry: Record[Body] | Draft[Body]) -> dict[str, Any]:
    if isinstance(entry, Record):
        return {"id": entry.id, **entry.to_json()}
    return event_json(entry, None)


def _named(release: Release) -> str:
    return version_text(release.version, recovered=release.is_recovered)


def _versions(workspace: Workspace) -> Any:
    """Return a function from a record to its version, which reads each release once."""

    @cache
    def of_release(record: str) -> str:
        try:
            body = workspace.ledger.record(record).body
        except LedgerError:
            return "?"
        return _named(body) if isinstance(body, Release) else "?"

    def of(body: Body) -> str:
        if isinstance(body, Release):
            return _named(body)
        if isinstance(body, Verification):
            return of_release(body.releases[0].release) if len(body.releases) == 1 else ""
        return of_release(body.release) if isinstance(body, Deployment | Quarantine | Operation) else ""

    return of
