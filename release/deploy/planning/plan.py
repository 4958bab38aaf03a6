"""The plan of a deployment or a rollback, as a frozen value. `release.deploy.planning.make_plan` makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from release.deploy.core.place import Place
from release.deploy.core.rollout import Strategy
from release.ledger.release_diff import Change
from release.migrations import Crossing
from release.runspec import RunSpec
from release.values import Struct, plain

Reason = Literal["promote", "rollback"]


class Commits(Struct, frozen=True, kw_only=True):
    """First lines of commits, newest first."""

    lines: tuple[str, ...] = ()
    """At most as many as a plan lists."""
    count: int | None = 0
    """Number of all commits; None if this clone cannot count them."""


NO_COMMITS: Final = Commits()
"""No commit lies between two releases."""


class MigrationCommand(Struct, frozen=True, kw_only=True):
    """A command on the data, in a container beside what serves."""

    command: tuple[str, ...]
    version: str
    """Version of the release whose image it runs in."""
    image: str
    """Image by digest."""
    timeout: int
    """Milliseconds."""
    runs_after: bool = False
    """True: it runs when the new release is verified healthy, and not before anything is replaced."""


class ProcessStep(Struct, frozen=True, kw_only=True):
    """The part of a deployment for one process. Times in milliseconds."""

    process: str
    """Its name; empty for the only process of a release."""
    action: Literal["start", "replace", "stop"]
    """`start`: none of it runs yet. `stop`: the new release does not have it."""
    strategy: Literal["stop-first", "start-first", "rolling"]
    replicas: int
    """Number of containers that start; of a process that is stopped, of those that run."""
    exclusive: bool
    """True: two of it never run at the same time."""
    stop_signal: str | None
    """Signal that the old containers get, if the settings name one."""
    stop_grace: int | None
    """Time of each old container to stop after its signal; None if none runs."""
    most_ms: int
    """Time that the process may take at most."""


class Side(Struct, frozen=True, kw_only=True):
    """One side of the change. `moment` is the time of its deployment (before) or release (after)."""

    version: str
    digest: str
    commit: str
    moment: str
    who: str
    message: str = ""
    deployment: str = ""
    """Deployment that runs it; empty for a release that is yet to run."""
    recovered: bool = False
    """True: the release's record was recovered from its image."""
    status: str = ""
    """Status of that deployment: healthy, started, failed, mixed. If nothing is recorded of it, unknown: then
    `moment` is when the container was started, and `who` is empty."""


class Changes(Struct, frozen=True, kw_only=True):
    """Differences between the running and the planned release."""

    settings: tuple[Change, ...] = ()
    secrets: Mapping[str, str] = {}
    """By name: rotated, not comparable, added or removed; a secret that is the same is not listed."""
    undone: Commits = NO_COMMITS
    added: Commits = NO_COMMITS
    packages: tuple[Change, ...] = ()
    bases: tuple[Change, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the keys of a plan that list differences."""
        return {
            "settings": [plain(change) for change in self.settings],
            "secrets": dict(self.secrets),
            "undone": self.undone.lines,
            "undone_count": self.undone.count,
            "added": self.added.lines,
            "added_count": self.added.count,
            "packages": [plain(change) for change in self.packages],
            "bases": [plain(change) for change in self.bases],
        }


class Plan(Struct, frozen=True, kw_only=True):
    """Plan of a deployment. Times in milliseconds, or in RFC 3339."""

    place: Place
    engine: str
    reason: Reason
    before: Side | None
    after: Side
    strategy: Strategy
    way: str
    """The strategy in words."""
    bytes_from: str
    expected_ms: int | None
    spec: RunSpec
    changes: Changes
    notes: tuple[str, ...]
    origins: Mapping[str, str] = {}
    """Place where each variable is written, secrets too, by name; empty for a rollback."""
    crossing: Crossing | None = None
    """Migrations that lie between; None if there are none, or none are configured."""
    down: MigrationCommand | None = None
    """Command that undoes them first, if one runs."""
    up: MigrationCommand | None = None
    """Command that migrates the data forward, if one runs."""
    then: tuple[str, ...] = ()
    """Records that are written with a healthy end: quarantines, freezes and their ends."""
    rehearsed: str = ""
    """Time and date of the last drill here."""
    watch: int = 0
    """Milliseconds that it must stay healthy, while what ran before is kept."""
    processes: tuple[ProcessStep, ...] = ()
    """Its processes in the order of replacement; empty if there is only one."""

    @property
    def most_ms(self) -> int | None:
        """Return the maximum time of the replacement; None if the plan only verifies."""
        if not self.processes or self.strategy == "verify":
            return None
        return sum(step.most_ms for step in self.processes) + self.watch

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON data."""
        return {
            "service": self.place.service,
            "environment": self.place.environment,
            "engine": self.engine,
            "reason": self.reason,
            "before": plain(self.before) if self.before is not None else None,
            "after": plain(self.after),
            "strategy": self.strategy,
            "bytes_from": self.bytes_from,
            "expected_ms": self.expected_ms,
            "spec": self.spec.model_dump(mode="json", exclude_none=True),
            **self.changes.to_json(),
            "notes": self.notes,
            "origins": dict(self.origins),
            "crossing": plain(self.crossing) if self.crossing is not None else None,
            "down": plain(self.down) if self.down is not None else None,
            "up": plain(self.up) if self.up is not None else None,
            "then": self.then,
            "rehearsed": self.rehearsed,
            "watch": self.watch,
            "processes": [plain(step) for step in self.processes],
            "most_ms": self.most_ms,
        }
