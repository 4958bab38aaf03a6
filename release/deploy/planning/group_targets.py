"""Releases of services that are deployed together: what `--to` means for each of them.

A service that did not run at the named time has no target. A rollback stops it after the others.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.observe import look_around
from release.errors import TargetUnavailable, UsageError
from release.ledger import query
from release.ledger.query import Event
from release.ledger.target_lookup import NEWEST

Targets = dict[str, str | None]
"""Target of each service; None: the service did not run then, so a rollback stops it."""

_LOOKED_AT: Final = 500
"""Number of deployment events of each service that are searched."""
_NAME_ONE: Final = 'name a time or versions: --to "20:00", or --to api=1.4.2,web=0.3.0'
_DIGITS: Final = re.compile(r"[0-9a-f]{7,12}")


def targets_of_deploy(lives: Sequence[LiveEnvironment], to: str | None) -> Targets:
    """Return the target of each service. Raises UsageError, TargetUnavailable."""
    if to is None:
        newest = ",".join(f"{live.place.service}={_newest(live)}" for live in lives)
        hint = f"--to {newest}, or --to {NEWEST}, a commit, or a time"
        raise UsageError("deploy several services", "--to is missing", hint)
    targets = _targets(lives, to)
    return {service: target or to for service, target in targets.items()}


def targets_of_rollback(lives: Sequence[LiveEnvironment], to: str | None) -> Targets:
    """Return the target of each service; without `to`, the releases before the last group deployment.

    Raises UsageError, TargetUnavailable.
    """
    return _before_the_last(lives) if to in (None, "previous") else _targets(lives, str(to))


def _targets(lives: Sequence[LiveEnvironment], to: str) -> Targets:
    if query.is_steps_back(to) or to == "previous":
        hint = 'name a version for each, as --to api=1.4.2,web=0.3.0, or a time, as --to "20:00"'
        raise UsageError(f"choose releases by {to!r}", "each service has steps back of its own", hint)
    if "=" in to:
        return _named(lives, to)
    every: Targets = dict.fromkeys((live.place.service for live in lives), to)
    return _of_group(lives, to) or _of_time(lives, to) or every


def _of_time(lives: Sequence[LiveEnvironment], to: str) -> Targets | None:
    """Return the time for each service that ran then; None if the text is no time. Raises UsageError."""
    moment = query.parse_time(to, query.Clock())
    if moment is None:
        return None
    found = _at(lives, moment.text, f"the clocks showed {to}")
    return {service: to if event is not None else None for service, event in found.items()}


def _named(lives: Sequence[LiveEnvironment], to: str) -> Targets:
    """Return the targets of `api=1.4.2,web=0.3.0`. Raises UsageError if a service is missing."""
    pairs = [each.partition("=") for each in to.split(",")]
    named = {name.strip(): target.strip() for name, _, target in pairs}
    services = [live.place.service for live in lives]
    if sorted(named) != sorted(services) or len(pairs) != len(named) or not all(named.values()):
        example = ",".join(f"{service}=VERSION" for service in services)
        found = "it does not name one release for each of the services"
        raise UsageError(f"choose releases by {to!r}", found, f"--to {example}")
    return {service: named[service] for service in services}


def _newest(live: LiveEnvironment) -> str:
    """Return the version of the newest release without quarantine. Raises TargetUnavailable."""
    place = live.place
    command = live.workspace.command
    found = query.find(
        live.workspace.ledger, place.service, NEWEST, environment=place.environment, command=command
    )
    return found.release.body.version


def _of_group(lives: Sequence[LiveEnvironment], to: str) -> Targets | None:
    """Return the releases after a healthy group deployment of this id; None if there is none."""
    if _DIGITS.fullmatch(to) is None:
        return None
    ends = [
        event.recorded_at
        for live in lives
        for event in _events(live)
        if event.deployment.group is not None
        and event.deployment.group.id.startswith(to)
        and event.deployment.status == "healthy"
    ]
    return _ids(_at(lives, max(ends), f"the group deployment {to} ended")) if ends else None


def _before_the_last(lives: Sequence[LiveEnvironment]) -> Targets:
    """Return the releases before the last deployment of these services that is not undone."""
    running = {live.place.service: _running(live) for live in lives}
    for event in _starts(lives):
        before = _at(lives, event.recorded_at, f"{event.deployment.group} was deployed")
        if {service: _release_of(each) for service, each in before.items()} != running:
            return _ids(before)
    names = ",".join(live.place.service for live in lives)
    raise TargetUnavailable(
        "roll back several services",
        f"no earlier deployment of {names} together is known",
        _NAME_ONE,
    )


def _starts(lives: Sequence[LiveEnvironment]) -> Iterator[Event]:
    """Yield the start of each deployment of exactly these services, newest first."""
    wanted = {live.place.service for live in lives}
    first: dict[str, Event] = {}
    for event in (event for live in lives for event in _events(live)):
        group, is_start = event.deployment.group, event.deployment.status == "started"
        if group is None or not is_start or event.deployment.reason != "promote":
            continue
        known = first.get(group.id)
        if set(group.services) == wanted and (known is None or event.recorded_at < known.recorded_at):
            first[group.id] = event
    return iter(sorted(first.values(), key=lambda event: event.recorded_at, reverse=True))


def _events(live: LiveEnvironment) -> Iterator[Event]:
    every = query.deployments(live.workspace.ledger, live.place.service, live.place.environment)
    return itertools.islice(every, _LOOKED_AT)


def _running(live: LiveEnvironment) -> str:
    """Return the running release; empty if nothing runs, as after a stop."""
    seen = look_around(live)
    return _release_of(seen.event) if seen.ours.running else ""


def _release_of(event: Event | None) -> str:
    return event.deployment.release if event is not None else ""


def _ids(events: Mapping[str, Event | None]) -> Targets:
    return {
        service: event.deployment.deployment if event is not None else None
        for service, event in events.items()
    }


def _at(lives: Sequence[LiveEnvironment], moment: str, what: str) -> dict[str, Event | None]:
    """Return each service's deployment at a time, None without one. Raises TargetUnavailable if none ran."""
    found = {
        live.place.service: query.deployment_running_at(
            live.workspace.ledger, live.place.service, live.place.environment, moment
        )
        for live in lives
    }
    if not any(found.values()):
        names = ", ".join(found)
        raise TargetUnavailable(
            "roll back several services", f"{names} did not run when {what}: nothing to go back to", _NAME_ONE
        )
    return found
