"""Observation before any decision: what runs, what should, the lock, and an interrupted deployment."""

from __future__ import annotations

import itertools

from semver import Version

from release.deploy.core import lock
from release.deploy.core.instance import Instance, InstanceSet
from release.deploy.core.lock import Holder
from release.deploy.core.place import DEPLOYMENT
from release.deploy.environment import journal
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.identify import look, proven
from release.deploy.environment.journal import Unfinished
from release.ledger import query
from release.ledger.query import Event
from release.records import Record, Release
from release.values import Struct


class Observation(Struct, frozen=True, kw_only=True):
    """State of an environment, as target and ledger showed it together."""

    ours: InstanceSet
    event: Event | None
    """The healthy deployment that really runs, if the ledger knows it."""
    previous: Event | None
    """Deployment that should run, by the ledger."""
    holder: Holder | None
    """Holder of the lock, alive or not."""
    unfinished: Unfinished | None
    """Interrupted deployment."""
    left: Record[Release] | None
    """The release that is gone away from: the one that runs, proven; where nothing runs, the one that was
    tried last, or else ran last. None where what runs is no release that this clone knows."""
    running_deployment: Event | None
    """Event of the deployment that made the running release, in the ledger or the lock, with any end."""

    @property
    def abandoned(self) -> Record[Release] | None:
        """Return the release that a rollback quarantines; None after a failed rollback to it."""
        told = self.running_deployment.deployment if self.running_deployment is not None else None
        in_vain = told is not None and told.reason == "rollback" and told.status != "healthy"
        return None if in_vain else self.left


def look_around(live: LiveEnvironment) -> Observation:
    """Return the state of the environment. Raises EngineError, LedgerError."""
    holder, ours = lock.find(live.target.lock_store(), live.place), look(live)
    event, previous = running_event(live, ours), live.current()
    is_open = holder is not None or event is None or len(ours.running) != 1 or bool(ours.stopped)
    unfinished = journal.find(live, ours, holder) if is_open else None
    if ours.running:
        left, told = _serving(live, ours, event, previous, unfinished)
    else:
        told = _last_failed_attempt(live, unfinished) or previous
        left = live.release_of(told)
    return Observation(
        ours=ours,
        event=event if _is_of(event, left) else None,
        previous=previous,
        holder=holder,
        unfinished=unfinished,
        left=left,
        running_deployment=told,
    )


def last_good(live: LiveEnvironment, observation: Observation) -> str:
    """Return the target of a rollback without `--to`.

    Usually what ran healthy before the current release. Where something else runs than the last healthy
    release, or the last attempt left nothing, it is that one, unless it is set aside. Where an earlier one
    runs again, another clone rolled back: it is what was healthy before that one, and never a way forward.
    """
    current = observation.previous
    if current is None or _is_current(live, observation, current):
        return "previous"
    if _is_earlier(live, observation, current):
        return _before_left(live, observation) or "previous"
    return "-0" if _stands(live, current) else "previous"


def _stands(live: LiveEnvironment, event: Event) -> bool:
    """Return whether the release of a deployment is not quarantined here."""
    ledger, place = live.workspace.ledger, live.place
    return query.active_quarantine(ledger, place.service, event.deployment.release, place.environment) is None


def _is_earlier(live: LiveEnvironment, observation: Observation, current: Event) -> bool:
    """Return whether a lower version than the last healthy one runs, without a failed attempt at it."""
    expected, left = live.release_of(current), observation.left
    tried = (
        observation.running_deployment is not None
        and observation.running_deployment.deployment.status != "healthy"
    )
    if expected is None or left is None or tried:
        return False
    return Version.parse(left.body.version) < Version.parse(expected.body.version)


def _before_left(live: LiveEnvironment, observation: Observation) -> str | None:
    """Return the version that was healthy before the replaced one, the last time that one was healthy."""
    events = query.last_run_of_each_release(live.workspace.ledger, live.place.service, live.place.environment)
    older = itertools.dropwhile(lambda event: not _is_of(event, observation.left), events)
    standing = (live.release_of(event) for event in itertools.islice(older, 1, None) if _stands(live, event))
    return next((release.body.version for release in standing if release is not None), None)


def _is_of(event: Event | None, release: Record[Release] | None) -> bool:
    return event is not None and release is not None and event.deployment.release == release.id


def _is_current(live: LiveEnvironment, observation: Observation, current: Event) -> bool:
    """Return whether the last healthy release runs, without a later failed attempt at it."""
    if not _is_of(current, observation.left):
        return False
    return observation.event is not None or _last_failed_attempt(live, observation.unfinished) is None


def running_event(live: LiveEnvironment, ours: InstanceSet) -> Event | None:
    """Return the healthy deployment in the serving containers' labels, if the ledger has it."""
    names = {container.labels.get(DEPLOYMENT, "") for container in ours.running}
    return live.event_of(names.pop()) if len(names) == 1 else None


def _serving(
    live: LiveEnvironment,
    ours: InstanceSet,
    event: Event | None,
    previous: Event | None,
    unfinished: Unfinished | None,
) -> tuple[Record[Release] | None, Event | None]:
    """Return the serving release and its deployment; of several the one that the ledger does not expect.

    If no image's id proves a release, a deployment that the ledger has as healthy is accepted.
    """
    expected, likely = live.release_of(previous), live.release_of(event)
    images = {container.image: container for container in ours.running}
    found = [(proven(live, each, likely, expected), each) for each in images.values()]
    known = [(release, container) for release, container in found if release is not None]
    if not known:
        return likely, event
    others = [each for each in known if not _is_of(previous, each[0])]
    release, container = (others or known)[0]
    is_event = _is_of(event, release)
    return release, event if is_event else _last_event_of(live, container, release, unfinished)


def _last_event_of(
    live: LiveEnvironment, container: Instance, release: Record[Release], unfinished: Unfinished | None
) -> Event | None:
    """Return the last event of the deployment in a container's labels; a healthy one has priority."""
    name = container.labels.get(DEPLOYMENT, "")
    every = [each for each in live.events_of(name) if _is_of(each, release)]
    well = [each for each in every if each.deployment.status == "healthy"]
    if every:
        return (well or every)[-1]
    is_its = unfinished is not None and unfinished.started.deployment == name and not unfinished.doubts
    begun = unfinished.event if unfinished is not None and is_its else None
    return begun if _is_of(begun, release) else None


def _last_failed_attempt(live: LiveEnvironment, unfinished: Unfinished | None) -> Event | None:
    """Return the last attempt, if it did not end well."""
    if unfinished is not None and not unfinished.doubts:
        return unfinished.event
    events = query.deployments(live.workspace.ledger, live.place.service, live.place.environment)
    last = next(events, None)
    return last if last is not None and last.deployment.status not in ("healthy", "restored") else None
