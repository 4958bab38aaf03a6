"""The spec that a rollout keeps in a config of the Swarm, read back: others can write configs there too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from release.errors import EngineError
from release.parsing import jsontext

_BOUNDS: Final = jsontext.Bounds(size=1024 * 1024, largest=2**63)
"""A config has at most 1000 KB; times of the API are nanoseconds."""


def read_kept(content: str) -> Mapping[str, Any]:
    """Return the spec in a config. Raises EngineError if the config holds something else."""
    try:
        spec = jsontext.read_object(content, _BOUNDS)
        if not isinstance(spec.get("Name"), str) or not isinstance(spec.get("TaskTemplate"), dict):
            raise ValueError("it is not the spec of a service")  # noqa: TRY004 - one type for all
    except ValueError as error:
        raise EngineError(
            "read the settings that ran before from a config of the Swarm",
            str(error),
            "`docker config ls` lists it; find out who wrote it, then remove it with `docker config rm`",
        ) from error
    return spec
