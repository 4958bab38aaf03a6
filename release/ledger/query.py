"""Questions to the ledger: which release, what ran, what ran before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from release.ledger.store import Ledger
from release.records import Body, Deployment, Record, Release


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


def deployments(ledger: Ledger, service: str, environment: str) -> Iterator[Record[Deployment]]:
    """Deployment events of an environment, newest first; unsynced ones come first."""
    raise NotImplementedError


def current(ledger: Ledger, service: str, environment: str) -> Record[Deployment] | None:
    """The last deployment verified healthy: what should be running."""
    raise NotImplementedError


def last_healthy(ledger: Ledger, service: str, environment: str, release: str) -> Record[Deployment] | None:
    """The newest healthy deployment of this release record's id: its settings are what a rollback restores."""
    raise NotImplementedError


def history(ledger: Ledger, service: str, **filters: Any) -> Iterator[Record[Body]]:
    """All records of a service, newest first."""
    raise NotImplementedError
