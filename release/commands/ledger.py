"""`invoke sync`, `ledger-rebuild` and `verify --ledger`: the ledger itself."""

from __future__ import annotations

import json
import secrets as randomness
from contextlib import closing
from pathlib import Path
from typing import Final

from release import config, recovery
from release.commands.door import Door, agree
from release.deploy import view
from release.deploy.imagetags import ImageTags
from release.deploy.readiness import draft_of
from release.deploy.site import Desk
from release.errors import LedgerError, UsageError
from release.ledger import outbox
from release.ledger.verify import verify as verify_ledger
from release.records import Note
from release.source import Source

_SHOWN: Final = 15
"""How many commits a person is shown."""


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
                reports.append(verify_ledger(source, settings, services=configured.services, witness=tags))
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


def ledger_checkpoint(door: Door) -> int:
    """Vouch with a signature for the ledger so far: later proofs of signatures begin there."""
    words = door.words
    with door.desk() as desk:
        if not words.message:
            raise UsageError("vouch for the ledger", "the record needs to say why", "add --message WHY")
        if not desk.refresh():
            raise desk.ledger.silence or LedgerError("vouch for the ledger", "its remote does not answer")
        before, ledger = desk.ledger.head, desk.vouching_ledger()
        title = f"vouch for the ledger {ledger} up to {(ledger.head or 'nothing')[:12]}"
        door.console.fields(title, _vouched_rows(desk, before, ledger.head))
        agree(door, title)
        text = f"vouched for the ledger up to {ledger.head}: {words.message}"
        (record,) = ledger.append([draft_of(desk, Note(text=text), randomness.token_hex(6))])
    if words.json:
        door.console.document({"record": record.id, "verified_head": record.envelope.verified_head})
    else:
        door.console.result(f"{record.envelope.verified_head} vouched for by {record.envelope.actor.name}")
    return 0


def _vouched_rows(desk: Desk, before: str | None, head: str | None) -> list[tuple[str, str]]:
    """Return what a person vouches for: the commits after the verified head."""
    after = (f"^{before}",) if before is not None else ()
    form = "--format=%h %an <%ae> %cI %s"
    listed = desk.source.plumbing.run("log", "--first-parent", form, head or "HEAD", *after, "--")
    lines = listed.text.splitlines()
    shown = [*lines[:_SHOWN], *([f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])]
    return [("verified", (before or "nothing")[:12]), ("commits", "\n".join(shown) or "none")]
