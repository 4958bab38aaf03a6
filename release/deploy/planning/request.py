"""The request for a deployment or a rollback: a release, a reason, and the exceptions that are allowed."""

from __future__ import annotations

from release.deploy.core.place import Place
from release.deploy.core.verbs import attempt
from release.deploy.planning.plan import Reason
from release.deploy.planning.policy import NOTHING, Allowance
from release.ledger.query import Event
from release.records import Record, Release
from release.values import Struct


class Request(Struct, frozen=True, kw_only=True):
    """An operator's request for a deployment or a rollback."""

    target: Record[Release]
    """Release that is to run."""
    reason: Reason
    """With today's settings (promote), or with those that it ran with (rollback)."""
    allowed: Allowance = NOTHING
    """Exceptions that the command line allows."""
    ran: Event | None = None
    """Healthy deployment whose settings a rollback restores; the release's last one if there is none."""

    @property
    def version(self) -> str:
        """Return the version of the target."""
        return self.target.body.version

    def attempted(self, place: Place) -> str:
        """Return the attempted action, for errors: "roll back to 0.1.0 of api in production"."""
        return attempt(self.reason, f"{self.version} of {place}")
