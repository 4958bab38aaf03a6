"""The lock in the Swarm: a config with a unique name, which any manager sees and no node runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from release.deploy.core.lock_store import Kept, as_labels, from_labels
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.naming import lock_name
from release.secrets.redact import Redacted
from release.values import Struct


class SwarmLockStore(Struct, frozen=True, kw_only=True):
    """Locks in a Swarm: configs, whose names are unique (Docker Engine API 1.45, ConfigCreate: 409)."""

    swarm: Swarm

    def put(self, name: str, metadata: Mapping[str, str], payload: str) -> None:
        """Create the config. Metadata and payload are labels; the content is a constant."""
        self.swarm.store("configs", lock_name(name), Redacted("lock"), as_labels(metadata, payload))

    def get(self, name: str) -> Kept | None:
        """Return the config of this name as a lock."""
        found = self.swarm.find("configs", lock_name(name))
        if found is None:
            return None
        metadata, payload = from_labels(found.labels)
        return Kept(id=found.id, metadata=metadata, payload=payload, way_out=f"docker config rm {found.name}")

    def drop(self, kept: str) -> None:
        """Remove the config."""
        self.swarm.drop("configs", kept)

    def now(self) -> datetime:
        """Return the manager's time, by the difference to this machine's clock when it was asked."""
        return datetime.now(UTC) + timedelta(milliseconds=self.swarm.engine.info.ahead_ms)
