"""Targets by their kind: a folder for each, whose module `opening` connects to it.

Only the folder that an environment names is imported: its kind says which (`Environment.target_folder`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from importlib import import_module
from typing import Protocol, cast

from release.config import Environment
from release.deploy.core.place import Place
from release.deploy.core.target import Target
from release.events import Emit


class Opening(Protocol):
    """The module that connects to a kind of target."""

    def open_target(
        self,
        place: Place,
        settings: Environment,
        ports: Mapping[str, int | None],
        stack: ExitStack,
        emit: Emit,
    ) -> Target:
        """Return the target of a place. It is open as long as the stack.

        Args:
            place: the service and environment.
            settings: settings of the environment.
            ports: port of each process for a proxy, by process.
            stack: closes the connections.
            emit: gets warnings.

        Raises:
            EngineUnreachable, UsageError.
        """


def open_target(
    place: Place, settings: Environment, ports: Mapping[str, int | None], stack: ExitStack, emit: Emit
) -> Target:
    """Return the target that the settings name. See `Opening.open_target`."""
    module = import_module(f"{__name__}.{settings.target_folder}.opening")
    return cast(Opening, module).open_target(place, settings, ports, stack, emit)
