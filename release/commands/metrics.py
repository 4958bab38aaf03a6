"""`invoke metrics`: delivery metrics of a service, computed from the ledger."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Final

from release.commands.command_line import CommandContext
from release.commands.text.metrics import metric_tables, prometheus_text
from release.deploy.environment.environment import Workspace
from release.deploy.environment.unconfigured import unconfigured
from release.errors import UsageError
from release.events import Notice
from release.ledger import query
from release.ledger.metrics import Metrics, Span, measure
from release.ledger.metrics.locks import is_lock_change

_DEFAULT: Final = timedelta(days=90)


def metrics(cmd: CommandContext) -> int:
    """Print the metrics of a service and return the exit code. Raise UsageError, LedgerError."""
    if cmd.options.json and cmd.options.prometheus:
        raise UsageError(
            "print the metrics", "--json and --prometheus exclude each other", "leave one of them out"
        )
    clock = query.Clock()
    with cmd.open_workspace() as workspace:
        workspace.refresh()
        found = _compute_metrics(cmd, workspace, clock)
    if cmd.options.json:
        cmd.console.print_json(found.to_json())
    elif cmd.options.prometheus:
        cmd.console.print_page(prometheus_text(found))
    else:
        for title, rows in metric_tables(found):
            cmd.console.print_sheet(title, rows)
    return 0


def _compute_metrics(cmd: CommandContext, workspace: Workspace, clock: query.Clock) -> Metrics:
    return measure(
        workspace.ledger,
        workspace.service.service,
        _environments_with_records(workspace, cmd.options.environment),
        _metrics_period(cmd, clock),
        is_lock_change=partial(is_lock_change, workspace.source),
    )


def _metrics_period(cmd: CommandContext, clock: query.Clock) -> Span:
    """Return the period that ends now. Raise UsageError."""
    now = query.ParsedTime(at=clock.now, explanation="")
    if cmd.options.since is None:
        return Span(since=query.ParsedTime(at=clock.now - _DEFAULT, explanation="").text, until=now.text)
    since = query.parse_since(cmd.options.since, clock)
    cmd.console.emit(Notice(text=since.explanation))
    return Span(since=since.text, until=now.text)


def _environments_with_records(workspace: Workspace, named: str | None) -> list[str]:
    """Return the named environment, or all environments of service and ledger. Raise UsageError."""
    known = {*workspace.service.environments, *unconfigured(workspace.service, workspace.ledger)}
    if named is not None and named not in known:
        workspace.service.environment(named)
    return sorted(known) if named is None else [named]
