"""`invoke converge`: a deployment that ended in the middle."""

from __future__ import annotations

from release.commands.command_line import CommandContext, agree
from release.commands.deploy import allowance
from release.deploy.core.rollout import Way
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.execution.converge import carry_out
from release.deploy.execution.interrupted import Found, InterruptedDeployment, examine, find, remove_lock
from release.errors import UsageError
from release.events import Notice


def converge(cmd: CommandContext) -> int:
    """Bring a deployment that ended in the middle to an end, or undo it."""
    options = cmd.options
    if options.finish and options.revert:
        raise UsageError("converge", "both --finish and --revert are given", "give only one of them")
    way: Way | None = "finish" if options.finish else "revert" if options.revert else None
    allowance(options)
    with cmd.workspace() as workspace, workspace.live(options.environment) as live:
        answers = workspace.refresh()
        found = find(live, break_lock=options.break_lock)
        interrupted = examine(live, found, way=way)
        if interrupted is None:
            return _nothing_open(cmd, live, found, answers=answers)
        return _converge(cmd, interrupted, answers=answers)


def _nothing_open(cmd: CommandContext, live: LiveEnvironment, found: Found, *, answers: bool) -> int:
    """Say so; a lock whose deployment ended is removed."""
    if not cmd.options.plan and remove_lock(live, found, message=cmd.options.message, answers=answers):
        cmd.console.emit(Notice(text="removed the lock of a deployment that had ended"))
    if cmd.options.json:
        cmd.console.document(None)
    else:
        cmd.console.result(f"{live.place}: no deployment is interrupted")
    return 0


def _converge(cmd: CommandContext, interrupted: InterruptedDeployment, *, answers: bool) -> int:
    options, console = cmd.options, cmd.console
    console.hide(interrupted.secrets)
    if options.plan:
        if options.json:
            console.document(interrupted.to_json())
        else:
            console.sheet(interrupted.title, interrupted.rows)
        return 0
    console.fields(interrupted.title, interrupted.rows)
    agree(cmd, interrupted.title)
    done = carry_out(interrupted, message=options.message, answers=answers, interruption=cmd.interruption)
    if options.json:
        console.document(done.record)
    else:
        console.result(f"{interrupted.live.place}: {done.end}: {done.evidence}")
    return 0
