"""Problems of an environment's configuration, by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from release.deploy.core.place import Place
from release.errors import Problem


def listed(place: Place, found: Mapping[str, Iterable[str]]) -> list[Problem]:
    """Return messages by key as problems of the environment's configuration."""
    process = f".processes.{place.process}" if place.process else ""
    where = f"environments.{place.environment}{process}"
    return [
        Problem(path=f"{where}.{key}", message=message)
        for key, messages in found.items()
        for message in messages
    ]
