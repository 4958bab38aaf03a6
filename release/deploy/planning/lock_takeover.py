"""The deployment that may be under way here, and the one that this deployment takes the place of."""

from __future__ import annotations

from release.deploy.core import lock
from release.deploy.core.lock import Holder
from release.deploy.environment import journal
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.observe import Observation
from release.deploy.planning.policy import Allowance
from release.values import Struct


class Takeover(Struct, frozen=True, kw_only=True):
    """The lock of a place, and the interrupted deployment there."""

    holder: Holder | None = None
    """Holder that may be alive, and whose lock is not taken away."""
    breaks: Holder | None = None
    """Holder whose lock is taken away."""
    has_ended: bool = False
    """True: the lock is taken because its deployment has ended."""
    unfinished: str = ""
    """Deployment that was begun and never ended."""

    @property
    def broken(self) -> str:
        """Return the holder whose lock is taken over, as text; empty if there is none."""
        if self.breaks is None:
            return ""
        return f"{self.breaks}, whose deployment has ended" if self.has_ended else str(self.breaks)


def find_takeover(live: LiveEnvironment, observation: Observation, allowed: Allowance) -> Takeover:
    """Return whether the lock is taken over: by option, or because its deployment has ended."""
    found, unfinished = observation.holder, str(observation.unfinished or "")
    if found is not None and (allowed.break_lock or journal.ended(live, found.deployment)):
        return Takeover(breaks=found, has_ended=not allowed.break_lock, unfinished=unfinished)
    return Takeover(holder=lock.valid_holder(live.target.lock_store(), found), unfinished=unfinished)
