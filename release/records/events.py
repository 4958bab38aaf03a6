"""Records of events: deployments, quarantines, freezes, checks, operations, notes."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeVar

from release.capped import Brief
from release.config.kinds import Slug
from release.records.adoption import Adoption
from release.records.parts import DeploymentId, DigestText, Hex64, Moment, Part
from release.runspec import RunSpec


class TargetState(Part):
    """One target of an environment at the end of a deployment."""

    name: str
    status: Literal["healthy", "restored", "failed", "untouched"]
    digest: DigestText | None = None
    detail: Brief = ""


class Undoing(Part):
    """Migrations that a command undoes before an older release is deployed. The command changes the data."""

    migrations: tuple[str, ...]
    """Paths of the migrations."""
    command: tuple[str, ...]
    version: str
    """Version of the release with these migrations; the command runs in its image."""
    status: Literal["planned", "done", "uncertain"]
    """`planned`: in the start event. `uncertain`: the command began, and a part may be done."""
    ran: tuple[str, ...] | None = None
    """Program and arguments of the container, as the engine reports them; missing in older events."""


class Upgrade(Part):
    """Command that migrates the data for a release. The command changes the data."""

    command: tuple[str, ...]
    version: str
    """Version of the release in whose image the command runs."""
    status: Literal["planned", "done", "uncertain"]
    """`planned`: in the start event; in a later event, the command never ran. `uncertain`: the command began,
    and a part may be done.
    """
    ran: tuple[str, ...] | None = None
    """Program and arguments of the container, as the engine reports them."""
    when: Literal["after"] | None = None
    """Time of the command; missing: before the first replacement."""


DataChange = Undoing | Upgrade
C = TypeVar("C", bound=Undoing | Upgrade)


class GroupDeployment(Part):
    """Deployment of several services together. Each service has events of its own, with the same group."""

    id: DeploymentId
    """Id of the group deployment, the same in the events of all services."""
    name: Slug | None = None
    """Name of the group in the configuration; missing: the services were named on the command line."""
    services: tuple[Slug, ...]
    """Services in the order of replacement, also services that needed no change."""
    stops: tuple[Slug, ...] | None = None
    """Services that a rollback stops when the others are proven: they did not run at that time."""

    def __str__(self) -> str:
        """For people: `the group shop (api, worker)`."""
        names = ", ".join(self.services)
        return f"the group {self.name} ({names})" if self.name is not None else f"the group of {names}"


class Deployment(Part):
    """Event of one attempt to deploy a release to an environment: its start or its end."""

    kind: ClassVar[str] = "deployment"

    deployment: DeploymentId
    """Id of the attempt, the same in all its events."""
    environment: Slug
    release: Hex64
    """Id of the release record."""
    digest: DigestText
    run_spec: RunSpec
    previous: DeploymentId | None = None
    reason: Literal["promote", "rollback", "hotfix"]
    message: str = ""
    status: Literal["started", "healthy", "restored", "failed", "mixed"]
    targets: tuple[TargetState, ...] = ()
    duration_ms: int | None = None
    took_lock_from: Brief | None = None
    """Holder of the lock that this deployment broke, as text; missing if no lock was broken."""
    down: Undoing | None = None
    """Present only if migrations are undone first; in the end event, only if that began."""
    up: Upgrade | None = None
    """Present only if a command migrates the data; in the end event, only if that began."""
    group: GroupDeployment | None = None
    """Present only if several services were deployed together."""
    adopted: Adoption | None = None
    """Present only if nothing was deployed: `invoke adopt` recorded what another program had started."""


class Quarantine(Part):
    """Rule that a release must not be deployed without an explicit option, or its end.

    The last record counts.
    """

    kind: ClassVar[str] = "quarantine"

    release: Hex64
    """Id of the release record."""
    environment: Slug | None = None
    """Environment; missing: everywhere."""
    message: str
    """Reason."""
    lifted: bool = False
    """True: the quarantine ends."""
    deployment: DeploymentId | None = None
    """Rollback that quarantined the release by itself, or deployment that lifted the quarantine."""


class Freeze(Part):
    """Rule that an environment accepts no deployments, or its end. The last record counts."""

    kind: ClassVar[str] = "freeze"

    environment: Slug
    message: str
    """Reason."""
    until: Moment | None = None
    """End of the freeze; missing: until somebody thaws the environment."""
    thawed: bool = False
    """True: the freeze ends."""
    deployment: DeploymentId | None = None
    """Rollback that froze the environment by itself, or deployment that thawed the environment."""


class ExaminedRelease(Part):
    """Release that a verification checked, with the result."""

    release: Hex64
    """Id of the release record."""
    digest: DigestText
    result: Literal["passed", "failed", "skipped"]
    """`skipped`: the release is in quarantine, so no rollback would use it."""
    problems: tuple[Brief, ...] = ()
    """Problems that would stop a rollback to this release."""
    unchecked: tuple[Brief, ...] = ()
    """Parts that were not, or could not be, checked."""


class Verification(Part):
    """Result of a check of possible rollbacks, of a drill, or of a rebuild."""

    kind: ClassVar[str] = "verification"

    what: Literal["readiness", "drill", "rebuild"]
    environment: Slug | None = None
    """Environment of the releases; missing for a rebuild."""
    result: Literal["passed", "failed"]
    releases: tuple[ExaminedRelease, ...]
    duration_ms: int
    """Duration of the check; of a passed drill, from the command's start to a healthy release."""
    detail: Brief = ""
    """Observation, in a few words."""


class Operation(Part):
    """Operation on running containers, as a restart, which does not change the release."""

    kind: ClassVar[str] = "operation"

    operation: DeploymentId
    """Id of the operation, the same in the records of its start and its end."""
    what: Literal["run", "exec", "restart", "stop", "start"]
    environment: Slug
    process: Slug | None = None
    """Process of the environment; missing: all processes."""
    release: Hex64
    """Id of the record of the running release."""
    deployment: DeploymentId
    """Deployment that started the running containers."""
    command: tuple[Brief, ...] | None = None
    """Program and arguments of `run` and `exec`. Arguments that look like secrets are `***`."""
    message: str = ""
    """Reason."""
    status: Literal["started", "done", "failed"]
    exit_status: int | None = None
    """Exit status of the command, in the record of the end."""
    duration_ms: int | None = None
    detail: Brief = ""
    """Observation at the end, in a few words."""


class Note(Part):
    """Sentence for people who read the ledger."""

    kind: ClassVar[str] = "note"

    text: Brief
