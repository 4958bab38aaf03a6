"""What there is before anything is decided: what runs, what should, who holds the lock, what is half done."""

from __future__ import annotations

from dataclasses import dataclass

from release.deploy import journal, lock
from release.deploy.docker import DEPLOYMENT, Ours
from release.deploy.journal import Unfinished
from release.deploy.lock import Holder
from release.deploy.site import Site
from release.ledger import query
from release.ledger.query import Event


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What was found, at one moment."""

    ours: Ours
    event: Event | None
    """The healthy deployment that really runs, if the ledger knows it."""
    previous: Event | None
    """What the ledger says should be running."""
    holder: Holder | None
    """Of the lock, alive or not."""
    unfinished: Unfinished | None
    """What was begun and never ended."""


def look_around(site: Site) -> Sight:
    """Ask the target and the ledger. Raises EngineError, LedgerError."""
    holder, ours = lock.find(site.target.keeper(), site.place), site.target.look()
    event = running_event(site, ours)
    is_open = holder is not None or event is None or len(ours.running) != 1 or bool(ours.stopped)
    return Sight(
        ours=ours,
        event=event,
        previous=site.current(),
        holder=holder,
        unfinished=journal.find(site, ours, holder) if is_open else None,
    )


def last_good(site: Site, sight: Sight) -> str:
    """What a rollback that names nothing goes back to, as a target.

    Usually what ran healthy before the current release. Where the last attempt left something else
    running than the last healthy release, or nothing, it is that one.
    """
    if sight.event is not None:
        return "previous"
    events = query.deployments(site.desk.ledger, site.place.service, site.place.environment)
    last = next(events, None)
    failed = last is not None and last.deployment.status not in ("healthy", "restored")
    return "-0" if failed or sight.unfinished is not None else "previous"


def running_event(site: Site, ours: Ours) -> Event | None:
    """The deployment that the serving containers say they are, if the ledger knows it as healthy."""
    names = {container.labels.get(DEPLOYMENT, "") for container in ours.running}
    return site.event_of(names.pop()) if len(names) == 1 else None
