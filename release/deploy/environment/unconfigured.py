"""Environments with records in the ledger and without a table in the configuration, as after a new name."""

from __future__ import annotations

from release.config import Environment, Service
from release.errors import LedgerError, UsageError
from release.ledger import layout, query
from release.ledger.store import Ledger
from release.records import Release


def choose(service: Service, ledger: Ledger, name: str | None) -> tuple[str, Environment]:
    """Return the environment of this name, or the only one. Raises UsageError with the ledger's names."""
    try:
        return service.environment(name)
    except UsageError as error:
        if name is None or name not in unconfigured(service, ledger):
            raise
        raise UsageError(
            error.attempted,
            f"{name} is not in the configuration, and {described(service, ledger, name)}",
            f"to read its records: invoke history --environment {name}. To deploy to it, add the table "
            f"`environments.{name}` again",
        ) from error


def unconfigured(service: Service, ledger: Ledger) -> list[str]:
    """Return environments that have deployments in the ledger and no table in the configuration."""
    known = ledger.names(layout.environments_folder(service.service))
    return sorted(set(known) - service.environments.keys())


def described(service: Service, ledger: Ledger, name: str) -> str:
    """Return text such as "the ledger says that 1.4.2 was deployed there last, on 2026-11-20"."""
    event = query.current_deployment(ledger, service.service, name)
    if event is None:
        return "the ledger has no healthy deployment there"
    try:
        body = ledger.record(event.deployment.release).body
    except LedgerError:
        body = None
    version = body.version if isinstance(body, Release) else event.deployment.digest
    return f"the ledger's last deployment there is {version}, of {event.recorded_at[:10]}"
