"""`invoke verify`: check in advance whether a rollback would work."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from release import config
from release.commands.command_line import CommandContext, choose_environments, parse_whole_number
from release.commands.text import checks
from release.config import Service
from release.deploy.core.image_source import ImageAvailability
from release.deploy.environment.environment import Workspace
from release.deploy.inspection.readiness import Question, assess
from release.deploy.inspection.readiness_report import Readiness, draft_of, verification
from release.git.source import Source
from release.images.engine import Engine
from release.ledger import query
from release.records import Verification

UNAVAILABLE: Final = 6
"""Exit code if a release cannot be restored."""


def verify(cmd: CommandContext) -> int:
    """Check rollbacks, one image or the ledgers, or repair; return the exit code."""
    if cmd.options.repair:
        from release.commands.repair import repair

        return repair(cmd)
    if cmd.options.ledger:
        from release.commands.ledger import verify_ledgers

        return verify_ledgers(cmd)
    return _verify_rebuild(cmd) if cmd.options.rebuild_of is not None else _verify_rollbacks(cmd)


def _verify_rollbacks(cmd: CommandContext) -> int:
    """Check whether the last releases of each environment can be restored; return 6 if one cannot."""
    last, found = _parse_last_option(cmd.options.last), []
    with ImageAvailability(deep=cmd.options.deep) as stock:
        for name in _choose_services(cmd.options.service):
            with cmd.open_workspace(name) as workspace:
                answers = workspace.refresh()
                found += list(_assess_environments(cmd, workspace, stock, last, publish=answers))
    if cmd.options.json:
        cmd.console.print_json([each.to_json() for each in found])
    else:
        _show_readiness(cmd, found)
    return 0 if all(each.ready for each in found) else UNAVAILABLE


def _verify_rebuild(cmd: CommandContext) -> int:
    """Rebuild a released image from its record and compare; return 6 if the content differs."""
    from release.image_rebuild import rebuild_image

    options = cmd.options
    with cmd.open_workspace() as workspace:
        answers = workspace.refresh()
        found = query.find(
            workspace.ledger,
            workspace.service.service,
            options.rebuild_of or "",
            environment=None,
            command=workspace.command,
        )
        with cmd.interruption.held(), Engine.connect() as engine:
            made = rebuild_image(
                workspace, found.release, engine, cmd.interruption.cancellation, keep=options.keep
            )
        if options.record:
            record_verification(workspace, made.verification(), publish=answers)
    if options.json:
        cmd.console.print_json(made.to_json())
    else:
        cmd.console.print_result(checks.rebuild_result_text(made))
    return 0 if made.proven else UNAVAILABLE


def _parse_last_option(text: str | None) -> int | None:
    return (
        None
        if text is None
        else parse_whole_number(text, f"verify the last {text!r} releases", "use --last 5")
    )


def _choose_services(named: str | None) -> list[str]:
    """Return the named service, or all services of the repository. Raise UsageError, ConfigError."""
    with closing(Source.open(Path.cwd())) as source:
        configured = config.load(source.root)
    services: list[Service] = (
        [configured.service(named)] if named is not None else list(configured.services.values())
    )
    return [service.service for service in services]


def _assess_environments(
    cmd: CommandContext, workspace: Workspace, stock: ImageAvailability, last: int | None, *, publish: bool
) -> Iterator[Readiness]:
    options = cmd.options
    question = Question(
        releases=last or workspace.service.retention.releases,
        stock=stock,
        deep=options.deep,
        engine=not options.no_engine,
        secrets=not options.secrets_elsewhere,
        check=cmd.interruption.cancellation.check,
    )
    for environment in choose_environments(workspace, options.environment):
        found = assess(workspace, environment, question)
        if options.record:
            record_verification(workspace, verification(found), publish=publish)
        yield found


def _show_readiness(cmd: CommandContext, found: list[Readiness]) -> None:
    rows = [row for each in found for row in checks.readiness_rows(each)]
    if rows:
        cmd.console.print_table(checks.READINESS, rows)
    for each in found:
        cmd.console.print_result(checks.readiness_line(each))


def record_verification(workspace: Workspace, body: Verification, *, publish: bool = True) -> None:
    """Record a check; without the remote, the record stays in this clone until `invoke sync`."""
    draft = draft_of(workspace, body, randomness.token_hex(6))
    if workspace.ledger.append_events([draft], publish=publish) is None:
        workspace.warn_waiting()
