"""`invoke sync`, `ledger-rebuild` and `verify --ledger`: the ledger itself."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from release import config, recovery
from release.commands.door import Door, agree
from release.deploy import view
from release.deploy.imagetags import ImageTags
from release.deploy.site import Desk
from release.errors import UsageError
from release.ledger import outbox
from release.ledger.verify import verify as verify_ledger
from release.source import Source


def sync(door: Door) -> int:
    """Publish events that were kept here, and fetch what others recorded. Raises LedgerUnreachable."""
    with door.desk() as desk:
        if door.words.adopt is not None:
            _adopt(door, desk, door.words.adopt)
        if not desk.ledger.refresh() and desk.ledger.silence is not None:
            raise desk.ledger.silence
        published = desk.ledger.sync()
        waiting = len(desk.ledger.unsynced())
    if door.words.json:
        door.console.document({"published": published, "unsynced": waiting})
    else:
        door.console.result(f"{published} events published, {waiting} waiting")
    return 0


def _adopt(door: Door, desk: Desk, file: str) -> None:
    """Show an event that was put aside, and keep it if a person says that it is good.

    Raises UsageError: there is no such file, or it holds no event. LedgerError: it cannot be kept.
    """
    waiting = outbox.Outbox(desk.source.git_dir)
    path = waiting.refused / Path(file).name
    title = f"adopt the event in {path}"
    try:
        draft = outbox.event_in(outbox.unsealed(outbox.content_of(path)), path.name)
    except (outbox.Refused, OSError) as error:
        raise UsageError(title, str(error), f"ls -l {waiting.refused}") from error
    content = draft.at(1, None).to_json()
    hidden = ("schema", "seq", "prev")
    rows = [(key, json.dumps(value)) for key, value in content.items() if key not in hidden]
    door.console.fields(title, rows)
    agree(door, title)
    waiting.adopt(path, draft)


def verify_ledgers(door: Door) -> int:
    """From their first commits on; 1 where something is wrong."""
    source = Source.open(Path.cwd())
    with closing(source):
        configured = config.load(source.root)
        named = door.words.service
        services = [configured.service(named)] if named is not None else list(configured.services.values())
        reports = []
        for settings in dict.fromkeys(service.ledger for service in services):
            with ImageTags() as tags:
                reports.append(verify_ledger(source, settings, witness=tags))
    if door.words.json:
        door.console.document([report.to_json() for report in reports])
    else:
        for report in reports:
            for line in view.report_lines(report):
                door.console.result(line)
    return 1 if any(report.violations for report in reports) else 0


def ledger_rebuild(door: Door) -> int:
    """Make again what the ledger lost: its index, or when it is gone the releases themselves."""
    with door.desk() as desk:
        plan = recovery.plan(desk)
        if door.words.plan:
            if door.words.json:
                door.console.document(plan.to_json())
            else:
                door.console.sheet(plan.title, plan.rows)
            return 0
        door.console.fields(plan.title, plan.rows)
        agree(door, plan.title)
        made = plan.carry_out()
    if door.words.json:
        door.console.document(made)
    else:
        door.console.result(plan.done)
    return 0
