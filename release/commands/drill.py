"""`invoke drill`: a rollback rehearsed beside what runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from release.commands.door import Door
from release.commands.verify import keep
from release.deploy import outlook
from release.deploy.drill import Conditions, Drilled, Rehearsal, failed, prepare_drill
from release.deploy.drill import drill as run_drill
from release.deploy.rollout import elapsed_ms
from release.deploy.site import Desk, Site
from release.deploy.swarm import drill as in_swarm
from release.errors import Cancelled, ReleaseError, UsageError
from release.events import Emit, Notice
from release.ledger import query
from release.process import Cancellation


def drill(door: Door) -> int:
    """Rehearse a rollback beside what runs, and record how long it took."""
    began, words = time.monotonic(), door.words
    with door.desk() as desk, desk.site(words.environment) as site:
        answers = desk.refresh()
        service, place = desk.service.service, site.place
        found = query.find(
            desk.ledger, service, words.to or "previous", environment=place.environment, command=place.command
        )
        for note in found.notes:
            door.console.emit(Notice(text=note))
        conditions = Conditions(secrets=words.with_secrets, networks=words.with_networks)
        with _ground(desk, site, words.on or site.settings.drill_on) as ground:
            rehearsal: Rehearsal
            if ground.settings.engine == "swarm":
                rehearsal = in_swarm.prepare(site, ground, found.release, found.event, conditions)
            else:
                rehearsal = prepare_drill(site, ground.engine, found.release, found.event, conditions)
            door.console.hide(rehearsal.secrets.values())
            _announce(door, rehearsal)
            drilled = _drilled(door, desk, rehearsal, lambda: elapsed_ms(began), publish=answers)
    if words.json:
        door.console.document(drilled.to_json())
    else:
        door.console.result(outlook.drill_line(drilled))
    return 0


@contextmanager
def _ground(desk: Desk, site: Site, other: str | None) -> Iterator[Site]:
    """Return where the rehearsal is: the environment itself, or another one."""
    if other is None or other == site.place.environment:
        yield site
        return
    with desk.site(other) as elsewhere:
        yield elsewhere


def _announce(door: Door, rehearsal: Rehearsal) -> None:
    """Say what will be done. Real secrets or networks need a yes: the service then acts with them."""
    title = outlook.drill_title(rehearsal)
    door.console.fields(title, outlook.drill_rows(rehearsal))
    words, real = door.words, rehearsal.conditions
    if not (real.secrets or real.networks) or words.yes:
        return
    if not door.console.interactive:
        raise UsageError(title, "with real secrets or networks it acts like the real one", "add --yes")
    if not door.console.confirm(f"{title}?"):
        raise Cancelled(title, "you did not say yes; nothing was started")


def _drilled(
    door: Door, desk: Desk, rehearsal: Rehearsal, elapsed: Callable[[], int], *, publish: bool
) -> Drilled:
    """Carry it out and record it, however it ends; one that was cancelled says nothing."""
    interruption = door.interruption
    with interruption.held():
        try:
            drilled = _run(rehearsal, desk.emit, interruption.cancellation, elapsed)
        except Cancelled:
            raise
        except ReleaseError as error:
            if not door.words.no_record:
                keep(desk, failed(rehearsal, error, elapsed()), publish=publish)
            raise
        if not door.words.no_record:
            keep(desk, drilled.verification(), publish=publish)
    return drilled


def _run(rehearsal: Rehearsal, emit: Emit, cancellation: Cancellation, elapsed: Callable[[], int]) -> Drilled:
    if isinstance(rehearsal, in_swarm.SwarmRehearsal):
        return in_swarm.drill(rehearsal, emit, cancellation, elapsed)
    return run_drill(rehearsal, emit, cancellation, elapsed)
