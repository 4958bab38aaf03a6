"""`invoke drill`: rehearse a rollback beside the running release."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from release.commands.command_line import CommandContext
from release.commands.text import checks
from release.commands.verify import record_verification
from release.deploy.core.drill_request import Conditions
from release.deploy.core.steps import elapsed_ms
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.inspection.drill import Drill, DrillResult, failed, prepare_drill
from release.deploy.inspection.drill import drill as run_drill
from release.errors import Cancelled, ReleaseError, UsageError
from release.events import Notice
from release.ledger import query


def drill(cmd: CommandContext) -> int:
    """Rehearse a rollback beside the running release, record its duration, and return the exit code."""
    began, options = time.monotonic(), cmd.options
    with cmd.open_workspace() as workspace, workspace.live(options.environment) as live:
        answers = workspace.refresh()
        service, place = workspace.service.service, live.place
        found = query.find(
            workspace.ledger,
            service,
            options.to or "previous",
            environment=place.environment,
            command=place.command,
        )
        for note in found.notes:
            cmd.console.emit(Notice(text=note))
        conditions = Conditions(secrets=options.with_secrets, networks=options.with_networks)
        with _open_drill_environment(workspace, live, options.on or live.settings.drill_on) as ground:
            drill_run = prepare_drill(live, ground, found.release, found.event, conditions)
            cmd.console.mask_values(drill_run.request.secrets.values())
            _show_and_confirm_drill(cmd, drill_run)
            drilled = _run_and_record_drill(
                cmd, workspace, drill_run, lambda: elapsed_ms(began), publish=answers
            )
    if options.json:
        cmd.console.print_json(drilled.to_json())
    else:
        cmd.console.print_result(checks.drill_result_line(drilled))
    return 0


@contextmanager
def _open_drill_environment(
    workspace: Workspace, live: LiveEnvironment, other: str | None
) -> Iterator[LiveEnvironment]:
    """Yield the environment of the drill: the same one, or the one of an option."""
    if other is None or other == live.place.environment:
        yield live
        return
    with workspace.live(other) as elsewhere:
        yield elsewhere


def _show_and_confirm_drill(cmd: CommandContext, drill_run: Drill) -> None:
    """Show the plan. Ask for a yes if the drill uses real secrets or networks."""
    title = checks.drill_title(drill_run)
    cmd.console.print_fields(title, checks.drill_rows(drill_run))
    options, real = cmd.options, drill_run.request.conditions
    if not (real.secrets or real.networks) or options.yes:
        return
    if not cmd.console.can_ask:
        raise UsageError(
            title,
            "the copy has the real secrets or networks, so it acts like the real service",
            "add --yes",
        )
    if not cmd.console.confirm(f"{title}?"):
        raise Cancelled(title, "you did not say yes; nothing was started")


def _run_and_record_drill(
    cmd: CommandContext, workspace: Workspace, drill_run: Drill, elapsed: Callable[[], int], *, publish: bool
) -> DrillResult:
    """Carry out the drill and record its result; a cancelled drill is not recorded."""
    interruption = cmd.interruption
    with interruption.held():
        try:
            drilled = run_drill(drill_run, workspace.emit, interruption.cancellation, elapsed)
        except Cancelled:
            raise
        except ReleaseError as error:
            if not cmd.options.no_record:
                record_verification(workspace, failed(drill_run, error, elapsed()), publish=publish)
            raise
        if not cmd.options.no_record:
            record_verification(workspace, drilled.verification(), publish=publish)
    return drilled
