"""Commands that change the data: a Swarm runs none, for no container of a node is proven to have ended."""

from __future__ import annotations

from typing import NoReturn

from release.cancellation import Cancellation
from release.deploy.core.instance import CommandInstance
from release.images.engine import ContainerSpec
from release.values import Struct


class SwarmCommands(Struct, frozen=True, kw_only=True):
    """See `release.deploy.core.target.Commands`. A plan never gets here: `refusal` comes first."""

    def refusal(self, kind: str) -> str:
        """Say that people run them."""
        return f"a Swarm runs no `{kind}` command"

    def every(self) -> tuple[CommandInstance, ...]:
        """None."""
        return ()

    def start(self, spec: ContainerSpec, cancellation: Cancellation) -> NoReturn:  # noqa: ARG002
        """Refuse."""
        raise ValueError(self.refusal("up"))

    def wait(self, command: str, *, timeout: int, cancellation: Cancellation) -> NoReturn:  # noqa: ARG002
        """Refuse."""
        raise ValueError(f"there is no command {command}")

    def stop(self, command: str) -> None:
        """Refuse."""
        raise ValueError(f"there is no command {command}")

    def logs(self, command: str, *, lines: int) -> tuple[str, ...]:  # noqa: ARG002
        """Refuse."""
        raise ValueError(f"there is no command {command}")

    def remove(self, command: str) -> None:
        """Refuse."""
        raise ValueError(f"there is no command {command}")
