"""Releases of services that are deployed together: what `--to` means for each of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from release.deploy.core.place import Place
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.observe import look_around
from release.errors import TargetUnavailable, UsageError
from release.ledger import query
from release.ledger.query import Event

NEWEST: Final = "newest"
"""The newest release of each service that is not quarantined."""

_LOOKED_AT: Final = 500
"""Number of deployment events of each service that are searched."""
_NAME_ONE: Final = 'name a time or versions: --to "20:00", or --to api=1.4.2,web=0.3.0'
_DIGITS: Final = re.compile(r"[0-9a-f]{7,12}")


def targets_of_deploy(lives: Sequence[LiveEnvironment], to: str | None) -> dict[str, str]:
    """Return the target of each service. Raises UsageError, TargetUnavailable."""
    if to is None:
        example = ",".join(f"{name}={version}" for name, version in _newest(lives).items())
        hint = f"--to {example}, or --to {NEWEST}, a commit, or a time"
        raise UsageError("deploy several services", "--to is missing", hint)
    return _newest(lives) if to == NEWEST else _targets(lives, to)


def targets_of_rollback(lives: Sequence[LiveEnvironment], to: str | None) -> dict[str, str]:
    """Return the target of each service; without `to`, the releases before the last group deployment.

    Raises UsageError, TargetUnavailable.
    """
    return _before_the_last(lives) if to in (None, "previous") else _targets(lives, str(to))


def _targets(lives: Sequence[LiveEnvironment], to: str) -> dict[str, str]:
    if query.is_steps_back(to) or to == "previous":
        hint = 'name a version for each, as --to api=1.4.2,web=0.3.0, or a time, as --to "20:00"'
        raise UsageError(f"choose releases by {to!r}", "each service has steps back of its own", hint)
    if "=" in to:
        return _named(lives, to)
    return _of_group(lives, to) or dict.fromkeys((live.place.service for live in lives), to)


def _named(lives: Sequence[LiveEnvironment], to: str) -> dict[str, str]:
    """Return the targets of `api=1.4.2,web=0.3.0`. Raises UsageError if a service is missing."""
    pairs = [each.partition("=") for each in to.split(",")]
    named = {name.strip(): target.strip() for name, _, target in pairs}
    services = [live.place.service for live in lives]
    if sorted(named) != sorted(services) or len(pairs) != len(named) or not all(named.values()):
        example = ",".join(f"{service}=VERSION" for service in services)
        found = "it does not name one release for each of the services"
        raise UsageError(f"choose releases by {to!r}", found, f"--to {example}")
    return {service: named[service] for service in services}


def _newest(lives: Sequence[LiveEnvironment]) -> dict[str, str]:
    """Return each service's newest release without quarantine. Raises TargetUnavailable if one has none."""
    found: dict[str, str] = {}
    for live in lives:
        ledger, place = live.workspace.ledger, live.place
        standing = (
            release.body.version
            for release in query.releases(ledger, place.service)
            if query.active_quarantine(ledger, place.service, release.id, place.environment) is None
        )
        version = next(standing, None)
        if version is None:
            command = live.workspace.command("history")
            raise TargetUnavailable(
                f"find the newest release of {place.service}",
                "it has none that is not quarantined",
                f"release it: nox -s release -- --service {place.service}; `{command}` lists what there is",
            )
        found[place.service] = version
    return found


def _of_group(lives: Sequence[LiveEnvironment], to: str) -> dict[str, str] | None:
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


def _before_the_last(lives: Sequence[LiveEnvironment]) -> dict[str, str]:
    """Return the releases before the last deployment of these services that is not undone."""
    running = {live.place.service: _release_of(look_around(live).event) for live in lives}
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


def _release_of(event: Event | None) -> str:
    return event.deployment.release if event is not None else ""


def _ids(events: Mapping[str, Event]) -> dict[str, str]:
    return {service: event.deployment.deployment for service, event in events.items()}


def _at(lives: Sequence[LiveEnvironment], moment: str, what: str) -> dict[str, Event]:
    """Return each service's deployment at a time. Raises TargetUnavailable if a service had none."""
    found: dict[str, Event] = {}
    missing: list[Place] = []
    for place, ledger in ((live.place, live.workspace.ledger) for live in lives):
        event = query.deployment_running_at(ledger, place.service, place.environment, moment)
        if event is None:
            missing.append(place)
        else:
            found[place.service] = event
    if missing:
        others = [live.place for live in lives if live.place.service in found]
        raise _nothing_before(missing, others, what)
    return found


def _nothing_before(missing: Sequence[Place], others: Sequence[Place], what: str) -> TargetUnavailable:
    """Return the error for services that did not run at a time."""
    names = ", ".join(place.service for place in missing)
    hint = _NAME_ONE
    if others:
        back, stop = (
            ", ".join(f"`{place.command(verb)}`" for place in places)
            for verb, places in (("rollback", others), ("stop", missing))
        )
        hint = f"roll back each of the others alone: {back}; stop the services that were new: {stop}"
    return TargetUnavailable(
        "roll back several services", f"{names} did not run when {what}: nothing to go back to", hint
    )
