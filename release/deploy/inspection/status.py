"""State of an environment, compared with the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from release.actor import utc_now_text
from release.deploy.core import lock
from release.deploy.core.instance import CommandInstance, Instance, InstanceSet, Placed
from release.deploy.core.lock import Holder
from release.deploy.core.place import DEPLOYMENT, VERSION, describe
from release.deploy.environment import journal
from release.deploy.environment.environment import EnvironmentRef, LiveEnvironment
from release.deploy.environment.identify import look, proven, stranger_notices
from release.deploy.environment.journal import Unfinished
from release.deploy.environment.recorded_settings import recorded_settings_drift
from release.deploy.inspection.maintenance import read_maintenance
from release.deploy.inspection.replica_counts import (
    count_differences,
    each_described,
    too_many,
    unique,
    wanted_by,
)
from release.deploy.inspection.restarts import restarted
from release.deploy.planning import migration_containers
from release.deploy.planning.data_changes import EarlierChange, earlier_change
from release.errors import LockHeld, ReleaseError
from release.ledger import query
from release.ledger.query import Event
from release.records import Record, Release
from release.runspec import RunSpec
from release.values import Struct, plain


class Running(Struct, frozen=True, kw_only=True):
    """One serving container. `digest` is the released manifest that it is proven to run, if any."""

    container: str
    version: str | None
    recovered: bool
    """True: the record of that release was recovered from its image."""
    digest: str | None
    image: str
    """The image's id in the engine's store."""
    deployment: str | None
    status: str
    health: str
    started_at: str
    restarts: int
    process: str = ""
    """Process that it runs; empty if the environment runs one."""


class Expected(Struct, frozen=True, kw_only=True):
    """The last deployment that was verified healthy."""

    version: str | None
    recovered: bool
    """True: the record of that release was recovered from its image."""
    digest: str
    deployment: str
    moment: str
    who: str
    message: str
    group: str | None = None
    """Services that were deployed together with it."""


class Status(Struct, frozen=True, kw_only=True):
    """State of one environment: running and expected release, differences, and open work."""

    service: str
    environment: str
    engine: str | None
    """Its address; None where it could not be asked, and what runs is not known."""
    running: Running | None
    """The first of them."""
    replicas: tuple[Running, ...]
    """All that serve."""
    expected: Expected | None
    drift: tuple[str, ...]
    leftovers: tuple[str, ...]
    lock: str | None
    freeze: str | None
    """Freeze of the environment."""
    quarantine: str | None
    """Quarantine of the release that runs."""
    unfinished: str | None
    """Interrupted deployment whose lock has no holder any more."""
    unsynced: int
    tasks: tuple[Placed, ...] = ()
    """Of a service in a cluster: every one that may run, and where."""
    migrations: str | None = None
    """Undone migrations after which no release was verified healthy."""
    update: str | None = None
    """State of a cluster's last update, if it is not completed."""
    strangers: tuple[str, ...] = ()
    """Containers with our labels that nothing proves to be of a deployment; they are left alone."""
    maintenance: str | None = None
    """Stop for maintenance that holds: since when, by whom and why. Nothing should run then."""
    operation: str | None = None
    """Operation whose operator died before its end, or that goes on."""

    def to_json(self) -> dict[str, Any]:
        """Return the status as JSON data."""
        return plain(self)


def unseen_status(env_ref: EnvironmentRef, error: ReleaseError) -> Status:
    """Return the status of an environment whose engine does not answer, from the ledger."""
    event = env_ref.current()
    return Status(
        service=env_ref.place.service,
        environment=env_ref.place.environment,
        engine=None,
        running=None,
        replicas=(),
        expected=_expected(event, env_ref.release_of(event)) if event is not None else None,
        drift=(f"cannot {error.attempted}: {error.found}",),
        leftovers=(),
        lock=None,
        freeze=_frozen(env_ref),
        quarantine=_quarantine(env_ref, event),
        unfinished=None,
        unsynced=len(env_ref.workspace.ledger.unsynced()),
        maintenance=read_maintenance(env_ref).text,
    )


def read_status(live: LiveEnvironment) -> Status:
    """Return the status, from engine and ledger. Raises EngineError, LedgerError."""
    ours, event = look(live), live.current()
    strangers = () if ours.running else _strangers(live, ours)
    seen = (*ours.running, *strangers)
    serving = tuple(_running(live, container, event) for container in seen)
    left, foreign = _lock(live)
    holder = lock.valid_holder(live.target.lock_store(), left)
    unfinished = journal.find(live, ours, left) if holder is None else None
    expected = _expected(event, live.release_of(event)) if event is not None else None
    downs, others = migration_containers.find_all(live)
    before = _data_change(live, downs, unfinished, locked=left is not None) if holder is None else None
    report = live.target.instances.report()
    pause = read_maintenance(live)
    wanted = pause.wanted(wanted_by(event.deployment.run_spec if event is not None else RunSpec(), ours))
    kept = pause.kept(ours, event)
    return Status(
        service=live.place.service,
        environment=live.place.environment,
        engine=live.target.name,
        running=serving[0] if serving else None,
        replicas=serving,
        expected=expected,
        drift=unique(
            pause.drift(ours),
            _drift(serving, wanted, expected, kept, strangers),
            recorded_settings_drift(live, ours, event),
            restarted(live, ours.running, event) if report is None else report.ended,
        ),
        leftovers=each_described((*too_many(ours, wanted), *ours.waiting, *kept.stopped, *downs)),
        lock=str(holder) if holder is not None else None,
        freeze=_frozen(live),
        quarantine=_quarantine(live, event),
        unfinished=str(unfinished) if unfinished is not None else None,
        migrations=str(before) if before is not None else None,
        unsynced=len(live.workspace.ledger.unsynced()),
        tasks=report.tasks if report is not None else (),
        update=report.update if report is not None else None,
        strangers=(*foreign, *stranger_notices(live, (*ours.strangers, *others))),
        maintenance=pause.text,
        operation=pause.operation,
    )


def _data_change(
    live: LiveEnvironment,
    containers: tuple[CommandInstance, ...],
    unfinished: Unfinished | None,
    *,
    locked: bool,
) -> EarlierChange | None:
    """Return the last attempt that changed the data, if no release was verified healthy since."""
    found = (
        earlier_change(live, containers, unfinished, locked=locked, kind=kind) for kind in ("down", "up")
    )
    return next(filter(None, found), None)


def _lock(live: LiveEnvironment) -> tuple[Holder | None, tuple[str, ...]]:
    """Return the lock's holder, and any other object with the lock's name."""
    try:
        return lock.find(live.target.lock_store(), live.place), ()
    except LockHeld as error:
        return None, (f"{error.found}; {error.hint}",)


def _frozen(env_ref: EnvironmentRef) -> str | None:
    place = env_ref.place
    freeze = query.active_freeze(env_ref.workspace.ledger, place.service, place.environment, utc_now_text())
    return f"{place.environment} {freeze}" if freeze is not None else None


def _quarantine(env_ref: EnvironmentRef, event: Event | None) -> str | None:
    release = env_ref.release_of(event)
    if release is None:
        return None
    place = env_ref.place
    word = query.active_quarantine(env_ref.workspace.ledger, place.service, release.id, place.environment)
    return f"{release.body.version} {word}" if word is not None else None


def _strangers(live: LiveEnvironment, ours: InstanceSet) -> tuple[Instance, ...]:
    """Return a container with our name that no deployment made."""
    state = live.target.instances.stranger()
    known = {container.id for container in ours.stopped}
    return (state,) if state is not None and state.id not in known and state.status == "running" else ()


def _running(live: LiveEnvironment, container: Instance, event: Event | None) -> Running:
    release = proven(live, container, live.release_of(event))
    labels = container.labels
    return Running(
        container=container.name,
        version=release.body.version if release is not None else labels.get(VERSION),
        recovered=release is not None and release.body.is_recovered,
        digest=release.body.image.digest if release is not None else None,
        image=str(container.image),
        deployment=labels.get(DEPLOYMENT),
        status=container.status,
        health=container.health,
        started_at=container.started_at,
        restarts=container.restarts,
        process=container.process,
    )


def _expected(event: Event, release: Record[Release] | None) -> Expected:
    return Expected(
        version=release.body.version if release is not None else None,
        recovered=release is not None and release.body.is_recovered,
        digest=event.deployment.digest,
        deployment=event.deployment.deployment,
        moment=event.recorded_at,
        who=event.actor.name,
        message=event.deployment.message,
        group=str(event.deployment.group) if event.deployment.group is not None else None,
    )


def _drift(
    serving: tuple[Running, ...],
    wanted: Mapping[str, int],
    expected: Expected | None,
    ours: InstanceSet,
    strangers: tuple[Instance, ...],
) -> Iterator[str]:
    """Return each difference between the engine and the ledger."""
    if not serving and expected is not None and wanted:
        state = f"only stopped containers: {describe(ours.stopped)}" if ours.stopped else "nothing"
        yield f"the ledger has {expected.version}, but the engine runs {state}"
    for running in serving:
        if strangers:
            yield (
                f"{running.container} was started without a recorded deployment: no record of the "
                "ledger proves one"
            )
        yield from _differs(running, expected, known=not strangers)
        if running.status != "running" or running.health == "unhealthy":
            yield f"{running.container} is {running.status}, health {running.health}"
    if serving and not strangers:
        yield from count_differences(ours, wanted)
    if ours.unclear:
        yield f"it is unknown which containers get requests: {ours.unclear}"


def _differs(running: Running, expected: Expected | None, *, known: bool) -> Iterator[str]:
    if running.digest is None:
        yield f"{running.container} runs an image that is not a release: {running.image}"
    if expected is None:
        yield f"the ledger has no healthy deployment here, but the engine runs {running.version}"
    elif running.digest != expected.digest:
        yield (f"the ledger has {expected.version}, but the engine runs {running.version or 'another image'}")
    elif running.deployment != expected.deployment and known:
        yield (
            f"the ledger's last healthy deployment is {expected.deployment}, but {running.deployment} runs"
        )
