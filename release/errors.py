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
    │   ├── ProxyError              1  the proxy before a service does not answer, or did not obey a command
    │   └── EngineUnreachable       6  the engine does not answer
    │       └── NoQuorum            6  the managers of a cluster have no majority and decide nothing
    ├── TargetUnavailable           6  `--to` names nothing that can be deployed
    ├── LockHeld                    5  another deployment of this environment is under way
    └── DeploymentFailed            1  the deployment failed; nothing was replaced, or nothing ran before
        ├── Restored                3  the deployment failed; what ran before runs again
        ├── NotMigrated             4  the new release runs, and the command that migrates the data failed
        └── MixedState              4  the deployment failed and left what the message lists

The numbers are exit statuses. Nothing is decided from the wording of a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from release.text.shortening import shortened
from release.values import Struct

LONGEST: Final = 20_000
"""Characters of one part of an error; longer text of other programs is cut, while a log has all of it."""


class ReleaseError(Exception):
    """Base of every error of this library.

    Args:
        attempted: the attempted action with its object, as "read the lockfile api/uv.lock".
        found: the fact that prevented the action.
        hint: the next step for the reader, a command if possible.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, attempted: str, found: str, hint: str = "") -> None:
        """Keep the three parts, so that a renderer can lay them out."""
        super().__init__(attempted, found, hint)
        self.attempted = shortened(attempted, LONGEST)
        self.found = shortened(found, LONGEST)
        self.hint = shortened(hint, LONGEST)

    def __str__(self) -> str:
        """Return the message: one line, and the hint on a line of its own."""
        text = f"cannot {self.attempted}: {self.found}"
        return f"{text}\n  → {self.hint}" if self.hint else text


class UsageError(ReleaseError):
    """Error for a command line that makes no sense."""

    exit_code = 2


class Problem(Struct, frozen=True, kw_only=True):
    """Problem of a configuration: path of the key, and what is wrong with its value."""

    path: str
    message: str

    def __str__(self) -> str:
        """Return the problem on one line, as `path: message`; a problem of the whole file has no path."""
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(UsageError):
    """Error for an invalid `[tool.release]`, with all its problems."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        """Store the problems, in the order of the file."""
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        found, hint = f"{len(self.problems)} {noun}{lines}", "`invoke explain configuration` lists every key"
        super().__init__(f"read the configuration in {file}", found, hint)


class NotReady(UsageError):
    """Error for an environment that lacks secrets, ports, networks or volumes, all listed at once."""


class SourceError(ReleaseError):
    """Error for a git repository that is not in a state to be released."""


class NothingToRelease(ReleaseError):
    """Error for a release without a commit since the last version that changes what users get."""


class VersionTaken(ReleaseError):
    """Error for a version that exists with other content; a released version never changes."""


class GateFailed(ReleaseError):
    """Error of a stage that stopped the chain.

    Args:
        stage: the stage's name.
        found: result of the stage.
        hint: the next step.
        tail: the last lines of the stage's log, for the reader.
    """

    def __init__(self, stage: str, found: str, hint: str = "", tail: Sequence[str] = ()) -> None:
        """Keep the stage's name and the end of its log."""
        super().__init__(f"pass the gate {stage!r}", found, hint)
        self.stage = stage
        self.tail = tuple(tail)


class Cancelled(ReleaseError):
    """Error for work that was stopped by an earlier failed gate, or by a signal."""


class CommandFailed(ReleaseError):
    """Error for a program that failed with an exit status; `tail` has its last lines."""

    def __init__(self, argv: Sequence[str], status: int, tail: Sequence[str]) -> None:
        """Name the program and its first words; the tail is for the renderer."""
        super().__init__(f"run `{' '.join(argv[:3])}`", f"exit status {status}")
        self.argv = tuple(argv)
        self.status = status
        self.tail = tuple(tail)


class LedgerError(ReleaseError):
    """Error for a ledger that could not be read or written."""


class NotALedger(LedgerError):
    """Error for a branch that exists but is not a ledger."""


class LedgerRewritten(LedgerError):
    """Error for a ledger that was rewound, replaced or deleted, or has forked.

    Args:
        attempted: the attempted action with the ledger.
        found: the earlier and the current state.
        hint: the next step.
        seen: commit that the ledger contained before.
        now: current commit of the ledger; None if there is none.
    """

    def __init__(self, attempted: str, found: str, hint: str = "", *, seen: str, now: str | None) -> None:
        """Keep both commits."""
        super().__init__(attempted, found, hint)
        self.seen = seen
        self.now = now


class LedgerUnproven(LedgerError):
    """Error for a commit that breaks the ledger's rules. Commands read the commits before it."""


class LedgerUnsigned(LedgerUnproven):
    """Error for a commit without a signature of an allowed signer, where a signature is required."""


class LedgerShallow(LedgerError):
    """Error for a clone with only the end of the ledger's history, as after `git clone --depth 1`."""


class RecordUnknown(LedgerError):
    """Error for a record of a later version of the library, with an unknown kind or schema."""


class LedgerRejected(LedgerError):
    """Error for an append that the server refuses; another attempt would be refused too."""


class LedgerMissing(LedgerError):
    """Error for a ledger whose branch is now neither in this clone nor on the git remote."""


class LedgerUnreachable(LedgerError):
    """Error for a git remote that does not answer."""

    exit_code = 6


class RegistryError(ReleaseError):
    """Error for a registry that answers with an error, or with bytes of another digest."""


class TransferBroken(RegistryError):
    """Error for an upload that ended early and can be repeated."""


class RegistryUnreachable(RegistryError):
    """Error for a registry that does not answer."""

    exit_code = 6


class EngineError(ReleaseError):
    """Error for an engine that answers with an error."""


class NameTaken(EngineError):
    """Error for a container name that the engine already has."""


class ImageLost(EngineError):
    """Error for an image that the engine lacks, as a whole or some layers."""


class PortTaken(EngineError):
    """Error for a port that is already in use on the engine's machine."""


class ProxyError(EngineError):
    """Error for a proxy that does not answer, or does not do what was asked."""


class EngineUnreachable(EngineError):
    """Error for an engine that does not answer."""

    exit_code = 6


class NoQuorum(EngineUnreachable):
    """Error for a cluster whose managers have no majority, and so cannot decide anything."""


class TargetUnavailable(ReleaseError):
    """Error for a `--to` that names nothing, several things, or a release whose image is lost."""

    exit_code = 6


class LockHeld(ReleaseError):
    """Error for an environment that another deployment has locked."""

    exit_code = 5


class DeploymentFailed(ReleaseError):
    """Error for a failed deployment that replaced nothing, or that had nothing to restore.

    Args:
        attempted: the attempted action with the environment.
        found: the failure, and the resulting state.
        hint: the next step.
        tail: the last lines that the new container wrote, for the reader.
    """

    def __init__(self, attempted: str, found: str, hint: str = "", tail: Sequence[str] = ()) -> None:
        """Keep the end of the container's output beside the message."""
        super().__init__(attempted, found, hint)
        self.tail = tuple(tail)


class Restored(DeploymentFailed):
    """Error for a failed deployment, after which the earlier release runs again and was verified."""

    exit_code = 3


class NotMigrated(DeploymentFailed):
    """Error for a deployment whose new release runs, but whose migration command afterwards failed."""

    exit_code = 4


class MixedState(DeploymentFailed):
    """Error for a failed deployment whose restoration also failed; the message lists what runs where."""

    exit_code = 4
