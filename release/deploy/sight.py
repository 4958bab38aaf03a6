"""What there is before anything is decided: what runs, what should, who holds the lock, what is half done."""

from __future__ import annotations

import itertools

from semver import Version

from release.deploy import journal, lock
from release.deploy.docker import DEPLOYMENT, Ours
from release.deploy.journal import Unfinished
from release.deploy.lock import Holder
from release.deploy.proof import look, proven
from release.deploy.site import Site
from release.frozen import Struct
from release.images.engine import ContainerState
from release.ledger import query
from release.ledger.query import Event
from release.records import Record, Release


class Sight(Struct, frozen=True, kw_only=True):
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
    left: Record[Release] | None
    """The release that is gone away from: the one that runs, proven; where nothing runs, the one that was
    tried last, or else ran last. None where what runs is no release that this clone knows."""
    told: Event | None
    """What the ledger, or the lock, says of the deployment that put it there, however that ended."""

    @property
    def abandoned(self) -> Record[Release] | None:
        """Return what a rollback away from here sets aside: not what a rollback went to in vain."""
        told = self.told.deployment if self.told is not None else None
        in_vain = told is not None and told.reason == "rollback" and told.status != "healthy"
        return None if in_vain else self.left


def look_around(site: Site) -> Sight:
    """Ask the target and the ledger. Raises EngineError, LedgerError."""
    holder, ours = lock.find(site.target.keeper(), site.place), look(site)
    event, previous = running_event(site, ours), site.current()
    is_open = holder is not None or event is None or len(ours.running) != 1 or bool(ours.stopped)
    unfinished = journal.find(site, ours, holder) if is_open else None
    if ours.running:
        left, told = _serving(site, ours, event, previous, unfinished)
    else:
        told = _tried(site, unfinished) or previous
        left = site.release_of(told)
    return Sight(
        ours=ours,
        event=event if _is_of(event, left) else None,
        previous=previous,
        holder=holder,
        unfinished=unfinished,
        left=left,
        told=told,
    )


def last_good(site: Site, sight: Sight) -> str:
    """Return what a rollback that names nothing goes back to, as a target.

    Usually what ran healthy before the current release. Where something else runs than the last healthy
    release, or the last attempt left nothing, it is that one, unless it is set aside. Where an earlier one
    runs again, another clone rolled back: it is what was healthy before that one, and never a way forward.
    """
    current = sight.previous
    if current is None or _is_current(site, sight, current):
        return "previous"
    if _is_earlier(site, sight, current):
        return _before_left(site, sight) or "previous"
    return "-0" if _stands(site, current) else "previous"


def _stands(site: Site, event: Event) -> bool:
    """Return whether the release of a deployment is not set aside here."""
    ledger, place = site.desk.ledger, site.place
    return query.quarantined(ledger, place.service, event.deployment.release, place.environment) is None


def _is_earlier(site: Site, sight: Sight, current: Event) -> bool:
    """Whether a lower version than the last healthy one runs, and no attempt at it that did not end well."""
    expected, left = site.release_of(current), sight.left
    tried = sight.told is not None and sight.told.deployment.status != "healthy"
    if expected is None or left is None or tried:
        return False
    return Version.parse(left.body.version) < Version.parse(expected.body.version)


def _before_left(site: Site, sight: Sight) -> str | None:
    """The version that was healthy before the one that is left, the last time that it was."""
    events = query.ran(site.desk.ledger, site.place.service, site.place.environment)
    older = itertools.dropwhile(lambda event: not _is_of(event, sight.left), events)
    standing = (site.release_of(event) for event in itertools.islice(older, 1, None) if _stands(site, event))
    return next((release.body.version for release in standing if release is not None), None)


def _is_of(event: Event | None, release: Record[Release] | None) -> bool:
    return event is not None and release is not None and event.deployment.release == release.id


def _is_current(site: Site, sight: Sight, current: Event) -> bool:
    """Whether what is left is the last healthy release, and no attempt at it again that did not end well."""
    if not _is_of(current, sight.left):
        return False
    return sight.event is not None or _tried(site, sight.unfinished) is None


def running_event(site: Site, ours: Ours) -> Event | None:
    """The deployment that the serving containers say they are, if the ledger knows it as healthy."""
    names = {container.labels.get(DEPLOYMENT, "") for container in ours.running}
    return site.event_of(names.pop()) if len(names) == 1 else None


def _serving(
    site: Site, ours: Ours, event: Event | None, previous: Event | None, unfinished: Unfinished | None
) -> tuple[Record[Release] | None, Event | None]:
    """The release that serves, and its deployment; of several the one that the ledger does not expect.

    Where no image's id proves one, a deployment that the ledger knows as healthy is believed.
    """
    expected, likely = site.release_of(previous), site.release_of(event)
    images = {container.image: container for container in ours.running}
    found = [(proven(site, each, likely, expected), each) for each in images.values()]
    known = [(release, container) for release, container in found if release is not None]
    if not known:
        return likely, event
    others = [each for each in known if not _is_of(previous, each[0])]
    release, container = (others or known)[0]
    is_event = _is_of(event, release)
    return release, event if is_event else _told(site, container, release, unfinished)


def _told(
    site: Site, container: ContainerState, release: Record[Release], unfinished: Unfinished | None
) -> Event | None:
    """The last that was said of the deployment in a container's labels; that it was healthy goes first."""
    name = container.labels.get(DEPLOYMENT, "")
    every = [each for each in site.events_of(name) if _is_of(each, release)]
    well = [each for each in every if each.deployment.status == "healthy"]
    if every:
        return (well or every)[-1]
    is_its = unfinished is not None and unfinished.started.deployment == name and not unfinished.doubts
    begun = unfinished.event if unfinished is not None and is_its else None
    return begun if _is_of(begun, release) else None


def _tried(site: Site, unfinished: Unfinished | None) -> Event | None:
    """The last attempt, where it did not end well."""
    if unfinished is not None and not unfinished.doubts:
        return unfinished.event
    events = query.deployments(site.desk.ledger, site.place.service, site.place.environment)
    last = next(events, None)
    return last if last is not None and last.deployment.status not in ("healthy", "restored") else None
