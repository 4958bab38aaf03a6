"""What the invoke tasks do. Imported when one of them runs: it needs everything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from release.console import Console
from release.deploy import view
from release.deploy.doctor import examine
from release.deploy.interruption import Interruption
from release.deploy.operation import Outcome, carry_out, event_json, prepare
from release.deploy.plan import Plan, Reason
from release.deploy.site import Desk, Site
from release.deploy.status import read_status
from release.errors import Cancelled, LedgerError, UsageError
from release.events import Notice
from release.ledger import query
from release.records import Body, Deployment, Draft, Record, Release


@dataclass(frozen=True, kw_only=True)
class Words:
    """What the command line says."""

    to: str | None = None
    service: str | None = None
    environment: str | None = None
    message: str = ""
    yes: bool = False
    plan: bool = False
    json: bool = False
    limit: str = "20"

    @property
    def count(self) -> int:
        """The limit as a number. Raises UsageError."""
        if not self.limit.isdecimal() or int(self.limit) < 1:
            raise UsageError(f"list {self.limit!r} records", "that is not a number above 0", "use --limit 20")
        return int(self.limit)


@dataclass(frozen=True, kw_only=True)
class Door:
    """What every command works with."""

    words: Words
    console: Console
    interruption: Interruption

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        """The service's repository, found from the folder where the command runs."""
        opened = Desk.open(Path.cwd(), self.words.service, environ=os.environ, emit=self.console.emit)
        with opened as desk:
            yield desk


def deploy(door: Door) -> int:
    """Deploy `--to`."""
    if door.words.to is None:
        with door.desk() as desk:
            raise _nothing_named(desk)
    return _change(door, "promote", door.words.to)


def rollback(door: Door) -> int:
    """Roll back to `--to`, or to the last release that was healthy before."""
    return _change(door, "rollback", door.words.to or "previous")


def _nothing_named(desk: Desk) -> UsageError:
    newest = next(query.releases(desk.ledger, desk.service.service), None)
    example = newest.body.version if newest is not None else "0.1.0"
    return UsageError(
        "deploy", "--to is missing", f"invoke deploy --to {example}; `invoke history` lists releases"
    )


def _change(door: Door, why: Reason, to: str) -> int:
    """Resolve, prepare, show, ask, carry out, tell."""
    words, console = door.words, door.console
    with door.desk() as desk, desk.site(words.environment) as site:
        answers = desk.refresh()
        target = query.resolve(desk.ledger, site.place.service, to, environment=site.place.environment)
        prepared = prepare(site, target, why, answers=answers)
        console.hide(prepared.secrets.values())
        if words.plan:
            _show_plan(door, prepared.plan)
            return 0
        console.fields(view.plan_title(prepared.plan), view.plan_rows(prepared.plan))
        if prepared.plan.strategy != "verify":
            _agree(door, prepared.plan)
        outcome = carry_out(prepared, message=words.message, interruption=door.interruption)
        _tell(door, site, outcome)
    return 0


def _show_plan(door: Door, plan: Plan) -> None:
    if door.words.json:
        door.console.document(plan.to_json())
    else:
        door.console.sheet(view.plan_title(plan), view.plan_rows(plan))


def _agree(door: Door, plan: Plan) -> None:
    """A person says yes, or the command line did. Raises UsageError, Cancelled."""
    if door.words.yes:
        return
    if not door.console.interactive:
        raise UsageError(
            view.plan_title(plan), "there is no terminal to ask on, and nothing was touched", "add --yes"
        )
    if not door.console.confirm(f"{view.plan_title(plan)}?"):
        raise Cancelled(view.plan_title(plan), "you did not say yes; nothing was touched")


def _tell(door: Door, site: Site, outcome: Outcome) -> None:
    """The result; after a rollback, the command that undoes it."""
    if door.words.json:
        door.console.document(outcome.record)
    else:
        door.console.result(view.outcome_line(outcome))
    before = outcome.plan.before
    if outcome.changed and outcome.plan.reason == "rollback" and before is not None:
        door.console.emit(Notice(text=f"to undo this: {undo(site, before.version)}"))


def undo(site: Site, version: str) -> str:
    """The command that puts a version back with the settings it ran with, for this environment."""
    words = ["invoke rollback", f"--to {version}"]
    if len(site.desk.config.services) > 1:
        words.append(f"--service {site.place.service}")
    if len(site.desk.service.environments) > 1:
        words.append(f"--environment {site.place.environment}")
    return " ".join(words)


def status(door: Door) -> int:
    """What really runs."""
    with door.desk() as desk, desk.site(door.words.environment) as site:
        desk.refresh()
        found = read_status(site)
    if door.words.json:
        door.console.document(found.to_json())
    else:
        door.console.sheet(f"{found.service} in {found.environment}", view.status_rows(found))
    return 0


def history(door: Door) -> int:
    """What was released, deployed and rolled back, newest first."""
    count = door.words.count
    with door.desk() as desk:
        desk.refresh()
        entries = _entries(desk, door.words.environment)
        if door.words.json:
            door.console.document([_json(entry) for entry in islice(entries, count)])
        else:
            version = _versions(desk)
            door.console.table(
                view.HISTORY,
                [view.history_row(entry, version(entry.body)) for entry in islice(_ended(entries), count)],
            )
    return 0


def _entries(desk: Desk, environment: str | None) -> Iterator[view.Entry]:
    """Events that wait to be published, then the ledger."""
    if environment is not None:
        desk.service.environment(environment)
    service = desk.service.service
    waiting = [draft for draft in reversed(desk.ledger.unsynced()) if draft.service == service]
    entries: Iterator[view.Entry] = chain(waiting, query.history(desk.ledger, service))
    for entry in entries:
        body = entry.body
        if environment is None or (isinstance(body, Deployment) and body.environment == environment):
            yield entry


def _ended(entries: Iterator[view.Entry]) -> Iterator[view.Entry]:
    """One entry for each deployment: its end; its start only where no end is known. Newest first."""
    seen: set[str] = set()
    for entry in entries:
        body = entry.body
        if not isinstance(body, Deployment):
            yield entry
        elif body.deployment not in seen:
            seen.add(body.deployment)
            yield entry


def _json(entry: Record[Body] | Draft[Body]) -> dict[str, Any]:
    if isinstance(entry, Record):
        return {"id": entry.id, **entry.to_json()}
    return event_json(entry, None)


def _versions(desk: Desk) -> Any:
    """A function that names the version a record is about; each release is read once."""

    @cache
    def of_release(record: str) -> str:
        try:
            body = desk.ledger.record(record).body
        except LedgerError:
            return "?"
        return body.version if isinstance(body, Release) else "?"

    def of(body: Body) -> str:
        if isinstance(body, Release):
            return body.version
        return of_release(body.release) if isinstance(body, Deployment) else ""

    return of


def show(door: Door) -> int:
    """One release. invoke takes what follows `show` as its argument, an option too."""
    target = door.words.to or ""
    if target.startswith("-"):
        raise UsageError(f"show {target!r}", "that is an option, not a release", "invoke --help show")
    with door.desk() as desk:
        desk.refresh()
        name = door.words.environment
        if name is None and len(desk.service.environments) == 1:
            name = next(iter(desk.service.environments))
        record = query.resolve(desk.ledger, desk.service.service, target, environment=name)
    if door.words.json:
        door.console.document(_json(record))
    else:
        title = f"{record.envelope.service} {record.body.version}"
        door.console.sheet(title, view.release_rows(record))
    return 0


def sync(door: Door) -> int:
    """Publish events that were kept here."""
    with door.desk() as desk:
        published = desk.ledger.sync()
        waiting = len(desk.ledger.unsynced())
    if door.words.json:
        door.console.document({"published": published, "unsynced": waiting})
    else:
        door.console.result(f"{published} events published, {waiting} waiting")
    return 0


def doctor(door: Door) -> int:
    """Is everything there?"""
    found = list(examine(Path.cwd(), door.words.service, environ=os.environ, emit=door.console.emit))
    if door.words.json:
        names = ("name", "well", "found", "hint")
        door.console.document([{name: getattr(item, name) for name in names} for item in found])
    else:
        door.console.sheet("doctor", [view.finding_row(item) for item in found])
    return 0 if all(item.well for item in found) else 1
