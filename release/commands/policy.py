"""`invoke quarantine`, `freeze` and `thaw`: what an operator has recorded about releases and environments."""

from __future__ import annotations

import secrets as randomness

from release.actor import TOOL, now
from release.commands.door import Door, environment_of, find, target_of
from release.deploy.operation import event_json
from release.deploy.policy import after
from release.deploy.site import Desk
from release.errors import UsageError
from release.ledger import query
from release.records import Body, Draft, Freeze, Quarantine, Record, Release
from release.runspec import parse_duration


def quarantine(door: Door) -> int:
    """Set a release aside, or end that."""
    words = door.words
    if not words.message:
        raise UsageError("quarantine a release", "the record needs to say why", "add --message WHY")
    with door.desk() as desk:
        desk.refresh()
        if words.environment is not None:
            desk.service.environment(words.environment)
        found = find(door, desk, target_of("quarantine", words.to or ""), environment_of(door, desk))
        _say(door, desk, found.release)
    return 0


def _say(door: Door, desk: Desk, release: Record[Release]) -> None:
    """Record the word on a release, and tell it. Lifting what does not hold changes nothing."""
    words, service = door.words, desk.service.service
    where = words.environment or "every environment"
    if words.lift and query.quarantined(desk.ledger, service, release.id, words.environment) is None:
        _unchanged(door, f"{service} {release.body.version} is not quarantined in {where}")
        return
    body = Quarantine(
        release=release.id, environment=words.environment, message=words.message, lifted=words.lift
    )
    done = "may be deployed again" if words.lift else "is quarantined"
    _record(door, desk, body, f"{service} {release.body.version} {done} in {where}: {words.message}")


def _unchanged(door: Door, sentence: str) -> None:
    """Tell that there was nothing to record: as data, nothing."""
    if door.words.json:
        door.console.document(None)
    else:
        door.console.result(sentence)


def _record(door: Door, desk: Desk, body: Body, sentence: str) -> None:
    """Record a word of the operator, and tell it."""
    draft: Draft[Body] = Draft(
        service=desk.service.service,
        recorded_at=now(),
        actor=desk.actor,
        run=desk.run(randomness.token_hex(6)),
        tool=TOOL,
        body=body,
    )
    record = desk.ledger.append_event(draft)
    if record is None:
        desk.warn_waiting()
    if door.words.json:
        door.console.document(event_json(draft, record))
    else:
        door.console.result(sentence)


def freeze(door: Door) -> int:
    """Refuse deployments to an environment, for a while or until it is thawed."""
    words = door.words
    if not words.message:
        raise UsageError("freeze an environment", "the record needs to say why", "add --message WHY")
    until = after(now(), _span(words.until)) if words.until is not None else None
    with door.desk() as desk:
        desk.refresh()
        place = desk.spot(words.environment).place
        end = f"until {until[:19]}Z" if until is not None else "until it is thawed"
        body = Freeze(environment=place.environment, message=words.message, until=until)
        _record(door, desk, body, f"{place} is frozen {end}: {words.message}")
    return 0


def _span(text: str) -> int:
    """Milliseconds of a time such as "2h". Raises UsageError."""
    try:
        span = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"freeze for {text!r}", str(error), "use --for 2h") from error
    assert isinstance(span, int)  # noqa: S101 - what `parse_duration` makes of text
    return span


def thaw(door: Door) -> int:
    """Take deployments again. Where nothing is frozen, nothing changes."""
    words = door.words
    if not words.message:
        raise UsageError("thaw an environment", "the record needs to say why", "add --message WHY")
    with door.desk() as desk:
        desk.refresh()
        place = desk.spot(words.environment).place
        if query.frozen(desk.ledger, place.service, place.environment, now()) is None:
            _unchanged(door, f"{place} is not frozen")
            return 0
        body = Freeze(environment=place.environment, message=words.message, thawed=True)
        _record(door, desk, body, f"{place} takes deployments again: {words.message}")
    return 0
