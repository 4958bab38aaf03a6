"""`invoke verify`: whether a rollback would work, asked before it has to."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from release import config
from release.commands.door import Door, environments, number
from release.config import Service
from release.deploy import outlook
from release.deploy.readiness import Question, Readiness, assess, draft_of, verification
from release.deploy.site import Desk
from release.deploy.stock import Stock
from release.images.engine import Engine
from release.ledger import query
from release.records import Verification
from release.source import Source

UNAVAILABLE: Final = 6
"""The exit status for what cannot be gone back to."""


def verify(door: Door) -> int:
    """Prove that rollbacks would work, or one image, or the ledgers; or add what is missing."""
    if door.words.repair:
        from release.commands.repair import repair

        return repair(door)
    if door.words.ledger:
        from release.commands.ledger import verify_ledgers

        return verify_ledgers(door)
    return _rebuild(door) if door.words.rebuild is not None else _readiness(door)


def _readiness(door: Door) -> int:
    """Could the last releases of every environment be put back now? 6 where one could not."""
    last, found = _last(door.words.last), []
    with Stock(deep=door.words.deep) as stock:
        for name in _services(door.words.service):
            with door.desk(name) as desk:
                answers = desk.refresh()
                found += list(_assessed(door, desk, stock, last, publish=answers))
    if door.words.json:
        door.console.document([each.to_json() for each in found])
    else:
        _show(door, found)
    return 0 if all(each.ready for each in found) else UNAVAILABLE


def _rebuild(door: Door) -> int:
    """Can a released image be made again from its record? 6 where the content is another."""
    from release.remake import remake

    words = door.words
    with door.desk() as desk:
        answers = desk.refresh()
        found = query.find(
            desk.ledger, desk.service.service, words.rebuild or "", environment=None, command=desk.command
        )
        with door.interruption.held(), Engine.connect() as engine:
            made = remake(desk, found.release, engine, door.interruption.cancellation, keep=words.keep)
        if words.record:
            keep(desk, made.verification(), publish=answers)
    if words.json:
        door.console.document(made.to_json())
    else:
        door.console.result(outlook.rebuild_text(made))
    return 0 if made.proven else UNAVAILABLE


def _last(text: str | None) -> int | None:
    return None if text is None else number(text, f"verify the last {text!r} releases", "use --last 5")


def _services(named: str | None) -> list[str]:
    """Every service of the repository, or the one that is named. Raises UsageError, ConfigError."""
    with closing(Source.open(Path.cwd())) as source:
        configured = config.load(source.root)
    services: list[Service] = (
        [configured.service(named)] if named is not None else list(configured.services.values())
    )
    return [service.service for service in services]


def _assessed(
    door: Door, desk: Desk, stock: Stock, last: int | None, *, publish: bool
) -> Iterator[Readiness]:
    words = door.words
    question = Question(
        releases=last or desk.service.retention.releases,
        stock=stock,
        deep=words.deep,
        engine=not words.no_engine,
        secrets=not words.secrets_elsewhere,
        check=door.interruption.cancellation.check,
    )
    for environment in environments(desk, words.environment):
        found = assess(desk, environment, question)
        if words.record:
            keep(desk, verification(found), publish=publish)
        yield found


def _show(door: Door, found: list[Readiness]) -> None:
    rows = [row for each in found for row in outlook.readiness_rows(each)]
    if rows:
        door.console.table(outlook.READINESS, rows)
    for each in found:
        door.console.result(outlook.readiness_line(each))


def keep(desk: Desk, body: Verification, *, publish: bool = True) -> None:
    """Put a check into the ledger; where the remote does not answer it waits in this clone."""
    draft = draft_of(desk, body, randomness.token_hex(6))
    if desk.ledger.append_event(draft, publish=publish) is None:
        desk.warn_waiting()
