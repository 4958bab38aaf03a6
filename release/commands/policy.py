"""`invoke quarantine`, `freeze` and `thaw`: record rules for releases and environments."""

from __future__ import annotations

import secrets as randomness

from release.actor import TOOL, utc_now_text
from release.commands.command_line import (
    CommandContext,
    choose_environment,
    find_target,
    refuse_option_as_target,
)
from release.deploy.environment.environment import Workspace
from release.deploy.execution.recording import event_json
from release.deploy.planning.policy import later_time
from release.errors import UsageError
from release.ledger import query
from release.records import Body, Draft, Freeze, Quarantine, Record, Release
from release.scalars import parse_duration


def quarantine(cmd: CommandContext) -> int:
    """Quarantine a release, or lift its quarantine, and return the exit code."""
    options = cmd.options
    if not options.message:
        raise UsageError("quarantine a release", "the record needs a reason", "add --message WHY")
    with cmd.open_workspace() as workspace:
        workspace.refresh()
        if options.environment is not None:
            workspace.service.environment(options.environment)
        found = find_target(
            cmd,
            workspace,
            refuse_option_as_target("quarantine", options.target or ""),
            choose_environment(cmd, workspace),
        )
        _record_quarantine(cmd, workspace, found.release)
    return 0


def _record_quarantine(cmd: CommandContext, workspace: Workspace, release: Record[Release]) -> None:
    """Record the quarantine or its end, and print it. Print a sentence if there is no quarantine to lift."""
    options, service = cmd.options, workspace.service.service
    where = options.environment or "every environment"
    if (
        options.lift
        and query.active_quarantine(workspace.ledger, service, release.id, options.environment) is None
    ):
        _print_unchanged(cmd, f"{service} {release.body.version} is not quarantined in {where}")
        return
    body = Quarantine(
        release=release.id, environment=options.environment, message=options.message, lifted=options.lift
    )
    done = "may be deployed again" if options.lift else "is quarantined"
    _record_rule(
        cmd, workspace, body, f"{service} {release.body.version} {done} in {where}: {options.message}"
    )


def _print_unchanged(cmd: CommandContext, sentence: str) -> None:
    """Print the sentence that nothing changed; with `--json`, print null."""
    if cmd.options.json:
        cmd.console.print_json(None)
    else:
        cmd.console.print_result(sentence)


def _record_rule(cmd: CommandContext, workspace: Workspace, body: Body, sentence: str) -> None:
    """Record the rule and print it."""
    draft: Draft[Body] = Draft(
        service=workspace.service.service,
        recorded_at=utc_now_text(),
        actor=workspace.actor,
        run=workspace.run(randomness.token_hex(6)),
        tool=TOOL,
        body=body,
    )
    records = workspace.ledger.append_events([draft])
    if records is None:
        workspace.warn_waiting()
        sentence += " (in this clone alone: other clones do not know it yet)"
    if cmd.options.json:
        cmd.console.print_json(event_json(draft, records[0] if records is not None else None))
    else:
        cmd.console.print_result(sentence)


def freeze(cmd: CommandContext) -> int:
    """Freeze an environment, for a time or until a thaw, and return the exit code."""
    options = cmd.options
    if not options.message:
        raise UsageError("freeze an environment", "the record needs a reason", "add --message WHY")
    until = (
        later_time(utc_now_text(), _freeze_duration_ms(options.for_)) if options.for_ is not None else None
    )
    with cmd.open_workspace() as workspace:
        workspace.refresh()
        place = workspace.env_ref(options.environment).place
        end = f"until {until[:19]}Z" if until is not None else "until `invoke thaw`"
        body = Freeze(environment=place.environment, message=options.message, until=until)
        _record_rule(cmd, workspace, body, f"{place} is frozen {end}: {options.message}")
    return 0


def _freeze_duration_ms(text: str) -> int:
    """Return the milliseconds of a time such as "2h". Raise UsageError."""
    try:
        span = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"freeze for {text!r}", str(error), "use --for 2h") from error
    assert isinstance(span, int)  # noqa: S101 - what `parse_duration` makes of text
    return span


def thaw(cmd: CommandContext) -> int:
    """Thaw an environment and return the exit code. Nothing changes if it is not frozen."""
    options = cmd.options
    if not options.message:
        raise UsageError("thaw an environment", "the record needs a reason", "add --message WHY")
    with cmd.open_workspace() as workspace:
        workspace.refresh()
        place = workspace.env_ref(options.environment).place
        if query.active_freeze(workspace.ledger, place.service, place.environment, utc_now_text()) is None:
            _print_unchanged(cmd, f"{place} is not frozen")
            return 0
        body = Freeze(environment=place.environment, message=options.message, thawed=True)
        _record_rule(cmd, workspace, body, f"{place} accepts deployments again: {options.message}")
    return 0
