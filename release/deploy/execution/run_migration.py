"""Run a command that changes the data in a container of its own, before or after the replacement."""

from __future__ import annotations

from typing import Final

from release.deploy.core.operations import CommandRequest
from release.deploy.core.rollout import RolloutContext
from release.deploy.core.steps import step
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.execution.live_output import LiveOutput
from release.deploy.planning import data_changes
from release.deploy.planning.data_command import AnyDataCommand
from release.deploy.planning.migration_containers import container_name
from release.errors import DeploymentFailed, EngineError, ReleaseError
from release.events import Notice, Warned
from release.values import replace

_LINES: Final = 1000
"""Last lines of the command's output that are read at its end."""


def run(live: LiveEnvironment, command: AnyDataCommand, deployment: str, context: RolloutContext) -> None:
    """Run the command and show its output. Its container stays. Raises DeploymentFailed."""
    with step(context.emit, command.kind) as report:
        container = _begun(live, command, deployment, context)
        try:
            _finish(live, command, container, context)
        except DeploymentFailed:
            _keep_output(live, command, container, context)
            raise
        report(command.text)


def _finish(live: LiveEnvironment, command: AnyDataCommand, container: str, context: RolloutContext) -> None:
    """Wait for the end of the command, and show its output. Raises DeploymentFailed."""
    commands = live.target.commands
    output = LiveOutput(
        kind=command.kind, context=context, follow=lambda stop: commands.follow(container, stop)
    )
    with output.following():
        try:
            status = commands.wait(container, timeout=command.timeout, cancellation=context.cancellation)
        except (TimeoutError, ReleaseError) as error:
            timed_out = f"it did not end within {command.timeout / 1000:g} s"
            found = error.found if isinstance(error, ReleaseError) else timed_out
            found = context.mask(f"{found}{_halted(live, container)}")
            output.finish(lines := _written(live, container, context))
            raise _failed(live, command, found, lines) from error
        output.finish(lines := _written(live, container, context))
    if status != 0:
        raise _failed(live, command, f"exit status {status}", lines)


def _keep_output(
    live: LiveEnvironment, command: AnyDataCommand, container: str, context: RolloutContext
) -> None:
    """Keep the output until the next deployment. A failure is a warning, because the command has failed."""
    try:
        is_kept = live.target.commands.keep_output(container, command.kind, context.mask)
    except EngineError as error:
        text = f"the output of the command is not kept: {error.attempted}: {error.found}"
        context.emit(Warned(text=context.mask(text)))
        return
    if is_kept:
        shown = f"`{live.place.command('logs --failed')}` shows the output of the command"
        context.emit(Notice(text=shown))


def _named(live: LiveEnvironment, command: AnyDataCommand, deployment: str) -> CommandRequest:
    return replace(
        command.request,
        name=container_name(live, deployment, command.kind),
        identity=replace(command.identity, deployment=deployment),
    )


def _begun(live: LiveEnvironment, command: AnyDataCommand, deployment: str, context: RolloutContext) -> str:
    """Start the container. Raises DeploymentFailed if it did not start, so no data was changed."""
    request = _named(live, command, deployment)
    try:
        return live.target.commands.start(request, context.emit, context.cancellation)
    except ReleaseError as error:
        found, hint = context.mask(error.found), context.mask(error.hint)
        untouched = "the data was not changed" if command.runs_after else "nothing was changed"
        raise DeploymentFailed(_attempted(live, command), f"{found}; {untouched}", hint) from error


def _attempted(live: LiveEnvironment, command: AnyDataCommand) -> str:
    verb = "undo migrations" if command.kind == "down" else "migrate the data"
    return f"{verb} of {live.place} with `{command.text}` in the image of {command.identity.version}"


def _halted(live: LiveEnvironment, container: str) -> str:
    """Stop the container; return a note if that fails."""
    try:
        live.target.commands.stop(container)
    except EngineError as error:
        return f", and it may still run ({error.attempted}: {error.found})"
    return ""


def _written(live: LiveEnvironment, container: str, context: RolloutContext) -> tuple[str, ...]:
    """Return the container's last lines without secrets, or why they cannot be read."""
    try:
        return context.mask.lines(live.target.commands.logs(container, lines=_LINES))
    except EngineError as error:
        return (f"cannot {error.attempted}: {error.found}",)


def _failed(
    live: LiveEnvironment, command: AnyDataCommand, found: str, lines: tuple[str, ...]
) -> DeploymentFailed:
    options = " with --again" if command.again else ""
    hints = {
        "down": "check the data, because a part may be undone. Correct it, then roll back with --down "
        "again to run the command once more, or with --down done to skip it",
        "up": "check the data, because a part may be migrated. Correct the cause, then deploy again"
        f"{options}: the command runs once more",
    }
    untouched = "" if command.runs_after else "; what runs was not changed"
    hint = data_changes.RUN_AGAIN if command.runs_after else hints[command.kind]
    return DeploymentFailed(_attempted(live, command), f"{found}{untouched}", hint, lines[-20:])
