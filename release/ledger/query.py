"""Questions to the ledger: which release, what ran, what ran before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from release.ledger.store import Ledger
from release.records import Actor, Body, Deployment, Record, Release, Run


@dataclass(frozen=True, kw_only=True)
class Event:
    """A deployment event: in the ledger, or kept here until the remote answers."""

    deployment: Deployment
    recorded_at: str
    actor: Actor
    run: Run
    record: str | None
    """Its record's id; None while it is unsynced."""


def release_of_version(ledger: Ledger, service: str, version: str) -> Record[Release] | None:
    """The release of exactly this version."""
    raise NotImplementedError


def release_of_commit(ledger: Ledger, service: str, commit: str) -> Record[Release] | None:
    """The release of this full commit id."""
    raise NotImplementedError


def releases(ledger: Ledger, service: str) -> Iterator[Record[Release]]:
    """All releases, newest first."""
    raise NotImplementedError


def versions(ledger: Ledger, service: str) -> tuple[str, ...]:
    """All released versions, in any order, without reading a record."""
    raise NotImplementedError


def resolve(ledger: Ledger, service: str, target: str, *, environment: str | None) -> Record[Release]:
    """What `--to` means: see docs/reference/targets.md.

    Raises TargetUnavailable: nothing (naming the nearest) or several things (listing them); UsageError.
    """
    raise NotImplementedError


def deployments(ledger: Ledger, service: str, environment: str) -> Iterator[Event]:
    """Deployment events of an environment, newest first; unsynced ones come first."""
    raise NotImplementedError


def current(ledger: Ledger, service: str, environment: str) -> Event | None:
    """The last deployment verified healthy: what should be running."""
    raise NotImplementedError


def last_healthy(ledger: Ledger, service: str, environment: str, release: str) -> Event | None:
    """The newest healthy deployment of this release record's id: its settings are what a rollback restores."""
    raise NotImplementedError


def history(ledger: Ledger, service: str, **filters: Any) -> Iterator[Record[Body]]:
    """All records of a service, newest first."""
    raise NotImplementedError
