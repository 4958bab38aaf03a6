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

from release.actor import TOOL, utc_now_text
from release.deploy.core.instance import InstanceSet
from release.deploy.environment.current_settings import current_settings
from release.deploy.environment.ingress import placed
from release.deploy.environment.migration_difference import crossing_between
from release.errors import LedgerError, UsageError
from release.ledger import query
from release.ledger.deployments import healthy_deployments_of
from release.ledger.releases import release_record
from release.records import Body, Deployment, Draft, Note, Record, Release, Undoing, Upgrade
from release.runspec import RunSpec
from release.values import replace

if TYPE_CHECKING:
    from release.deploy.environment.environment import EnvironmentRef, LiveEnvironment, Workspace
    from release.deploy.environment.journal import Unfinished

_LOOKED_AT: Final = 20
"""Number of earlier healthy deployments of the release that are compared."""
_LONGEST: Final = 500
"""Characters of a message that is taken from a claim."""
_MOST_REPLICAS: Final = 100
_FINGERPRINT: Final = re.compile("[0-9a-f]{8}:[0-9a-f]{16}")


def attested(env_ref: EnvironmentRef, draft: Draft[Body], body: Deployment) -> Deployment:
    """Return the start with a note on whose claim it is, and without the parts that nothing proves.

    The deployment that it replaces decides which release a rollback sets aside. Where the ledger knows one of
    that id, it is the one that the ledger says to be running.
    """
    said = body.message[:_LONGEST]
    message = f"started by {draft.actor.name[:_LONGEST]}, according to its lock" + (
        f": {said}" if said else ""
    )
    changes = {
        "message": message,
        "took_lock_from": None,
        "targets": (),
        "previous": _previous(env_ref, body),
    }
    return body.model_copy(update=changes)


def _previous(env_ref: EnvironmentRef, claimed: Deployment) -> str | None:
    named, current = claimed.previous, env_ref.current()
    is_known = named is not None and env_ref.event_of(named) is not None
    return current.deployment.deployment if is_known and current is not None else named


def start(workspace: Workspace, draft: Draft[Body], body: Deployment) -> Draft[Body]:
    """Return the start as this clone records it: with this clone's actor, and not in the future."""
    moment = utc_now_text()
    return Draft(
        service=draft.service,
        recorded_at=min(draft.recorded_at, moment),
        actor=workspace.actor,
        run=workspace.run(body.deployment),
        tool=TOOL,
        body=body,
    )


def doubts(env_ref: EnvironmentRef, claimed: Deployment) -> tuple[str, ...]:
    """Return the names of the unproven parts of a claimed start; empty if all are proven.

    Args:
        spot: the environment.
        claimed: the start, of this service and environment.
    """
    try:
        release = release_record(env_ref.workspace.ledger, claimed.release)
    except LedgerError:
        return ("release",)
    known = [_differing(claimed.run_spec, spec) for spec in _known(env_ref, release)]
    least = min(known, key=len) if known else ["settings"]
    found = [*([] if claimed.digest == release.body.image.digest else ["digest"]), *least]
    found += (
        [] if claimed.down is None or claimed.down == _undoing(env_ref, release, claimed.down) else ["down"]
    )
    if claimed.up is not None and claimed.up != _upgrade(env_ref, release):
        found.append("up")
    return tuple(found)


def _known(env_ref: EnvironmentRef, release: Record[Release]) -> Iterator[RunSpec]:
    """Return the settings that this release may have here: recorded ones, and today's."""
    place = env_ref.place
    for event in islice(
        healthy_deployments_of(env_ref.workspace.ledger, place.service, place.environment, release.id),
        _LOOKED_AT,
    ):
        yield placed(event.deployment.run_spec, env_ref.settings)
    today, unread = current_settings(env_ref, release)
    if not unread:
        yield placed(today, env_ref.settings)


def _differing(claimed: RunSpec, known: RunSpec) -> list[str]:
    """Return the names of differing settings. Fingerprints are not compared: they may have another key."""
    ours, theirs = (_plain(spec) for spec in (known, claimed))
    names = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    sealed = (value for spec in (claimed, *claimed.every.values()) for value in spec.secrets.values())
    damaged = not all(map(_FINGERPRINT.fullmatch, sealed))
    return [*names, *(["secrets"] if damaged and "secrets" not in names else [])]


def _plain(spec: RunSpec) -> dict[str, Any]:
    named = _named(spec).mapped(lambda _, one: _named(one))
    return named.model_dump(mode="json", exclude_none=True)


def _named(spec: RunSpec) -> RunSpec:
    """Return the settings with only the names of secrets."""
    return spec.model_copy(update={"secrets": dict.fromkeys(spec.secrets, "")})


def _undoing(env_ref: EnvironmentRef, release: Record[Release], claimed: Undoing) -> Undoing | None:
    """Return the downgrade command of today's configuration, from the claim's release to this one."""
    settings = env_ref.workspace.service.migrations
    left = query.release_of_version(env_ref.workspace.ledger, env_ref.place.service, claimed.version)
    found = crossing_between(env_ref, left, release)
    if settings is None or settings.down is None or found is None:
        return None
    command = found.command(settings.down, settings.base)
    return Undoing(migrations=found.undone, command=command, version=claimed.version, status="planned")


def _upgrade(env_ref: EnvironmentRef, release: Record[Release]) -> Upgrade | None:
    """Return the command of today's configuration that migrates the data to this release."""
    settings = env_ref.workspace.service.migrations
    if settings is None or settings.up is None:
        return None
    return Upgrade(command=settings.up, version=release.body.version, status="planned")


# --- what is done about it


def objection(live: LiveEnvironment, unfinished: Unfinished, ours: InstanceSet) -> UsageError | None:
    """Return why a claim cannot be finished; None if it is proven and its containers have its settings."""
    if unfinished.recorded:
        return None
    wrong = unfinished.doubts or tuple(dict.fromkeys(_otherwise(live, unfinished, ours)))
    if not wrong:
        return None
    return UsageError(
        f"finish {unfinished}",
        f"only a lock on the engine has its record, and nothing proves: {', '.join(wrong)}",
        f"`{live.place.command('converge --revert')}` restores what ran before; or record its "
        "start with `invoke sync` in the clone that started it",
    )


def _otherwise(live: LiveEnvironment, unfinished: Unfinished, ours: InstanceSet) -> Iterator[str]:
    """Return settings of the containers that differ from the claim's. A cluster's spec has a mark instead."""
    seen = live.target.instances.drift(unfinished.started, None, ours.up, None)
    yield from (difference.setting for difference in seen)


def settings(live: LiveEnvironment, unfinished: Unfinished, release: Record[Release]) -> RunSpec:
    """Return the settings to continue with: those of a proven claim, else today's."""
    claimed = unfinished.started.run_spec
    if not unfinished.doubts:
        return claimed
    counts = {name: min(max(one.replicas, 1), _MOST_REPLICAS) for name, one in claimed.every.items()}
    today = placed(current_settings(live, release)[0], live.settings)
    return today.mapped(lambda name, one: one.model_copy(update={"replicas": counts.get(name, 1)}))


def endings(unfinished: Unfinished, start: Draft[Body], end: Draft[Body]) -> list[Draft[Body]]:
    """Return the records of an end. An unproven claim gets a note, without its settings."""
    if not unfinished.doubts:
        return unfinished.drafts(end, start)
    status = getattr(end.body, "status", "")
    text = (
        f"{unfinished}: {status}. It is not recorded, because nothing proves: {', '.join(unfinished.doubts)}"
    )
    note: Draft[Body] = replace(end, body=Note(text=f"{text} of that"))
    return [note]


def facts(unfinished: Unfinished) -> Iterable[tuple[str, str]]:
    """Return the plan's rows about a claim."""
    if unfinished.recorded:
        return ()
    if not unfinished.doubts:
        return [("known from", "the lock on the engine; ledger and configuration prove its settings")]
    text = f"the lock on the engine alone; nothing proves: {', '.join(unfinished.doubts)}"
    return [("known from", f"{text}; it can only be reverted")]
