"""`invoke status`, `show` and `diff`: read the current state and the records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from release.commands.command_line import (
    CommandContext,
    choose_environment,
    find_target,
    open_chosen,
    refuse_option_as_target,
)
from release.commands.text import states
from release.commands.text.history import (
    difference_rows,
    difference_title,
    drill_and_rebuild_rows,
    release_rows,
)
from release.deploy.environment.environment import Workspace
from release.deploy.environment.unconfigured import described, unconfigured
from release.errors import Cancelled, EngineError, NotReady, ReleaseError, UsageError
from release.events import Notice, Warned
from release.ledger import query
from release.text.local_time import local_time
from release.values import Struct

if TYPE_CHECKING:
    from release.deploy.inspection.status import Status


class _ObservedState(Struct, frozen=True, kw_only=True):
    """State of all environments at one time."""

    found: tuple[Status, ...]
    failed: tuple[ReleaseError, ...]
    is_proven: bool


def status(cmd: CommandContext) -> int:
    """Print the running releases, and return the exit code.

    With `--exit-code`, the exit code is 1 if an environment differs from the ledger, if a deployment was
    interrupted, or if commits of the ledger are not verified. If an engine does not answer, its error is
    shown after the other environments, and the exit code is that of the error.
    """
    if cmd.options.watch:
        return _watch_status(cmd)
    look = _observe_environments(cmd)
    if cmd.options.json:
        data = [each.to_json() for each in look.found]
        cmd.console.print_json(data[0] if len(data) == 1 else data)
    else:
        _print_status(cmd, look)
    if look.failed:
        return max(error.exit_code for error in look.failed)
    differs = not look.is_proven or any(each.drift or each.unfinished for each in look.found)
    return 1 if cmd.options.exit_code and differs else 0


def _observe_environments(cmd: CommandContext) -> _ObservedState:
    failed: list[ReleaseError] = []
    with open_chosen(cmd) as workspaces:
        workspaces[0].refresh()
        is_proven = workspaces[0].ledger.unproven is None
        found = [
            each for one in workspaces for each in _environment_states(one, cmd.options.environment, failed)
        ]
    return _ObservedState(found=tuple(found), failed=tuple(failed), is_proven=is_proven)


def _environment_states(
    workspace: Workspace, named: str | None, failed: list[ReleaseError]
) -> Iterator[Status]:
    """Yield the state of the chosen or all environments; show a notice on each unconfigured one."""
    every: list[str | None] = [*workspace.service.environments]
    for name in [named] if named is not None or not every else every:
        yield _read_status(workspace, name, failed)
    for other in unconfigured(workspace.service, workspace.ledger) if named is None else ():
        known = described(workspace.service, workspace.ledger, other)
        text = f"{other} is not in the configuration, so its state is not shown; {known}"
        workspace.emit(Notice(text=text))


def _print_status(cmd: CommandContext, look: _ObservedState) -> None:
    for each in look.found:
        cmd.console.print_sheet(f"{each.service} in {each.environment}", states.status_rows(each))


WATCH_SECONDS: Final = 5.0
"""Seconds between two checks of `--watch`."""


def _watch_status(cmd: CommandContext) -> int:
    """Print the state after each change, until a signal ends the command. Raise UsageError."""
    if cmd.options.json or cmd.options.exit_code:
        found = "--watch excludes --json and --exit-code"
        raise UsageError("watch the state", found, "leave one of them out")
    shown: list[Any] | None = None
    with cmd.interruption.held(), suppress(Cancelled):
        while True:
            look = _observe_environments(cmd)
            data = [each.to_json() for each in look.found]
            if data != shown:
                cmd.console.print_result(local_time())
                _print_status(cmd, look)
                shown = data
            cmd.interruption.cancellation.pause(WATCH_SECONDS)
    return 0


def _read_status(workspace: Workspace, environment: str | None, failed: list[ReleaseError]) -> Status:
    from release.deploy.inspection.status import read_status, unseen_status

    env_ref = workspace.env_ref(environment)
    try:
        with workspace.live(environment) as live:
            return read_status(live)
    except (EngineError, NotReady) as error:
        failed.append(error)
        workspace.emit(Warned(text=f"{env_ref.place}: {error}"))
        return unseen_status(env_ref, error)


def show(cmd: CommandContext) -> int:
    """Print one release, or the chosen deployment, and return the exit code."""
    target = cmd.options.target or ""
    with cmd.open_workspace() as workspace:
        workspace.refresh()
        name = choose_environment(cmd, workspace)
        found = find_target(cmd, workspace, refuse_option_as_target("show", target), name)
        word = query.active_quarantine(workspace.ledger, workspace.service.service, found.release.id, name)
        tried = query.verifications_of_release(workspace.ledger, workspace.service.service, found.release.id)
        root = workspace.source.root
    if cmd.options.evidence:
        from release.commands.evidence import show_evidence

        show_evidence(cmd, root, found.release)
    elif cmd.options.json:
        cmd.console.print_json({"id": found.release.id, **found.release.to_json()})
    else:
        title = f"{found.release.envelope.service} {found.release.body.version}"
        standing = states.requested_deployment_rows(found.event, word)
        cmd.console.print_sheet(
            title, [*release_rows(found.release), *standing, *drill_and_rebuild_rows(tried)]
        )
    return 0


def diff(cmd: CommandContext) -> int:
    """Print the differences between two releases, and return the exit code."""
    from release.ledger.release_diff import compare

    targets = [
        refuse_option_as_target("diff", word or "") for word in (cmd.options.before, cmd.options.after)
    ]
    with cmd.open_workspace() as workspace:
        workspace.refresh()
        name = choose_environment(cmd, workspace)
        before, after = (find_target(cmd, workspace, target, name) for target in targets)
        found = compare(
            workspace.ledger,
            workspace.source,
            workspace.service.service,
            before,
            after,
            environment=name,
            paths=workspace.service.paths,
        )
        bodies = (before.release.body, after.release.body)
        if all(body.evidence is not None for body in bodies):
            from release.commands.evidence import add_package_difference

            found = add_package_difference(found, *bodies, workspace.source.root)
    if cmd.options.json:
        cmd.console.print_json(found.to_json())
    else:
        cmd.console.print_sheet(difference_title(found), difference_rows(found))
    return 0
