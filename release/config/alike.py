"""Settings of the smoke run that the environments decide, where they agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from release.config.chain import Smoke
from release.config.environment import Environment
from release.tmpfs import Tmpfs

_SHARED: Final = ("command", "user", "cap_add", "stop_signal", "stop_grace", "init", "read_only", "tmpfs")
"""Keys of `smoke` and of environments that mean the same."""

_TEMPORARY: Final = Tmpfs(path="/tmp")  # noqa: S108 - in the container


def as_the_environments(smoke: Smoke, environments: Iterable[Environment]) -> Smoke:
    """The settings of the smoke run.

    A key that `smoke` does not have is taken from the environments, where each of them has it and all say
    the same. Else it is as the image says, or as `Smoke` does.
    """
    every = list(environments)
    found = {key: _agreed(key, every) for key in _SHARED if key not in smoke.model_fields_set}
    taken: dict[str, Any] = {key: value for key, value in found.items() if value is not None}
    if "tmpfs" in taken and _TEMPORARY.path not in {folder.path for folder in taken["tmpfs"]}:
        taken["tmpfs"] = (*taken["tmpfs"], _TEMPORARY)
    if "command" in taken:
        entrypoints = {each.entrypoint for each in every}
        if len(entrypoints) > 1:
            del taken["command"]
        else:
            taken["entrypoint"] = entrypoints.pop()
    return smoke.model_copy(update=taken)


def with_another_command(smoke: Smoke, environments: Mapping[str, Environment]) -> tuple[str, ...]:
    """Return the environments that do not run the command of `smoke`; none if `smoke` has no command."""
    if smoke.command is None:
        return ()
    mine = (smoke.command, smoke.entrypoint)
    return tuple(name for name, each in environments.items() if (each.command, each.entrypoint) != mine)


def _agreed(key: str, environments: list[Environment]) -> Any:
    """The value that all of them give; None where one does not, or they differ."""
    if not environments or any(key not in each.model_fields_set for each in environments):
        return None
    first = getattr(environments[0], key)
    return first if all(getattr(each, key) == first for each in environments) else None
