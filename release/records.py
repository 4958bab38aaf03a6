"""What happened, as values: the records of the ledger.

A record is an envelope and a body of one kind. Its bytes are canonical JSON (RFC 8785: sorted keys, UTF-8,
no white space; here whole numbers only) and one newline; its id is the sha256 of those bytes, in hexadecimal.
Keys that this version does not know are kept; a kind or a schema of another major is refused.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar

import rfc8785
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from release import jsontext
from release.capped import RECORDED, Brief
from release.config.kinds import GitName, Slug
from release.errors import LedgerError, RecordUnknown
from release.reference import Repository
from release.runspec import Healthcheck, Probe, RunSpec
from release.scalars import Matching
from release.values import Struct

LIMITS: Final = jsontext.Bounds(size=4 * 1024 * 1024, depth=32)
"""Limits of a record. The largest real ones hold a package list of some thousand names: 200 kB."""

SCHEMA: Final = "1.0"
"""Version of the record format: the minor part grows with new keys, the major part with changed ones."""

_SEMVER: Final = (
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?"
)

DigestText = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
GitId = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]


def _a_real_moment(text: str) -> str:
    """Return the text. Raise ValueError for a month 13, a day 31 of February, an hour 24."""
    datetime.fromisoformat(text)
    return text


Moment = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"),
    AfterValidator(_a_real_moment),
]
"""RFC 3339 in UTC with milliseconds, so that text order is time order."""
VersionText = Annotated[str, Field(max_length=128), Matching(_SEMVER, 'a semantic version, as "1.4.2"')]
"""A semantic version that fits into an image's tag: 128 characters (OCI Distribution Specification 1.1)."""
DeploymentId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


class Part(BaseModel):
    """A frozen piece of a record. Keys from a later minor version are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class Actor(Part):
    """Who did it: git's name and address; `ci` names the CI system, if one ran."""

    name: str
    email: str
    ci: str | None = None


class Run(Part):
    """The run that did it: our run's id, and the CI job's address."""

    id: str
    url: str | None = None


class Descriptor(Part):
    """A blob: its digest and its size in bytes (OCI Image Specification 1.1, "Content Descriptors")."""

    digest: DigestText
    size: int


def _a_repository(text: str) -> str:
    """Return the text. Raise ValueError if it is not the name of an image repository."""
    Repository(text)
    return text


class Image(Part):
    """The released image. `digest` is the manifest's; `config_digest` covers every uncompressed layer."""

    repository: Annotated[str, AfterValidator(_a_repository)]
    digest: DigestText
    media_type: str
    size: int
    """Of the manifest, in bytes."""
    platform: str
    config_digest: DigestText
    layers: tuple[Descriptor, ...]


class Source(Part):
    """The commit that was built."""

    commit: GitId
    tree: GitId | None = None
    """Of the commit; missing only in a recovered release."""
    commit_time: Moment
    remote: str | None = None
    tag: GitName
    """The git tag that was made with this record."""


class LockFile(Part):
    """The lockfile; `packages` maps normalised names to versions."""

    kind: str
    path: str
    sha256: Hex64
    packages: dict[str, str]


class Base(Part):
    """A base image of the Dockerfile and what it resolved to."""

    reference: str
    digest: DigestText


class Built(Part):
    """Everything that went into the build, so that it can be repeated."""

    dockerfile: str
    dockerfile_sha256: Hex64 | None = None
    """This one and the four tools below are missing only in a recovered release."""
    context: str
    target: str | None = None
    args: dict[str, str]
    labels: dict[str, str]
    source_date_epoch: int
    buildkit: str | None = None
    buildx: str | None = None
    engine: str | None = None
    exporter: str | None = None
    timestamps: tuple[str, ...] = ()
    """Files of the new layers that carry a time of their own: empty for an image that is reproducible."""


class TestsRan(Part):
    """What shows that the tests of a release ran, and what was run."""

    __test__: ClassVar[bool] = False

    argv: tuple[str, ...]
    """The program of the tests' container and its words, as the engine tells them."""
    evidence: Literal["junit", "output", "exit-status"]
    """`junit`: a report. `output`: a count in the output. `exit-status`: only the status, as configured."""
    count: int | None = None
    """How many tests ran; missing where nothing tells it."""
    skipped: int | None = None
    """How many were skipped beside them, where a report tells it."""
    reason: str | None = None
    """Why the exit status is all there is, in the words of the configuration."""


class Gate(Part):
    """One stage and what it showed."""

    name: str
    status: Literal["passed"]
    started: Moment
    duration_ms: int
    evidence_sha256: Hex64
    run: str | None = None
    """The earlier run that passed it on the same inputs; missing: the record's own run."""
    tests: TestsRan | None = None
    """There only in the gate `test`; older releases do not have it."""
    companions: dict[Slug, str] | None = None
    """The services that were started beside it: by name, each image by its digest or id."""


_QUESTIONS: Final = ("probe", "tcp", "check", "stays_up")


class SmokeProcess(Part):
    """One smoke run as it was done: its questions, all of which were answered, and its settings."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [key]} for key in _QUESTIONS]})

    probe: Probe | None = None
    """The HTTP request; missing if another question was asked. Deployments repeat it."""
    tcp: tuple[int, ...] | None = None
    """Ports that accepted connections."""
    check: tuple[str, ...] | None = None
    """A program in the container that ended with status 0."""
    stays_up: int | None = None
    """Milliseconds that it ran without an end, a restart or a failed health check."""
    healthcheck: Healthcheck | None = None
    """With `stays_up`: the health check in the place of the image's own."""
    memory: int
    pids: int
    read_only: bool
    tmpfs: tuple[str, ...]
    env: dict[str, str]
    stop_grace: int
    stop_signal: str | None = None
    """The signal that it was sent; missing: SIGTERM, or it is not known."""
    command: tuple[str, ...] | None = None
    entrypoint: Literal["keep", "replace"] | None = None
    """There only with `command`."""
    init: bool | None = None
    user: str | None = None
    cap_add: tuple[str, ...] | None = None

    @property
    def asked(self) -> bool:
        """Return whether it has a question; without one, it was not run."""
        return any(getattr(self, key) is not None for key in _QUESTIONS)

    def runs(self, command: tuple[str, ...] | None, entrypoint: str | None) -> bool:
        """Return whether it ran this command in this way."""
        if command is None or self.command is None:
            return command is self.command
        return (self.command, self.entrypoint) == (command, entrypoint)


class SmokeSpec(SmokeProcess):
    """The smoke runs as they were done. Without a question of its own, it holds the processes alone."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [key]} for key in (*_QUESTIONS, "processes")]}
    )

    processes: dict[Slug, SmokeProcess] | None = None
    """Further runs of the same image, by the name of the process."""

    @model_validator(mode="after")
    def _asked_something(self) -> SmokeSpec:
        unasked = [name for name, each in (self.processes or {}).items() if not each.asked]
        if unasked or not (self.asked or self.processes):
            raise ValueError(f"{', '.join(unasked) or 'smoke'}: no question was asked")
        return self

    def probe_of(self, command: tuple[str, ...] | None, entrypoint: str | None) -> Probe | None:
        """Return the request for a container that runs this command: that of the run with the same command.

        Without such a run it is the request of the smoke run itself.
        """
        runs = [*([self] if self.asked else []), *(self.processes or {}).values()]
        return next((run for run in runs if run.runs(command, entrypoint)), self).probe


class Migrations(Part):
    """The migration files of a commit that match the configured paths."""

    count: int
    head: str
    """The last of their paths, in the order of text; empty where there is none."""
    sha256: Hex64
    """Over their paths and git ids: two releases of the same one have the same migrations."""


class Recovered(Part):
    """How a release came back after its ledger was lost: read from the image, not seen as it happened."""

    origin: str
    """The repository it was read from."""
    unknown: tuple[str, ...]
    """Paths of what could not be found out, as "build.buildkit"; a list or value there says nothing."""
    by: Literal["git-tag", "commit-tag", "version-tag"] | None = None
    """What named the image: the message of the git tag, or a tag of the image."""


KNOWN_UNLESS_RECOVERED: Final = (
    "lock",
    "source.tree",
    "build.dockerfile_sha256",
    "build.buildkit",
    "build.buildx",
    "build.engine",
    "build.exporter",
)
"""What only a recovered release may lack, and then it says so in `recovered.unknown`."""


def _strict_unless_recovered(schema: dict[str, Any]) -> None:
    """The same rule in JSON Schema: without `recovered` these keys are required."""
    names = [path.partition(".") for path in KNOWN_UNLESS_RECOVERED]
    below: dict[str, Any] = {}
    for parent, _, name in names:
        if name:
            below.setdefault(parent, {"required": []})["required"].append(name)
    schema["if"] = {"properties": {"recovered": False}}
    schema["then"] = {"required": [parent for parent, _, name in names if not name], "properties": below}


class Release(Part):
    """A version bound to one digest for ever."""

    kind: ClassVar[str] = "release"
    model_config = ConfigDict(json_schema_extra=_strict_unless_recovered)

    version: VersionText
    image: Image
    source: Source
    lock: LockFile | None = None
    """Missing only in a recovered release."""
    bases: tuple[Base, ...]
    build: Built
    gates: tuple[Gate, ...]
    smoke: SmokeSpec
    migrations: Migrations | None = None
    """There only where paths of migrations are configured."""
    recovered: Recovered | None = None
    """There only when the release was reconstructed from its image."""

    @model_validator(mode="after")
    def _complete_unless_recovered(self) -> Release:
        told = self.recovered.unknown if self.recovered is not None else ()
        lacking = [path for path in KNOWN_UNLESS_RECOVERED if attrgetter(path)(self) is None]
        wrong = [path for path in lacking if path not in told]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: missing, and not listed in `recovered.unknown`")
        return self


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
    """Whose lock was broken for it, in words: there only when one was."""
    down: Undoing | None = None
    """There only where migrations are undone first; in an event that ends it, where that began."""


class Quarantine(Part):
    """A release that is not to be deployed without saying so, or is again. The last word decides."""

    kind: ClassVar[str] = "quarantine"

    release: Hex64
    """The id of the release record."""
    environment: Slug | None = None
    """Where; missing: everywhere."""
    message: str
    """Why."""
    lifted: bool = False
    """True: it may be deployed again."""
    deployment: DeploymentId | None = None
    """The rollback that set it aside by itself, or the deployment that lifted it."""


class Freeze(Part):
    """An environment takes no deployments for a while, or takes them again. The last word decides."""

    kind: ClassVar[str] = "freeze"

    environment: Slug
    message: str
    """Why."""
    until: Moment | None = None
    """Its end; missing: when somebody thaws it."""
    thawed: bool = False
    """True: deployments may go on."""
    deployment: DeploymentId | None = None
    """The rollback that froze it by itself, or the deployment that thawed it."""


class Examined(Part):
    """One release that a verification looked at, and what was found."""

    release: Hex64
    """The id of the release record."""
    digest: DigestText
    result: Literal["passed", "failed", "skipped"]
    """`skipped`: it is set aside, and nobody would go there."""
    problems: tuple[Brief, ...] = ()
    """What speaks against it."""
    unchecked: tuple[Brief, ...] = ()
    """What was not, or could not be, judged."""


class Verification(Part):
    """A check of what would happen: whether releases could be put back, a rehearsal, or a rebuild."""

    kind: ClassVar[str] = "verification"

    what: Literal["readiness", "drill", "rebuild"]
    environment: Slug | None = None
    """Whose releases; missing for a rebuild."""
    result: Literal["passed", "failed"]
    releases: tuple[Examined, ...]
    duration_ms: int
    """Of the whole check; of a drill that passed: from the command's start to verified healthy."""
    detail: Brief = ""
    """What was seen, in a few words."""


class Note(Part):
    """A sentence for the people who read the ledger."""

    kind: ClassVar[str] = "note"

    text: Brief


Body = Release | Deployment | Quarantine | Freeze | Verification | Note
B = TypeVar("B", bound=Part)
B_co = TypeVar("B_co", bound=Part, covariant=True)

_Kind = type[Release] | type[Deployment] | type[Quarantine] | type[Freeze] | type[Verification] | type[Note]
KINDS: Final[dict[str, _Kind]] = {
    body.kind: body for body in (Release, Deployment, Quarantine, Freeze, Verification, Note)
}


class Genesis(Part):
    """Binding of a ledger to its repository and of a service to the ledger, in one record of each service."""

    ledger: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """Random id of the ledger; the same in every genesis of it."""
    roots: tuple[GitId, ...] = ()
    """Commits without a parent in the history of the code; empty if a shallow clone made the record."""


class Envelope(Part):
    """What every record says about itself. `seq` counts per service from 1; `prev` is the record before."""

    schema_: Annotated[str, Field(alias="schema", pattern=r"^\d+\.\d+$")] = SCHEMA
    kind: str
    service: Slug
    seq: Annotated[int, Field(ge=1)]
    prev: Hex64 | None
    recorded_at: Moment
    actor: Actor
    run: Run
    tool: str
    genesis: Genesis | None = None
    """Only in the first record of a service that a version with this key appended."""
    verified_head: GitId | None = None
    """Parent of the record's commit, if the writer required signatures and proved the ledger up to it."""


class Draft(Struct, Generic[B_co], frozen=True, kw_only=True):
    """A record that has not found its place in the chain yet."""

    service: str
    recorded_at: str
    actor: Actor
    run: Run
    tool: str
    body: B_co

    def of(self, body: B) -> Draft[B]:
        """The same about another body, or about one that is known better."""
        known: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__}
        return Draft(**known | {"body": body})

    def at(
        self,
        seq: int,
        prev: str | None,
        *,
        genesis: Genesis | None = None,
        verified_head: str | None = None,
    ) -> Record[B_co]:
        """The record at this place."""
        kind: str = getattr(self.body, "kind")  # noqa: B009 - a class variable of every body
        envelope = Envelope(
            kind=kind,
            service=self.service,
            seq=seq,
            prev=prev,
            recorded_at=self.recorded_at,
            actor=self.actor,
            run=self.run,
            tool=self.tool,
            genesis=genesis,
            verified_head=verified_head,
        )
        return Record(envelope=envelope, body=self.body)


class Record(Struct, Generic[B_co], frozen=True, kw_only=True, dict=True):
    """One entry of the ledger."""

    envelope: Envelope
    body: B_co

    @cached_property
    def id(self) -> str:
        """Sha256 of the record's bytes, 64 hexadecimal digits; for a read record, of the bytes as read."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Canonical JSON and a newline."""
        return rfc8785.dumps(self.to_json()) + b"\n"

    def to_json(self) -> dict[str, Any]:
        """The record as JSON data; keys without a value are left out, but `prev` is always there."""
        envelope = self.envelope.model_dump(mode="json", by_alias=True, exclude_none=True)
        return envelope | self.body.model_dump(mode="json", exclude_none=True) | {"prev": self.envelope.prev}

    def draft(self) -> Draft[B_co]:
        """The same record without its place."""
        known = self.envelope
        return Draft(
            service=known.service,
            recorded_at=known.recorded_at,
            actor=known.actor,
            run=known.run,
            tool=known.tool,
            body=self.body,
        )


def parse(content: bytes, name: str) -> Record[Body]:
    """Read a record back.

    Args:
        content: the bytes of the file.
        name: what to call it in an error, as its path in the ledger.

    Raises:
        RecordUnknown: another major, or a kind of a later version.
        LedgerError: not JSON within the limits, or an envelope or a body that is not of its kind.
    """
    envelope, data = parse_envelope(content, name)
    try:
        body = KINDS[envelope.kind].model_validate(data, context=RECORDED)
    except ValidationError as error:
        raise _damaged(name, error) from error
    record: Record[Body] = Record(envelope=envelope, body=body)
    record.__dict__["id"] = hashlib.sha256(content).hexdigest()
    return record


def parse_envelope(content: bytes, name: str, *, later: bool = False) -> tuple[Envelope, dict[str, Any]]:
    """Read a record's envelope; the second value is the data of its body. Raises as `parse`.

    `later` also reads the envelope of a record that a later version wrote.
    """
    try:
        data = jsontext.read_object(content, LIMITS)
        if not later:
            _check_known(data, name)
        envelope = Envelope.model_validate({key: data[key] for key in _OF_ENVELOPE if key in data})
    except ValueError as error:  # a ValidationError is one
        raise _damaged(name, error) from error
    return envelope, {key: value for key, value in data.items() if key not in _OF_ENVELOPE}


_OF_ENVELOPE: Final = tuple(field.alias or key for key, field in Envelope.model_fields.items())


def _damaged(name: str, error: ValueError) -> LedgerError:
    found = str(error).replace("\n", " ")[:300]
    return LedgerError(
        f"read the record {name}", f"it is damaged: {found}", "prove the ledger: invoke verify --ledger"
    )


def _check_known(data: dict[str, Any], name: str) -> None:
    schema, kind = str(data.get("schema"))[:40], str(data.get("kind"))[:40]
    if schema.split(".", maxsplit=1)[0] != SCHEMA.split(".")[0]:
        found = f"its schema is {schema}, and this version reads {SCHEMA}"
    elif kind not in KINDS:
        found = f"this version of the library does not know its kind {kind!r}"
    else:
        return
    raise RecordUnknown(f"read the record {name}", found, "upgrade the release library")
