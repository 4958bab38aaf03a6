"""The settings that a release is to run with - today's, or those it ran with - and their secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from release.deploy.core.fingerprints import FingerprintKey, compare
from release.deploy.environment.current_settings import current_settings
from release.deploy.environment.environment import EnvironmentRef, LiveEnvironment
from release.deploy.environment.ingress import moved, placed
from release.deploy.environment.variables import read_variables
from release.deploy.planning.request import Request
from release.errors import Problem, TargetUnavailable
from release.ledger import query
from release.ledger.query import Event
from release.records import Record, Release
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from release.secrets.sources import Unresolved, resolve_secrets
from release.values import Struct


class DesiredSettings(Struct, frozen=True, kw_only=True):
    """Settings of the release to run, with the values of its secrets."""

    spec: RunSpec
    """Settings with the fingerprints of today's secrets."""
    secrets: Mapping[str, Redacted]
    problems: tuple[Problem, ...] = ()
    """Files and secrets that cannot be read here, and pinned secrets that were rotated."""
    origins: Mapping[str, str] = {}
    """Place where each variable is written, secrets too, by name; empty for a rollback."""
    moved: str = ""
    """Note on a release that ran in another place before a proxy than today's."""


def desired_settings(live: LiveEnvironment, request: Request) -> DesiredSettings:
    """Return today's settings to promote, or recorded ones with today's proxy to roll back.

    Raises:
        TargetUnavailable, LedgerUnsigned: see `recorded_settings`.
    """
    known, unread = _known_settings(live, request)
    spec = placed(known, live.settings)
    secrets, missing = read_secrets(live, spec)
    today = fingerprints(live, secrets)
    return DesiredSettings(
        spec=spec.with_secrets(today),
        secrets=secrets,
        origins=read_variables(live).origins if request.reason == "promote" else {},
        problems=(*missing, *unread, *pinned_problems(live, spec.secrets, today)),
        moved=moved(known, live.settings) if request.reason == "rollback" else "",
    )


def _known_settings(live: LiveEnvironment, request: Request) -> tuple[RunSpec, list[Problem]]:
    if request.reason == "promote":
        return _todays(live, request.target)
    return recorded_settings(live, request.target, request.ran), []


def _todays(live: LiveEnvironment, target: Record[Release]) -> tuple[RunSpec, list[Problem]]:
    """Return today's settings, completed by what other programs render for the target."""
    spec, problems = current_settings(live, target)
    root = live.workspace.source.root
    complete, more = live.target.rollouts.completed(spec, live.settings, target.body, root)
    return complete, [*problems, *more]


def recorded_settings(live: EnvironmentRef, target: Record[Release], ran: Event | None) -> RunSpec:
    """Return the settings of the requested deployment, or of the release's last healthy one here.

    Raises:
        TargetUnavailable: there are none, or this version of the library does not know all of them.
    """
    place = live.place
    event = ran or query.last_healthy(live.workspace.ledger, place.service, place.environment, target.id)
    if event is not None:
        return _understood(event.deployment.run_spec, live, target)
    version = target.body.version
    raise TargetUnavailable(
        f"roll {live.place} back to {version}",
        f"it was never verified healthy in {live.place.environment}: there are no settings to restore",
        f"to deploy it with today's settings: `{place.command(f'deploy --to {version}')}`; "
        f"`{place.command('history')}` shows what ran",
    )


def _understood(spec: RunSpec, live: EnvironmentRef, target: Record[Release]) -> RunSpec:
    """Return recorded settings. Raises TargetUnavailable if this version does not know all of them."""
    unknown = spec.unknown
    if not unknown:
        return spec
    raise TargetUnavailable(
        f"roll {live.place} back to {target.body.version}",
        f"its settings are not known to this version of the library: {', '.join(unknown)}",
        "upgrade the release library",
    )


def read_secrets(live: EnvironmentRef, spec: RunSpec) -> tuple[dict[str, Redacted], list[Problem]]:
    """Read the secrets of these settings from today's sources.

    Returns:
        The values by name, and a problem for each one that cannot be read here and now.
    """
    configured = live.settings.secrets
    sources = {name: configured[name] for name in spec.secrets if name in configured}
    workspace = live.workspace
    values, unread = resolve_secrets(
        sources, root=workspace.source.root, environ=workspace.environ, tell=workspace.tell
    )
    gone = [
        Unresolved(
            name=name,
            reason="the recorded settings have it, but today's configuration has no source for it",
        )
        for name in spec.secrets
        if name not in configured
    ]
    where = f"environments.{live.place.environment}.secrets"
    return values, [Problem(path=f"{where}.{item.name}", message=item.reason) for item in (*unread, *gone)]


def pinned_problems(
    live: EnvironmentRef, recorded: Mapping[str, str], today: Mapping[str, str]
) -> list[Problem]:
    """Return pinned secrets whose value today differs from that of the release's deployment."""
    where = f"environments.{live.place.environment}.secrets"
    return [
        Problem(path=f"{where}.{name}", message=_PINNED[result])
        for name, source in live.settings.secrets.items()
        if source.policy == "pinned" and recorded.get(name) and name in today
        if (result := compare(recorded[name], today[name])) != "same"
    ]


_PINNED: Final = {
    "rotated": 'it is pinned, but was rotated since: provide the old value, or set policy = "current"',
    "not comparable": (
        "it is pinned, but another key made its fingerprint: set RELEASE_FINGERPRINT_KEY to "
        'that key, or policy = "current"'
    ),
}


def seal_key(live: LiveEnvironment, secrets: Mapping[str, Redacted]) -> FingerprintKey | None:
    """Return the key for seals of secrets; None if the target keeps no seals."""
    workspace = live.workspace
    has_seals = live.target.rollouts.keeps_seals and secrets
    return FingerprintKey.load(workspace.source.git_dir, workspace.environ) if has_seals else None


def fingerprints(live: EnvironmentRef, secrets: Mapping[str, Redacted]) -> dict[str, str]:
    """Return the fingerprints that records keep of secrets, by name."""
    if not secrets:
        return {}
    key = FingerprintKey.load(live.workspace.source.git_dir, live.workspace.environ)
    return {name: key.fingerprint(name, value) for name, value in secrets.items()}
