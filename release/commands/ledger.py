"""`invoke sync`, `ledger-rebuild` and `verify --ledger`: the ledger itself."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from release import config, recovery
from release.commands.door import Door, agree
from release.deploy import view
from release.deploy.imagetags import ImageTags
from release.ledger.verify import verify as verify_ledger
from release.source import Source


def sync(door: Door) -> int:
    """Publish events that were kept here, and fetch what others recorded. Raises LedgerUnreachable."""
    with door.desk() as desk:
        if not desk.ledger.refresh() and desk.ledger.silence is not None:
            raise desk.ledger.silence
        published = desk.ledger.sync()
        waiting = len(desk.ledger.unsynced())
    if door.words.json:
        door.console.document({"published": published, "unsynced": waiting})
    else:
        door.console.result(f"{published} events published, {waiting} waiting")
    return 0


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
