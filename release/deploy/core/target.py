"""Target of deployments: one Docker Engine, or a cluster.

Plan, record, lock, secrets, status and rollback are the same for all of them; a target knows how to look,
what can fail beforehand, how to make a release run, and how to put back what ran before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from release.cancellation import Cancellation
from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.image_location import Bytes, Tell, unheard
from release.deploy.core.lock_store import LockStore
from release.deploy.core.place import ContainerSet, Identity, Place
from release.deploy.core.verbs import attempt
from release.errors import Problem, UsageError
from release.events import Emit
from release.images.engine import ContainerState
from release.records import Image, Release
from release.redact import Mask, Redacted
from release.reference import Digest
from release.runspec import RunSpec
from release.values import Struct

Way = Literal["finish", "revert"]
"""Way to end an interrupted rollout."""


Strategy = Literal["stop-first", "start-first", "rolling", "first", "verify"]
"""Way to replace what runs. `rolling`: a few instances at a time, by the target itself; `first`: nothing
runs yet; `verify`: it runs already as asked, and is only looked at."""


class RolloutRequest(Struct, frozen=True, kw_only=True):
    """Request to a target: the release, its settings, and what was there when the plan was made."""

    place: Place
    identity: Identity
    image: Image
    spec: RunSpec
    secrets: Mapping[str, Redacted]
    before: ContainerSet
    old: RunSpec | None
    """The recorded settings of what runs; None where the ledger does not know it."""
    health_timeout: int
    """Milliseconds."""
    watch: int = 0
    """Milliseconds that it must stay healthy then, while what ran before is kept."""
    replaces: str | None = None
    """The deployment that ran before, as the one says that ended in the middle and is gone on with."""
    key: FingerprintKey | None = None
    """Key of the seals of secrets, for targets that keep them; None without secrets."""

    reason: str = "promote"
    """Of the deployment, as its record has it."""

    def __str__(self) -> str:
        """For people: `0.2.0 of api in production`."""
        return f"{self.identity.version} of {self.place}"

    @property
    def attempt(self) -> str:
        """Return what is attempted, as errors say it."""
        return attempt(self.reason, self)


class RolloutContext(Struct, frozen=True, kw_only=True):
    """Context of a rollout, with its cancellation."""

    emit: Emit
    cancellation: Cancellation
    mask: Mask
    still_mine: Callable[[], None] = lambda: None
    """Raises LockHeld where somebody else has the lock by now: asked before anything is taken away."""


class Target(Protocol):
    """Place where the releases of one environment run."""

    @property
    def name(self) -> str:
        """Return what plans and records call it: the engine's address."""

    def lock_store(self, image: Digest | None = None) -> LockStore:
        """Return the store of the lock. To create one, the id of a pulled image may be needed."""

    def look(self) -> ContainerSet:
        """Return what runs now. Raises EngineError."""

    def stranger(self) -> ContainerState | None:
        """Return what stands under the place's name and was made by no deployment. Raises EngineError."""

    def id_of(self, image: Image) -> Digest:
        """Return what `ContainerState.image` says of something that runs this released image."""

    def locate(self, image: Image, tell: Tell = unheard) -> Bytes:
        """Return the place of the image; `tell` reports a question to a registry. Raises EngineError."""

    def fetch(self, release: Release, spec: RunSpec, found: Bytes, emit: Emit) -> None:
        """Bring the bytes to where these settings may make it run, and keep them from being tidied away.

        Raises:
            RegistryError, TargetUnavailable, EngineError.
        """

    def settings_problems(self, spec: RunSpec, image: Image | None = None) -> list[Problem]:
        """Return what the settings, and this image, ask for and the target lacks. Raises EngineError."""

    def cautions(self) -> tuple[str, ...]:
        """Return what may cost a request all the same, for the plan."""

    def occupation_problems(self, spec: RunSpec, ours: ContainerSet) -> list[Problem]:
        """Ports and names that others than `ours` have. Not asked while a deployment goes on.

        Raises EngineError.
        """

    def strategy(self, spec: RunSpec) -> Strategy:
        """Return how it replaces what runs."""

    def patience(self, spec: RunSpec, health_timeout: int) -> int:
        """Milliseconds that a rollout may take at the longest, without putting back."""

    def roll_out(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Make the release run; the evidence that it serves, in a few words.

        Raises:
            DeploymentFailed: nothing was touched, or nothing ran before and nothing runs now.
            Restored: what ran before runs again, proven in the same way.
            MixedState: that failed too; the message lists what is where.
            LockHeld: what runs was changed by somebody else in the same moment; nothing was touched.
        """

    def objection(self, order: RolloutRequest, way: Way) -> UsageError | None:
        """Return why a rollout that ended in the middle cannot be finished, or reverted; None where it can.

        `order.before` is what is there now, the containers of the order among it. Raises EngineError.
        """

    def resume(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Complete what a rollout of this order began and did not end. See `roll_out`.

        `order.before` is what is there now, the containers of the order among it.
        """

    def retract(self, order: RolloutRequest, means: RolloutContext) -> str:
        """Undo what a rollout of this order began and did not end: what ran before runs again.

        Returns:
            What is there now, in a few words.

        Raises:
            DeploymentFailed: nothing ran before, and nothing runs now.
            MixedState: the message lists what is where.
        """

    def verify(self, order: RolloutRequest, means: RolloutContext) -> str:
        """See what runs serve, without touching it; the evidence. Raises DeploymentFailed."""
