"""Health gates of a container: declared once, for the configuration and for the records of deployments."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from release.scalars import Items, Port, Value


class HealthGates(Value):
    """Conditions beside the health check and the recorded request. A rollback asks what is recorded."""

    health_tcp: Items[Port] | None = None
    """Ports of the container that must accept connections before the container counts as healthy."""
    health_command: Annotated[Items[str], Field(min_length=1)] | None = None
    """Program in the container that must end with status 0 before the container counts as healthy."""

    @property
    def set_gates(self) -> tuple[str, ...]:
        """Return the names of the gates that have a value."""
        return tuple(name for name in HealthGates.model_fields if getattr(self, name))
