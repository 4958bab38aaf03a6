"""Operations on what runs, and commands that change its data: parts of a target.

They are the same for all targets. A target says with `refusal` which of them it cannot do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, Literal, Protocol

from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.instance import CommandInstance, Instance
from release.deploy.core.place import DEPLOYMENT, REPLICA, Identity, Place, process_of
from release.events import Emit
from release.programs.cancellation import Cancellation
from release.programs.process import Command
from release.records import Image
from release.runspec import RunSpec
from release.scalars import Entrypoint
from release.secrets.redact import Mask, Redacted
from release.values import Struct

RUN: Final = "run"
"""The role of containers that run one command."""

What = Literal["logs", "run", "exec", "restart", "stop", "start", "failed"]


class LogSource(Struct, frozen=True, kw_only=True):
    """Writer of output: one replica of a process of a deployment."""

    id: str
    process: str
    """Empty: the environment has one process."""
    replica: str
    deployment: str

    @classmethod
    def of(cls, instance: Instance) -> LogSource:
        """Return the log source of this container."""
        labels = instance.labels
        return cls(
            id=instance.id,
            process=process_of(labels),
            replica=labels.get(REPLICA, "1"),
            deployment=labels.get(DEPLOYMENT, ""),
        )


class LogLine(Struct, frozen=True, kw_only=True):
    """One line of output with its source and time (RFC 3339, UTC; empty if the target does not give it)."""

    moment: str
    source: LogSource
    text: str


def just_after(moment: str) -> datetime | None:
    """Return the time of a line. Nanoseconds are cut, so the line may be read again."""
    with suppress(ValueError):
        whole, _, part = moment.removesuffix("Z").partition(".")
        return datetime.fromisoformat(f"{whole}.{part[:6]:0<6}+00:00")
    return None


class FailedOutput(Struct, frozen=True, kw_only=True):
    """Output of the containers of the last deployment that failed, without its secrets."""

    deployment: str
    version: str
    lines: tuple[LogLine, ...]


class CommandRequest(Struct, frozen=True, kw_only=True):
    """A command in a container of its own: a release's image and settings, without ports and names."""

    name: str
    """Name of the container or the service."""
    place: Place
    """Place with the process whose settings the command has."""
    role: str
    identity: Identity
    image: Image
    command: tuple[str, ...]
    entrypoint: Entrypoint
    """"replace": the command runs in place of the image's ENTRYPOINT; "keep": it is its arguments."""
    spec: RunSpec
    """Settings of the process."""
    secrets: Mapping[str, Redacted]
    timeout: int
    """Milliseconds that the command may take."""
    key: FingerprintKey | None = None
    """Key of the seals of secrets, for targets that keep them; None without secrets."""
    has_terminal: bool = False


class OperationContext(Struct, frozen=True, kw_only=True):
    """Context of an operation: how running instances are proven, and the cancellation."""

    spec: RunSpec
    """Recorded settings of the running release, with those of each process."""
    health_timeout: int
    """Milliseconds."""
    emit: Emit
    cancellation: Cancellation
    mask: Mask = Mask()
    still_mine: Callable[[], None] = lambda: None
    """Function that raises LockHeld if another holder has the lock."""


class Attachment(Struct, frozen=True, kw_only=True):
    """Connection of an operator to a command."""

    say: Callable[[str], None]
    """Function that shows a line of output, for targets without a terminal."""
    timeout: int
    """Milliseconds that the command may take."""
    cancellation: Cancellation


class Operations(Protocol):
    """Operations of a target on running instances. None of them changes the release."""

    def refusal(self, what: What) -> str:
        """Return why the target cannot do this, and what to do instead; empty if it can."""

    def sources(self, instances: Sequence[Instance]) -> tuple[LogSource, ...]:
        """Return the log sources of these instances. Raises EngineError."""

    def read(
        self,
        source: LogSource,
        *,
        last: int | None,
        since: datetime | None,
        follow: bool,
        cancellation: Cancellation,
    ) -> Iterator[LogLine]:
        """Yield the lines of a log source, oldest first. Raises EngineError, Cancelled."""

    def failed(self) -> FailedOutput | None:
        """Return the output of the last deployment, if it failed. Raises EngineError."""

    def stop(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Stop the instances, after taking them out of traffic; return what was done.

        Raises EngineError, Cancelled.
        """

    def start(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Start the instances; return the evidence that each serves. Raises DeploymentFailed, EngineError."""

    def restart(self, instances: Sequence[Instance], context: OperationContext) -> str:
        """Stop and start the instances one by one, each proven before the next. Raises as `start`."""

    def begin(self, request: CommandRequest, emit: Emit) -> str:
        """Create the container of a command, and return its id. Raises EngineError."""

    def attach(self, container: str, attachment: Attachment) -> int:
        """Run the command of this container with the operator's terminal; return its exit status.

        Raises TimeoutError, Cancelled, EngineError, ReleaseError if the command did not end by itself.
        """

    def execution(self, instance: Instance, command: Sequence[str], *, has_terminal: bool) -> Command:
        """Return the program that runs a command in a running instance, with the operator's terminal."""

    def end(self, container: str, *, grace: int) -> int | None:
        """Stop the container of a command if it still runs, and remove it. Raises EngineError.

        Returns the exit status if the command had ended; else None.
        """

    def advice(self, command: str) -> str:
        """Return how to stop a command of this name that still runs."""

    def one_offs(self) -> tuple[Instance, ...]:
        """Return the containers of operators' commands. Raises EngineError."""


class Commands(Protocol):
    """Commands that change the data, each in its own container, which stays until it is removed."""

    def refusal(self, image: Image) -> str:
        """Return why the target cannot run a command in this image; empty if it can. Raises EngineError."""

    def name(self, deployment: str, kind: str) -> str:
        """Return the name of the command of a deployment; its last part is the kind, "up" or "down"."""

    def advice(self, command: str) -> str:
        """Return what to do about a command of this name that still runs."""

    def every(self) -> tuple[CommandInstance, ...]:
        """Return the containers of commands, found by their labels. Raises EngineError."""

    def start(self, request: CommandRequest, emit: Emit, cancellation: Cancellation) -> str:
        """Start a command and return its id. Raises EngineError, Cancelled if the command did not run."""

    def wait(self, command: str, *, timeout: int, cancellation: Cancellation) -> int:
        """Return the command's exit status.

        Raises TimeoutError after the timeout in milliseconds, EngineError, Cancelled.
        """

    def follow(self, command: str, cancellation: Cancellation) -> Iterator[str]:
        """Yield the command's output, line by line as it comes. Raises EngineError, Cancelled.

        It may end later than the command; `cancellation` ends it.
        """

    def stop(self, command: str) -> None:
        """Stop a running command. Raises EngineError."""

    def logs(self, command: str, *, lines: int) -> tuple[str, ...]:
        """Return the command's last lines. Raises EngineError."""

    def keep_output(self, command: str, kind: str, mask: Mask) -> bool:
        """Keep the last lines of a command for `logs --failed`, instead of an earlier failure's output.

        Return whether they are kept; a target may be unable to. Raises EngineError.

        Args:
            command: its id.
            kind: "up" or "down", in the place of a process.
            mask: takes secrets out.
        """

    def remove(self, command: str) -> None:
        """Remove the command's container. Raises EngineError."""
