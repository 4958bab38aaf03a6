"""`invoke converge`: finish or undo an interrupted deployment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from release.commands.command_line import CommandContext, require_confirmation
from release.commands.deploy import read_allowance
from release.deploy.core.rollout import Way
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.deploy.execution import newcomers
from release.deploy.execution.converge import carry_out
from release.deploy.execution.interrupted import (
    InterruptedDeployment,
    LockedState,
    examine,
    find,
    remove_lock,
)
from release.deploy.execution.interrupted_group import examine_group, release_locks
from release.deploy.execution.operate import Subject
from release.errors import UsageError
from release.events import Notice, Warned
from release.records import GroupDeployment


def converge(cmd: CommandContext) -> int:
    """Finish an interrupted deployment, or undo it, and return the exit code."""
    options = cmd.options
    if options.finish and options.revert:
        raise UsageError("converge", "both --finish and --revert are given", "give only one of them")
    way: Way | None = "finish" if options.finish else "revert" if options.revert else None
    read_allowance(options)
    with cmd.open_workspace() as workspace, ExitStack() as stack:
        live = stack.enter_context(workspace.live(options.environment))
        answers = workspace.refresh()
        found = find(live, break_lock=options.break_lock)
        interrupted = examine(live, found, way=way)
        if interrupted is None:
            return _report_no_open_deployment(cmd, live, found, answers=answers)
        group = interrupted.unfinished.started.group
        if group is None:
            return _finish_all(cmd, [interrupted], interrupted.title, answers=answers)
        others = list(_open_other_services(workspace, group, group.services, live, stack))
        every = examine_group(group, interrupted, others, way=way, break_lock=options.break_lock)
        late = group.stops or () if every.members[0].way == "finish" else ()
        lives = _open_other_services(workspace, group, late, live, stack)
        stops = newcomers.still_due(lives, interrupted.unfinished.event, answers=answers)
        status = _finish_all(cmd, every.members, every.title, answers=answers, stops=stops)
        if not options.plan:
            release_locks(every.idle)
        return status


def _open_other_services(
    workspace: Workspace,
    group: GroupDeployment,
    services: Iterable[str],
    live: LiveEnvironment,
    stack: ExitStack,
) -> Iterator[LiveEnvironment]:
    """Open these services of a group, but the given one, in the same environment."""
    for service in services:
        if service == live.place.service:
            continue
        if service not in workspace.config.services:
            text = f"{service} of {group} is not in the configuration, so its part is left as it is"
            workspace.emit(Warned(text=text))
            continue
        yield stack.enter_context(workspace.beside(service).live(live.place.environment))


def _report_no_open_deployment(
    cmd: CommandContext, live: LiveEnvironment, found: LockedState, *, answers: bool
) -> int:
    """Print that no deployment is open, and remove a lock whose deployment has ended."""
    if not cmd.options.plan and remove_lock(live, found, message=cmd.options.message, answers=answers):
        cmd.console.emit(Notice(text="removed the lock of a deployment that had ended"))
    if cmd.options.json:
        cmd.console.print_json(None)
    else:
        cmd.console.print_result(f"{live.place}: no deployment is interrupted")
    return 0


def _finish_all(
    cmd: CommandContext,
    every: Sequence[InterruptedDeployment],
    title: str,
    *,
    answers: bool,
    stops: Sequence[Subject] = (),
) -> int:
    """Show the interrupted deployments, ask, finish them, and print the result of each service.

    Args:
        cmd, every: the command and the interrupted deployments.
        title: the action as text.
        answers: whether the ledger's remote answers.
        stops: services that a rollback of a group had still to stop; they are stopped after the others.
    """
    options, console = cmd.options, cmd.console
    for each in every:
        console.mask_values(each.secrets)
    found = [
        *((each.title, each.rows) for each in every),
        *((one.attempted, newcomers.rows(one)) for one in stops),
    ]
    if options.plan and options.json:
        _print_json(cmd, [*(each.to_json() for each in every), *map(newcomers.to_json, stops)])
    if options.plan:
        for name, rows in () if options.json else found:
            console.print_sheet(name, rows)
        return 0
    for name, rows in found:
        console.print_fields(name, rows)
    require_confirmation(cmd, title)
    done = carry_out(every, message=options.message, answers=answers, interruption=cmd.interruption)
    if options.json:
        _print_json(cmd, [each.record for each in done])
    else:
        for one in done:
            console.print_result(f"{one.place}: {one.end}: {one.evidence}")
    _stop_newcomers(cmd, stops)
    return 0


def _stop_newcomers(cmd: CommandContext, stops: Sequence[Subject]) -> None:
    """Stop what a rollback of a group had still to stop. Raises MixedState if one of these still runs."""
    done, error = newcomers.stop_all(stops, cmd.options.message, cmd.interruption)
    for one in done:
        cmd.console.emit(Notice(text=one.text))
    if error is not None:
        raise error


def _print_json(cmd: CommandContext, data: Sequence[dict[str, Any]]) -> None:
    """Print the JSON data of one service, or of several as a list."""
    cmd.console.print_json(data[0] if len(data) == 1 else list(data))
