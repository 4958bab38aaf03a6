"""`invoke status`, `history`, `show`, `diff` and `doctor`: what is, and what was. Nothing is touched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release.commands.door import Door, environment_of, find, target_of
from release.deploy import view
from release.deploy.marks import named
from release.deploy.operation import event_json
from release.deploy.site import Desk
from release.deploy.unconfigured import described, unconfigured
from release.errors import EngineError, LedgerError, NotReady, ReleaseError
from release.events import Notice, Warned
from release.ledger import query
from release.records import Body, Deployment, Draft, Freeze, Quarantine, Record, Release, Verification

if TYPE_CHECKING:
    from release.deploy.status import Status


def status(door: Door) -> int:
    """Return what really runs; 1 where it differs from the ledger and the command line wants to know.

    An engine that cannot be asked hides nothing of the other environments: its error is told, and its exit
    status is given at the end.
    """
    failed: list[ReleaseError] = []
    with door.desk() as desk:
        desk.refresh()
        named = door.words.environment
        every: list[str | None] = [*desk.service.environments]
        names = [named] if named is not None or not every else every
        found = [_status(desk, name, failed) for name in names]
        for other in unconfigured(desk.service, desk.ledger) if named is None else ():
            known = described(desk.service, desk.ledger, other)
            desk.emit(Notice(text=f"{other} is not in the configuration and not shown; {known}"))
    if door.words.json:
        data = [each.to_json() for each in found]
        door.console.document(data[0] if len(data) == 1 else data)
    else:
        for each in found:
            door.console.sheet(f"{each.service} in {each.environment}", view.status_rows(each))
    if failed:
        return max(error.exit_code for error in failed)
    return 1 if door.words.exit_code and any(each.drift for each in found) else 0


def _status(desk: Desk, environment: str | None, failed: list[ReleaseError]) -> Status:
    from release.deploy.status import read_status, unseen_status

    spot = desk.spot(environment)
    try:
        with desk.site(environment) as site:
            return read_status(site)
    except (EngineError, NotReady) as error:
        failed.append(error)
        desk.emit(Warned(text=f"{spot.place}: {error}"))
        return unseen_status(spot, error)


def history(door: Door) -> int:
    """Return what was released, deployed and rolled back, newest first."""
    count = door.words.count
    with door.desk() as desk:
        desk.refresh()
        entries = _entries(desk, door.words.environment, _since(door))
        if door.words.json:
            door.console.document([_json(entry) for entry in islice(entries, count)])
        else:
            version = _versions(desk)
            door.console.table(
                view.HISTORY,
                [view.history_row(entry, version(entry.body)) for entry in islice(_ended(entries), count)],
            )
    return 0


def _since(door: Door) -> str | None:
    """The beginning of the span that is asked for. Raises UsageError."""
    if door.words.since is None:
        return None
    moment = query.read_since(door.words.since, query.Clock())
    door.console.emit(Notice(text=moment.said))
    return moment.text


def _entries(desk: Desk, environment: str | None, since: str | None) -> Iterator[view.Entry]:
    """Events that wait to be published, then the ledger."""
    _known_environment(desk, environment)
    service = desk.service.service
    waiting = (draft for draft in reversed(desk.ledger.unsynced()) if draft.service == service)
    yield from (
        draft for draft in waiting if _is_in(draft, environment) and draft.recorded_at >= (since or "")
    )
    yield from query.history(desk.ledger, service, environment=environment, since=since)


def _known_environment(desk: Desk, environment: str | None) -> None:
    """Tell if an environment has records and no table. Raises UsageError: it has neither."""
    if environment is None:
        return
    if environment in unconfigured(desk.service, desk.ledger):
        text = f"{environment} is not in the configuration: reading its records from the ledger"
        desk.emit(Notice(text=text))
    else:
        desk.service.environment(environment)


def _is_in(draft: Draft[Body], environment: str | None) -> bool:
    body = draft.body
    kinds = Deployment | Freeze | Verification
    return environment is None or (isinstance(body, kinds) and body.environment == environment)


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


def _named(release: Release) -> str:
    return named(release.version, recovered=release.recovered is not None)


def _versions(desk: Desk) -> Any:
    """A function that names the version a record is about; each release is read once."""

    @cache
    def of_release(record: str) -> str:
        try:
            body = desk.ledger.record(record).body
        except LedgerError:
            return "?"
        return _named(body) if isinstance(body, Release) else "?"

    def of(body: Body) -> str:
        if isinstance(body, Release):
            return _named(body)
        if isinstance(body, Verification):
            return of_release(body.releases[0].release) if len(body.releases) == 1 else ""
        return of_release(body.release) if isinstance(body, Deployment | Quarantine) else ""

    return of


def show(door: Door) -> int:
    """One release, or the deployment that was asked for. invoke takes an option, too, for the argument."""
    target = door.words.to or ""
    with door.desk() as desk:
        desk.refresh()
        name = environment_of(door, desk)
        found = find(door, desk, target_of("show", target), name)
        word = query.quarantined(desk.ledger, desk.service.service, found.release.id, name)
        tried = query.tried_out(desk.ledger, desk.service.service, found.release.id)
    if door.words.json:
        door.console.document(_json(found.release))
    else:
        title = f"{found.release.envelope.service} {found.release.body.version}"
        standing = view.standing_rows(found.event, word)
        door.console.sheet(title, [*view.release_rows(found.release), *standing, *view.tried_rows(tried)])
    return 0


def diff(door: Door) -> int:
    """Return what is other in one release than in another."""
    from release.ledger.diff import compare

    targets = [target_of("diff", word or "") for word in (door.words.to, door.words.other)]
    with door.desk() as desk:
        desk.refresh()
        name = environment_of(door, desk)
        before, after = (find(door, desk, target, name) for target in targets)
        found = compare(
            desk.ledger,
            desk.source,
            desk.service.service,
            before,
            after,
            environment=name,
            folder=desk.service.context,
        )
    if door.words.json:
        door.console.document(found.to_json())
    else:
        door.console.sheet(view.difference_title(found), view.difference_rows(found))
    return 0


def doctor(door: Door) -> int:
    """Is everything there?"""
    from release.deploy.doctor import examine

    found = list(examine(Path.cwd(), door.words.service, environ=os.environ, emit=door.console.emit))
    if door.words.json:
        names = ("name", "well", "found", "hint")
        door.console.document([{name: getattr(item, name) for name in names} for item in found])
    else:
        door.console.sheet("doctor", [view.finding_row(item) for item in found])
    return 0 if all(item.well for item in found) else 1
