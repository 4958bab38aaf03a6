"""Everything that can go wrong, as types.

    ReleaseError                    1  failed, nothing changed
    ├── UsageError                  2  the command line asks for something that makes no sense
    │   ├── ConfigError             2  [tool.release] is wrong: every problem at once
    │   └── NotReady                2  the environment lacks what the settings ask for: everything at once
    ├── SourceError                 1  the git repository is not in a state to be released
    ├── NothingToRelease            1  no commit since the last version changes what users get
    ├── VersionTaken                1  the version exists with other content
    ├── GateFailed                  1  lock, lint, build, test, smoke, installed or push stopped the chain
    ├── Cancelled                   1  an earlier gate failed, or a signal arrived
    ├── CommandFailed               1  a program exited with a status other than 0
    ├── LedgerError                 1  the ledger could not be read or written
    │   ├── NotALedger              1  the branch holds something else
    │   ├── LedgerRewritten         1  the ledger no longer contains what it contained before
    │   ├── LedgerUnproven          1  a commit of the ledger breaks its rules: nothing is read past it
    │   │   └── LedgerUnsigned      1  a commit that must be signed is not, or not by an allowed signer
    │   ├── LedgerShallow           1  this clone has only the end of the ledger's history
    │   ├── RecordUnknown           1  a later version wrote the record
    │   ├── LedgerMissing           1  there was a ledger, and its branch is gone
    │   ├── LedgerRejected          1  the server refused the append, and says why
    │   └── LedgerUnreachable       6  the git remote does not answer
    ├── RegistryError               1  the registry answered with an error, or with other bytes
    │   ├── TransferBroken          1  an upload ended early, though the registry would take it
    │   └── RegistryUnreachable     6  the registry does not answer
    ├── EngineError                 1  the engine answered with an error
    │   ├── NameTaken               1  a container of that name exists
    │   ├── ImageLost               1  the engine has an image's name, and not all of its bytes
    │   ├── PortTaken               1  a port to be published is in use on the engine's machine
    │   ├── ProxyError              1  the proxy before a service does not answer, or not as it was told
    │   └── EngineUnreachable       6  the engine does not answer
    │       └── NoQuorum            6  the managers of a cluster have no majority and decide nothing
    ├── TargetUnavailable           6  `--to` names nothing that can be deployed
    ├── LockHeld                    5  another deployment of this environment is under way
    └── DeploymentFailed            1  the deployment failed; nothing ran before, nothing runs now
        ├── Restored                3  the deployment failed; what ran before runs again
        ├── NotMigrated             4  the new release runs, and the command that migrates the data failed
        └── MixedState              4  the deployment failed and left what the message lists

The numbers are exit statuses. Nothing is decided from the wording of a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from release.brief import shortened
from release.values import Struct

LONGEST: Final = 20_000
"""Characters of one part of an error: what others said is cut, and a log has the whole."""


class ReleaseError(Exception):
    """Base of every error of this library.

    Args:
        attempted: what was tried, with the value it was tried on, as "read the lockfile api/uv.lock".
        found: what was found instead.
        hint: the next step for the reader: a command where there is one.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, attempted: str, found: str, hint: str = "") -> None:
        """Keep the three parts, so that a renderer can lay them out."""
        super().__init__(attempted, found, hint)
        self.attempted = shortened(attempted, LONGEST)
        self.found = shortened(found, LONGEST)
        self.hint = shortened(hint, LONGEST)

    def __str__(self) -> str:
        """The three parts as text: one line, and the hint on a line of its own."""
        text = f"cannot {self.attempted}: {self.found}"
        return f"{text}\n  → {self.hint}" if self.hint else text


class UsageError(ReleaseError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong in a configuration: the key's path, and what is wrong with its value."""

    path: str
    message: str

    def __str__(self) -> str:
        """As one line, `path: message`."""
        return f"{self.path}: {self.message}"


class ConfigError(UsageError):
    """`[tool.release]` is wrong. Holds every problem found, not the first."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        """Keep the problems, in the order of the file."""
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        found, hint = f"{len(self.problems)} {noun}{lines}", "`invoke explain configuration` lists every key"
        super().__init__(f"read the configuration in {file}", found, hint)


class NotReady(UsageError):
    """The environment lacks what the run settings ask for: secrets, ports, networks, volumes. All at once."""


class SourceError(ReleaseError):
    """The git repository is not in a state to be released."""


class NothingToRelease(ReleaseError):
    """No commit since the last version changes what users get."""


class VersionTaken(ReleaseError):
    """The version exists with other content; a released version is never made again."""


class GateFailed(ReleaseError):
    """A stage stopped the chain.

    Args:
        stage: the stage's name.
        found: what it found.
        hint: what to do next.
        tail: the last lines of the stage's log, for the reader.
    """

    def __init__(self, stage: str, found: str, hint: str = "", tail: Sequence[str] = ()) -> None:
        """Keep the stage's name and the end of its log."""
        super().__init__(f"pass the gate {stage!r}", found, hint)
        self.stage = stage
        self.tail = tuple(tail)


class Cancelled(ReleaseError):
    """The work was stopped from outside: an earlier gate failed, or a signal arrived."""


class CommandFailed(ReleaseError):
    """A program exited with a status other than 0; `status` and `tail` (its last lines) are kept."""

    def __init__(self, argv: Sequence[str], status: int, tail: Sequence[str]) -> None:
        """Name the program and its first words; the tail is for the renderer."""
        super().__init__(f"run `{' '.join(argv[:3])}`", f"exit status {status}")
        self.argv = tuple(argv)
        self.status = status
        self.tail = tuple(tail)


class LedgerError(ReleaseError):
    """The ledger could not be read or written."""


class NotALedger(LedgerError):
    """The branch exists and holds something that is not a ledger."""


class LedgerRewritten(LedgerError):
    """The ledger was rewound, replaced or deleted, or has forked.

    Args:
        attempted: what was tried, and on which ledger.
        found: what it was, and what it is now.
        hint: what to do next.
        seen: the commit that it contained before.
        now: the commit that it is at now; None when it is gone.
    """

    def __init__(self, attempted: str, found: str, hint: str = "", *, seen: str, now: str | None) -> None:
        """Keep both commits."""
        super().__init__(attempted, found, hint)
        self.seen = seen
        self.now = now


class LedgerUnproven(LedgerError):
    """A commit of the ledger breaks its rules. Commands read the ledger up to the commit before it."""


class LedgerUnsigned(LedgerUnproven):
    """A commit that must be signed is not, or not by an allowed signer."""


class LedgerShallow(LedgerError):
    """This clone has only the end of the ledger's history, as after `git clone --depth 1`."""


class RecordUnknown(LedgerError):
    """A later version of the library wrote the record: its kind or its schema is not known here."""


class LedgerRejected(LedgerError):
    """The server refused the append for a reason that trying again does not cure."""


class LedgerMissing(LedgerError):
    """There was a ledger, and its branch is neither in this clone nor on the git remote."""


class LedgerUnreachable(LedgerError):
    """The git remote does not answer."""

    exit_code = 6


class RegistryError(ReleaseError):
    """The registry answered with an error or with bytes that do not hash to their digest."""


class TransferBroken(RegistryError):
    """An upload ended early, though the registry would take it: another attempt may finish it."""


class RegistryUnreachable(RegistryError):
    """The registry does not answer."""

    exit_code = 6


class EngineError(ReleaseError):
    """The engine answered with an error."""


class NameTaken(EngineError):
    """A container of that name exists on the engine."""


class ImageLost(EngineError):
    """The engine lacks an image, or has its name and documents and lost some of its layers."""


class PortTaken(EngineError):
    """A port that a container is to publish is in use on the engine's machine."""


class ProxyError(EngineError):
    """The proxy before a service does not answer, or does not do what it was asked to."""


class EngineUnreachable(EngineError):
    """The engine does not answer."""

    exit_code = 6


class NoQuorum(EngineUnreachable):
    """The managers of a cluster have no majority: they answer, and nobody can tell or decide anything."""


class TargetUnavailable(ReleaseError):
    """`--to` names nothing in the ledger, several things, or a release whose bytes are nowhere."""

    exit_code = 6


class LockHeld(ReleaseError):
    """Another deployment of this environment is under way."""

    exit_code = 5


class DeploymentFailed(ReleaseError):
    """The deployment failed where nothing ran before, and nothing was left behind.

    Args:
        attempted: what was tried, and where.
        found: what went wrong, and what the end state is.
        hint: what to do next.
        tail: the last lines that the new container wrote, for the reader.
    """

    def __init__(self, attempted: str, found: str, hint: str = "", tail: Sequence[str] = ()) -> None:
        """Keep the end of the container's output beside the message."""
        super().__init__(attempted, found, hint)
        self.tail = tuple(tail)


class Restored(DeploymentFailed):
    """The deployment failed; what ran before it runs again and was verified."""

    exit_code = 3


class NotMigrated(DeploymentFailed):
    """The new release runs and was verified; the command that migrates the data after it did not succeed."""

    exit_code = 4


class MixedState(DeploymentFailed):
    """The deployment failed and so did the restoration; the message lists what is where."""

    exit_code = 4
