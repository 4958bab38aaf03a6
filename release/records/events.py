"""Records of events: deployments, quarantines, freezes, checks, operations, notes."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeVar

from release.capped import Brief
from release.config.kinds import Slug
from release.records.parts import DeploymentId, DigestText, Hex64, Moment, Part
from release.runspec import RunSpec


class TargetState(Part):
    """One target of an environment at the end of a deployment."""

    name: str
    status: Literal["healthy", "restored", "failed", "untouched"]
    digest: DigestText | None = None
    detail: Brief = ""


class Undoing(Part):
    """Migrations that a command undoes before an older release goes in: the data changes, however it ends."""

    migrations: tuple[str, ...]
    """Their paths."""
    command: tuple[str, ...]
    version: str
    """Of the release that brought them, in whose image the command runs."""
    status: Literal["planned", "done", "uncertain"]
    """`planned`: in the event that starts the attempt. `uncertain`: it began; a part of it may be done."""
    ran: tuple[str, ...] | None = None
    """The program of its container and its words, as the engine tells them; older events do not have it."""


class Upgrade(Part):
    """A command that migrates the data for a release: the data changes, however it ends."""

    command: tuple[str, ...]
    version: str
    """Version of the release in whose image the command runs."""
    status: Literal["planned", "done", "uncertain"]
    """`planned`: in the event that starts the attempt; in a later one it never ran. `uncertain`: it began;
    a part of it may be done."""
    ran: tuple[str, ...] | None = None
    """Program and arguments of its container, as the engine reports them."""
    when: Literal["after"] | None = None
    """Moment of the command; absent: before anything is replaced."""


DataChange = Undoing | Upgrade
C = TypeVar("C", bound=Undoing | Upgrade)


class GroupDeployment(Part):
    """Deployment of several services together: each has events of its own, which all name it."""

    id: DeploymentId
    """The same in the events of all its services."""
    name: Slug | None = None
    """Name of the group in the configuration; missing: the services were named on the command line."""
    services: tuple[Slug, ...]
    """Its services in the order of replacement, also those that ran as asked already."""

    def __str__(self) -> str:
        """For people: `the group shop (api, worker)`."""
        names = ", ".join(self.services)
        return f"the group {self.name} ({names})" if self.name is not None else f"the group of {names}"


class Deployment(Part):
    """One event of one attempt to make an environment run a release: an attempt starts, then ends."""

    kind: ClassVar[str] = "deployment"

    deployment: DeploymentId
    """The same in all events of one attempt."""
    environment: Slug
    release: Hex64
    """The id of the release record."""
    digest: DigestText
    run_spec: RunSpec
    previous: DeploymentId | None = None
    reason: Literal["promote", "rollback", "hotfix"]
    message: str = ""
    status: Literal["started", "healthy", "restored", "failed", "mixed"]
    targets: tuple[TargetState, ...] = ()
    duration_ms: int | None = None
    took_lock_from: Brief | None = None
    """Holder whose lock was broken for it, in words: present only if one was."""
    down: Undoing | None = None
    """There only where migrations are undone first; in an event that ends it, where that began."""
    up: Upgrade | None = None
    """Present only if a command migrates the data; in an event that ends it, if that began."""
    group: GroupDeployment | None = None
    """Present only if several services were deployed together."""


class Quarantine(Part):
    """A release that is not to be deployed without saying so, or is again. The last word decides."""

    kind: ClassVar[str] = "quarantine"

    release: Hex64
    """The id of the release record."""
    environment: Slug | None = None
    """Environment; missing: everywhere."""
    message: str
    """Reason."""
    lifted: bool = False
    """True: it may be deployed again."""
    deployment: DeploymentId | None = None
    """The rollback that set it aside by itself, or the deployment that lifted it."""


class Freeze(Part):
    """An environment takes no deployments for a while, or takes them again. The last word decides."""

    kind: ClassVar[str] = "freeze"

    environment: Slug
    message: str
    """Reason."""
    until: Moment | None = None
    """Its end; missing: when somebody thaws it."""
    thawed: bool = False
    """True: deployments may go on."""
    deployment: DeploymentId | None = None
    """The rollback that froze it by itself, or the deployment that thawed it."""


class ExaminedRelease(Part):
    """One release that a verification looked at, and what was found."""

    release: Hex64
    """The id of the release record."""
    digest: DigestText
    result: Literal["passed", "failed", "skipped"]
    """`skipped`: it is set aside, and nobody would go there."""
    problems: tuple[Brief, ...] = ()
    """Problems that would stop it."""
    unchecked: tuple[Brief, ...] = ()
    """Parts that were not, or could not be, checked."""


class Verification(Part):
    """A check of what would happen: whether releases could be put back, a rehearsal, or a rebuild."""

    kind: ClassVar[str] = "verification"

    what: Literal["readiness", "drill", "rebuild"]
    environment: Slug | None = None
    """Environment of the releases; missing for a rebuild."""
    result: Literal["passed", "failed"]
    releases: tuple[ExaminedRelease, ...]
    duration_ms: int
    """Of the whole check; of a drill that passed: from the command's start to verified healthy."""
    detail: Brief = ""
    """Observation, in a few words."""


class Operation(Part):
    """Something that an operator did with what runs: nothing of it changes which release that is."""

    kind: ClassVar[str] = "operation"

    operation: DeploymentId
    """The same in both records of one operation: that of its start, and that of its end."""
    what: Literal["run", "exec", "restart", "stop", "start"]
    environment: Slug
    process: Slug | None = None
    """Only this process of the environment; missing: all of them."""
    release: Hex64
    """The id of the release record of what runs there."""
    deployment: DeploymentId
    """The deployment of what runs there."""
    command: tuple[Brief, ...] | None = None
    """Program and arguments of `run` and `exec`. Arguments that look like secrets are `***`."""
    message: str = ""
    """Reason."""
    status: Literal["started", "done", "failed"]
    exit_status: int | None = None
    """Of the command, in the record of its end."""
    duration_ms: int | None = None
    detail: Brief = ""
    """Observation at the end, in a few words."""


class Note(Part):
    """A sentence for the people who read the ledger."""

    kind: ClassVar[str] = "note"

    text: Brief
