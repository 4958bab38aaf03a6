"""The record of a release."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from release.capped import Brief
from release.config.kinds import GitName, Slug
from release.records.parts import DigestText, GitId, Hex64, Moment, Part, VersionText
from release.records.smoke import SmokeSpec
from release.reference import Repository


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


class BuildInputs(Part):
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
    """Proof that the tests of a release ran, and their command."""

    __test__: ClassVar[bool] = False

    argv: tuple[str, ...]
    """The program of the tests' container and its words, as the engine tells them."""
    evidence: Literal["junit", "output", "exit-status"]
    """`junit`: a report. `output`: a count in the output. `exit-status`: only the status, as configured."""
    count: int | None = None
    """Number of tests that ran; missing if it is unknown."""
    skipped: int | None = None
    """Number of skipped tests beside them, if a report has it."""
    reason: str | None = None
    """Reason why there is only the exit status, in the words of the configuration."""


class SmokeMeasurements(Part):
    """Measurements of the smoke run."""

    image_size: int
    """Bytes, as the engine that ran it has the image."""
    ready_ms: int | None = None
    """Milliseconds from the start of the container to its first right answer."""
    peak_memory: int | None = None
    """Bytes, with its page cache; missing if the engine does not tell."""


class Gate(Part):
    """One stage and what it showed."""

    name: str
    status: Literal["passed"]
    started: Moment
    duration_ms: int
    evidence_sha256: Hex64
    run: str | None = None
    """The earlier run that passed it on the same inputs; missing: the record's own run."""
    signed_by: str | None = None
    """Fingerprint of the key that vouched for `run`; missing: that run was in the same clone."""
    tests: TestsRan | None = None
    """There only in the gate `test`; older releases do not have it."""
    companions: dict[Slug, str] | None = None
    """The services that were started beside it: by name, each image by its digest or id."""
    measured: SmokeMeasurements | None = None
    """Only in the gate `smoke`; older releases do not have it."""
    findings: tuple[Brief, ...] | None = None
    """Findings that did not stop the release, as the settings have it; missing where there are none."""
    waivers: dict[str, str] | None = None
    """Findings that the settings allow: the package, and the reason for it."""


class EvidenceFile(Part):
    """A file that a gate wrote."""

    digest: DigestText
    size: int
    media_type: str


class Evidence(Part):
    """Files that the gates of a release wrote, kept by their hashes."""

    artifact: DigestText
    """Of the manifest that names them (OCI Image Specification 1.1, "Guidelines for Artifact Usage")."""
    kept: Literal["registry", "clone"]
    """`registry`: beside the image. `clone`: in the folder `.release/evidence` of the clone that released."""
    files: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")], EvidenceFile]
    """By name, as "junit.xml"."""


class Migrations(Part):
    """The migration files of a commit that match the configured paths."""

    count: int
    head: str
    """The last of their paths, in the order of text; empty where there is none."""
    sha256: Hex64
    """Over their paths and git ids: two releases of the same one have the same migrations."""


class RecoverySource(Part):
    """Source of a release whose ledger was lost: it was read from the image, not recorded at its time."""

    origin: str
    """The repository it was read from."""
    unknown: tuple[str, ...]
    """Paths of what could not be found out, as "build.buildkit"; a list or value there says nothing."""
    by: Literal["git-tag", "commit-tag", "version-tag"] | None = None
    """Source of the image's name: the message of the git tag, or a tag of the image."""


KNOWN_UNLESS_RECOVERED: Final = (
    "lock",
    "source.tree",
    "build.dockerfile_sha256",
    "build.buildkit",
    "build.buildx",
    "build.engine",
    "build.exporter",
)
"""Keys that only a recovered release may lack, and then it lists them in `recovered.unknown`."""


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
    build: BuildInputs
    gates: tuple[Gate, ...]
    smoke: SmokeSpec
    migrations: Migrations | None = None
    """There only where paths of migrations are configured."""
    evidence: Evidence | None = None
    """Missing in older and recovered releases, and where nothing was kept."""
    recovered: RecoverySource | None = None
    """There only when the release was reconstructed from its image."""

    @model_validator(mode="after")
    def _complete_unless_recovered(self) -> Release:
        told = self.recovered.unknown if self.recovered is not None else ()
        lacking = [path for path in KNOWN_UNLESS_RECOVERED if attrgetter(path)(self) is None]
        wrong = [path for path in lacking if path not in told]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: missing, and not listed in `recovered.unknown`")
        return self
