"""A deployment that only a lock tells of: the claim of whoever holds the engine, and what proves it.

Anybody who can make a container there can write it. So it is finished only where its settings are those of a
healthy event of the ledger, or those of today's configuration. Else it is reverted, and none of its settings
is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from release.actor import TOOL, now
from release.deploy import fence
from release.deploy.docker import DEPLOYMENT, Ours
from release.deploy.drift import settings_drift
from release.deploy.topology import placed
from release.deploy.wanted import todays
from release.errors import LedgerError, UsageError
from release.frozen import replace
from release.ledger import query
from release.ledger.deployments import healthy_of
from release.ledger.releases import release_record
from release.records import Body, Deployment, Draft, Note, Record, Release, Undoing
from release.runspec import RunSpec

if TYPE_CHECKING:
    from release.deploy.journal import Unfinished
    from release.deploy.site import Desk, Site, Spot

_LOOKED_AT: Final = 20
"""How many earlier healthy deployments of the release are compared with."""
_LONGEST: Final = 500
"""Characters of a message that is taken from a claim."""
_MOST_REPLICAS: Final = 100
_FINGERPRINT: Final = re.compile("[0-9a-f]{8}:[0-9a-f]{16}")


def attested(spot: Spot, draft: Draft[Body], body: Deployment) -> Deployment:
    """Return the start with words that say whose claim it is, and without what nothing here proves.

    The deployment that it replaces decides which release a rollback sets aside. Where the ledger knows one of
    that id, it is the one that the ledger says to be running.
    """
    said = body.message[:_LONGEST]
    message = f"begun by {draft.actor.name[:_LONGEST]}, as its lock says" + (f": {said}" if said else "")
    changes = {"message": message, "took_lock_from": None, "targets": (), "previous": _previous(spot, body)}
    return body.model_copy(update=changes)


def _previous(spot: Spot, claimed: Deployment) -> str | None:
    named, current = claimed.previous, spot.current()
    is_known = named is not None and spot.event_of(named) is not None
    return current.deployment.deployment if is_known and current is not None else named


def start(desk: Desk, draft: Draft[Body], body: Deployment) -> Draft[Body]:
    """Return the start as this clone records it: in the name of who records it, and not in the future."""
    moment = now()
    return Draft(
        service=draft.service,
        recorded_at=min(draft.recorded_at, moment),
        actor=desk.actor,
        run=desk.run(body.deployment),
        tool=TOOL,
        body=body,
    )


def doubts(spot: Spot, claimed: Deployment) -> tuple[str, ...]:
    """Return the names of what nothing proves of a claimed start; empty where all of it is proven.

    Args:
        spot: the environment.
        claimed: the start, of this service and environment.
    """
    try:
        release = release_record(spot.desk.ledger, claimed.release)
    except LedgerError:
        return ("release",)
    known = [_differing(claimed.run_spec, spec) for spec in _known(spot, release)]
    least = min(known, key=len) if known else ["settings"]
    found = [*([] if claimed.digest == release.body.image.digest else ["digest"]), *least]
    found += [] if claimed.down is None or claimed.down == _undoing(spot, release, claimed.down) else ["down"]
    return tuple(found)


def _known(spot: Spot, release: Record[Release]) -> Iterator[RunSpec]:
    """The settings that this release may be told to run with here: recorded ones, and today's."""
    place = spot.place
    for event in islice(
        healthy_of(spot.desk.ledger, place.service, place.environment, release.id), _LOOKED_AT
    ):
        yield placed(event.deployment.run_spec, spot.settings)
    today, unread = todays(spot, release)
    if not unread:
        yield placed(today, spot.settings)


def _differing(claimed: RunSpec, known: RunSpec) -> list[str]:
    """Names of settings that differ. A secret's fingerprint is not a setting: its key may be another's."""
    ours, theirs = (_plain(spec) for spec in (known, claimed))
    names = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    damaged = not all(map(_FINGERPRINT.fullmatch, claimed.secrets.values()))
    return [*names, *(["secrets"] if damaged and "secrets" not in names else [])]


def _plain(spec: RunSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude_none=True) | {"secrets": sorted(spec.secrets)}


def _undoing(spot: Spot, release: Record[Release], claimed: Undoing) -> Undoing | None:
    """The command that today's configuration gives, from the release of the claim to this one."""
    settings = spot.desk.service.migrations
    left = query.release_of_version(spot.desk.ledger, spot.place.service, claimed.version)
    found = fence.crossing(spot, left, release)
    if settings is None or settings.down is None or found is None:
        return None
    command = found.command(settings.down, settings.base)
    return Undoing(migrations=found.undone, command=command, version=claimed.version, status="planned")


# --- what is done about it


def objection(site: Site, unfinished: Unfinished, ours: Ours) -> UsageError | None:
    """Return why a claim cannot be finished; None where all of it is proven, and its containers run so."""
    if unfinished.recorded:
        return None
    wrong = unfinished.doubts or tuple(dict.fromkeys(_otherwise(site, unfinished, ours)))
    if not wrong:
        return None
    return UsageError(
        f"finish {unfinished}",
        f"only a lock on the engine tells of it, and nothing proves: {', '.join(wrong)}",
        f"`{site.place.command('converge --revert')}` puts back what ran before; where the clone that began "
        "it lives, `invoke sync` there records its start",
    )


def _otherwise(site: Site, unfinished: Unfinished, ours: Ours) -> Iterator[str]:
    """Settings of its containers that are not those of the claim; a Swarm's are in a spec with a mark."""
    started = unfinished.started
    for container in ours.up if site.settings.engine == "docker" else ():
        about = site.engine.inspected(container.id) or {}
        if container.labels.get(DEPLOYMENT) == started.deployment and "HostConfig" in about:
            yield from (name for name, _ in settings_drift(about, started.run_spec, None))


def settings(site: Site, unfinished: Unfinished, release: Record[Release]) -> RunSpec:
    """The settings that it is gone on with: of a claim that nothing proves, today's."""
    claimed = unfinished.started.run_spec
    if not unfinished.doubts:
        return claimed
    count = min(max(claimed.replicas, 1), _MOST_REPLICAS)
    return placed(todays(site, release)[0], site.settings).model_copy(update={"replicas": count})


def endings(unfinished: Unfinished, start: Draft[Body], end: Draft[Body]) -> list[Draft[Body]]:
    """Return what the ledger gets of an end: of a claim that nothing proves a note, without its settings."""
    if not unfinished.doubts:
        return unfinished.drafts(end, start)
    status = getattr(end.body, "status", "")
    text = (
        f"{unfinished}: {status}. Nothing proves of it: {', '.join(unfinished.doubts)}; nothing is recorded"
    )
    note: Draft[Body] = replace(end, body=Note(text=f"{text} of that"))
    return [note]


def facts(unfinished: Unfinished) -> Iterable[tuple[str, str]]:
    """Return what a plan says of a claim."""
    if unfinished.recorded:
        return ()
    if not unfinished.doubts:
        return [("known from", "the lock on the engine; ledger and configuration prove its settings")]
    text = f"the lock on the engine alone; nothing proves: {', '.join(unfinished.doubts)}"
    return [("known from", f"{text}; it can only be reverted")]
