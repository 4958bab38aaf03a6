"""A rollout as its target is asked for it: the release, its settings, and what was there before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import Identity, Place
from release.deploy.core.verbs import attempt
from release.events import Emit
from release.programs.cancellation import Cancellation
from release.records import Image
from release.runspec import RunSpec
from release.secrets.redact import Mask, Redacted
from release.values import Struct, field

Way = Literal["finish", "revert"]
"""Way to end an interrupted rollout."""


Strategy = Literal["stop-first", "start-first", "rolling", "in-order", "first", "verify"]
"""Way to replace what runs. `rolling`: a few instances at a time, by the target itself; `in-order`: one
process after the other, each in its own way; `first`: nothing runs yet; `verify`: it runs already as asked,
and is only looked at."""


class RolloutRequest(Struct, frozen=True, kw_only=True):
    """Request to a target: the release, its settings, and the instances when the plan was made."""

    place: Place
    identity: Identity
    image: Image
    spec: RunSpec
    secrets: Mapping[str, Redacted]
    before: InstanceSet
    old: RunSpec | None
    """Recorded settings of the running release; None if the ledger has none."""
    health_timeout: int
    """Milliseconds."""
    health_timeouts: Mapping[str, int] = field(default_factory=dict)
    """Health timeouts of processes with their own, by process."""
    watch: int = 0
    """Milliseconds that the release must stay healthy, while the previous instances are kept."""
    replaces: str | None = None
    """Previous deployment, as named by the interrupted deployment that is finished."""
    key: FingerprintKey | None = None
    """Key of the seals of secrets, for targets that keep them; None without secrets."""

    reason: str = "promote"
    """Reason of the deployment, as recorded."""

    def __str__(self) -> str:
        """Return the request as text: `0.2.0 of api in production`."""
        return f"{self.identity.version} of {self.place}"

    @property
    def attempt(self) -> str:
        """Return the attempted action, for errors."""
        return attempt(self.reason, self)


Look = Callable[[], object]
"""Checks again that proven instances still serve. Raises DeploymentFailed, EngineError."""


class RolloutContext(Struct, frozen=True, kw_only=True):
    """Context of a rollout, with its cancellation."""

    emit: Emit
    cancellation: Cancellation
    mask: Mask
    still_mine: Callable[[], None] = lambda: None
    """Function that raises LockHeld if another holder has the lock. Called before each removal."""
    others: Callable[[Look], None] = lambda _: None
    """Called by every target when the rollout is proven, and what ran before can still be put back. It raises
    if other services of a group are not proven: then the rollout puts back what ran before."""
