"""`invoke sync`, `ledger-rebuild` and `verify --ledger`: publish, rebuild and verify the ledger."""

from __future__ import annotations

import json
import secrets as randomness
from contextlib import closing
from pathlib import Path
from typing import Final

from release import config, ledger_rebuild_plan
from release.commands.command_line import CommandContext, require_confirmation
from release.commands.text import history
from release.deploy.environment.environment import Workspace
from release.deploy.execution.after_deployment import deliver_waiting
from release.deploy.inspection.image_tags import ImageTags
from release.deploy.inspection.readiness_report import draft_of
from release.errors import LedgerError, UsageError
from release.git.source import Source
from release.ledger import outbox
from release.ledger.verify import verify as verify_ledger
from release.records import Note
from release.text.shortening import counted

_SHOWN: Final = 15
"""Largest number of shown commits."""


def sync(cmd: CommandContext) -> int:
    """Publish unpublished events and fetch new records; return the exit code. Raise LedgerUnreachable."""
    with cmd.open_workspace() as workspace:
        if cmd.options.adopt is not None:
            _adopt_rejected_event(cmd, workspace, cmd.options.adopt)
        if not workspace.ledger.refresh() and workspace.ledger.silence is not None:
            raise workspace.ledger.silence
        published = workspace.ledger.sync()
        waiting = len(workspace.ledger.unsynced())
        sent = deliver_waiting(workspace)
    if cmd.options.json:
        cmd.console.print_json({"published": published, "unsynced": waiting})
    else:
        messages = f", {counted(sent, 'webhook message')} sent" if sent else ""
        cmd.console.print_result(f"{published} events published, {waiting} waiting{messages}")
    return 0


def _adopt_rejected_event(cmd: CommandContext, workspace: Workspace, file: str) -> None:
    """Show a rejected event file, ask, and add its event to the unpublished events.

    Raise UsageError if the file does not exist, or holds no event; LedgerError if the event cannot be stored.
    """
    waiting = outbox.Outbox(workspace.source.git_dir)
    path = waiting.refused / Path(file).name
    title = f"adopt the event in {path}"
    try:
        draft = outbox.parse_event(outbox.content_without_seal(outbox.read_event_file(path)), path.name)
    except (outbox.Refused, OSError) as error:
        raise UsageError(title, str(error), f"list the refused events: ls -l {waiting.refused}") from error
    content = draft.at(1, None).to_json()
    hidden = ("schema", "seq", "prev")
    rows = [(key, json.dumps(value)) for key, value in content.items() if key not in hidden]
    cmd.console.print_fields(title, rows)
    require_confirmation(cmd, title)
    waiting.adopt(path, draft)


def verify_ledgers(cmd: CommandContext) -> int:
    """Verify the ledgers from their first commits on; return 1 if there is a violation."""
    source = Source.open(Path.cwd())
    with closing(source):
        configured = config.load(source.root)
        named = cmd.options.service
        services = [configured.service(named)] if named is not None else list(configured.services.values())
        reports = []
        for settings in dict.fromkeys(service.ledger for service in services):
            with ImageTags() as tags:
                reports.append(verify_ledger(source, settings, services=configured.services, witness=tags))
    if cmd.options.json:
        cmd.console.print_json([report.to_json() for report in reports])
    else:
        for report in reports:
            for line in history.report_lines(report):
                cmd.console.print_result(line)
    return 1 if any(report.violations for report in reports) else 0


def ledger_rebuild(cmd: CommandContext) -> int:
    """Rebuild a lost index from the records, or a lost ledger from the images; return the exit code."""
    with cmd.open_workspace() as workspace:
        plan = ledger_rebuild_plan.plan_rebuild(workspace)
        if cmd.options.plan:
            if cmd.options.json:
                cmd.console.print_json(plan.to_json())
            else:
                cmd.console.print_sheet(plan.title, plan.rows)
            return 0
        cmd.console.print_fields(plan.title, plan.rows)
        require_confirmation(cmd, plan.title)
        made = plan.carry_out()
    if cmd.options.json:
        cmd.console.print_json(made)
    else:
        cmd.console.print_result(plan.done)
    return 0


def ledger_checkpoint(cmd: CommandContext) -> int:
    """Sign a checkpoint of the ledger, from which later verifications start; return the exit code."""
    options = cmd.options
    with cmd.open_workspace() as workspace:
        if not options.message:
            raise UsageError(
                "sign a checkpoint of the ledger", "the record needs a reason", "add --message WHY"
            )
        if not workspace.refresh():
            raise workspace.ledger.silence or LedgerError(
                "sign a checkpoint of the ledger",
                "the git remote does not answer",
                "run the command again when the remote answers",
            )
        before, ledger = workspace.ledger.head, workspace.vouching_ledger()
        title = f"vouch for the ledger {ledger} up to {(ledger.head or 'nothing')[:12]}"
        cmd.console.print_fields(title, _checkpoint_rows(workspace, before, ledger.head))
        require_confirmation(cmd, title)
        text = f"vouched for the ledger up to {ledger.head}: {options.message}"
        (record,) = ledger.append([draft_of(workspace, Note(text=text), randomness.token_hex(6))])
    if options.json:
        cmd.console.print_json({"record": record.id, "verified_head": record.envelope.verified_head})
    else:
        cmd.console.print_result(
            f"{record.envelope.verified_head} vouched for by {record.envelope.actor.name}"
        )
    return 0


def _checkpoint_rows(workspace: Workspace, before: str | None, head: str | None) -> list[tuple[str, str]]:
    """Return rows of the commits after the verified head, which the checkpoint covers."""
    after = (f"^{before}",) if before is not None else ()
    form = "--format=%h %an <%ae> %cI %s"
    listed = workspace.source.git.run("log", "--first-parent", form, head or "HEAD", *after, "--")
    lines = listed.text.splitlines()
    shown = [*lines[:_SHOWN], *([f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])]
    return [("verified", (before or "nothing")[:12]), ("commits", "\n".join(shown) or "none")]
