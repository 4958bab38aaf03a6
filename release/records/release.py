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

NO_COMMIT: Final = "0" * 40
"""Commit of an adopted release: the id that git uses for no object."""


class Descriptor(Part):
    """Digest and size of a blob in bytes (OCI Image Specification 1.1, "Content Descriptors")."""

    digest: DigestText
    size: int


def _a_repository(text: str) -> str:
    """Return the text. Raise ValueError if it is not the name of an image repository."""
    Repository(text)
    return text


class Image(Part):
    """Released image. `digest` is that of the manifest; `config_digest` covers every uncompressed layer."""

    repository: Annotated[str, AfterValidator(_a_repository)]
    digest: DigestText
    media_type: str
    size: int
    """Size of the manifest in bytes."""
    platform: str
    config_digest: DigestText
    layers: tuple[Descriptor, ...]


class Source(Part):
    """Commit that was built."""

    commit: GitId
    tree: GitId | None = None
    """Tree of the commit; missing only in a recovered release."""
    commit_time: Moment
    remote: str | None = None
    tag: GitName
    """Git tag that was created with this record."""


class LockFile(Part):
    """Lockfile; `packages` maps normalised names to versions."""

    kind: str
    path: str
    sha256: Hex64
    packages: dict[str, str]


class Base(Part):
    """Base image of the Dockerfile, with the digest that was used."""

    reference: str
    digest: DigestText


class BuildInputs(Part):
    """Inputs of the build, with which the build can be repeated."""

    dockerfile: str
    dockerfile_sha256: Hex64 | None = None
    """This key and the four tools below are missing only in a recovered release."""
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
    """Program and arguments of the tests' container, as the engine reports them."""
    evidence: Literal["junit", "output", "exit-status"]
    """`junit`: a report. `output`: a count in the output. `exit-status`: only the status, as configured."""
    count: int | None = None
    """Number of tests that ran; missing if it is unknown."""
    skipped: int | None = None
    """Number of skipped tests, if a report has this number."""
    reason: str | None = None
    """Configured reason for a proof by exit status only."""


class SmokeMeasurements(Part):
    """Measurements of the smoke run."""

    image_size: int
    """Size of the image in bytes, in the engine that ran the smoke test."""
    ready_ms: int | None = None
    """Milliseconds from the start of the container to the first expected answer."""
    peak_memory: int | None = None
    """Peak memory in bytes with page cache; missing if the engine does not report it."""


class Gate(Part):
    """Result of one stage."""

    name: str
    status: Literal["passed"]
    started: Moment
    duration_ms: int
    evidence_sha256: Hex64
    run: str | None = None
    """Earlier run that passed the gate with the same inputs; missing: the record's own run."""
    signed_by: str | None = None
    """Fingerprint of the key that signed `run`; missing: that run was in the same clone."""
    tests: TestsRan | None = None
    """Only in the gate `test`; missing in older releases."""
    companions: dict[Slug, str] | None = None
    """Services that were started with the container: digest or id of each image by name."""
    measured: SmokeMeasurements | None = None
    """Only in the gate `smoke`; missing in older releases."""
    findings: tuple[Brief, ...] | None = None
    """Findings that the settings do not treat as errors; missing if there are none."""
    waivers: dict[str, str] | None = None
    """Findings that the settings allow: package and reason."""


class EvidenceFile(Part):
    """File that a gate wrote."""

    digest: DigestText
    size: int
    media_type: str


class Evidence(Part):
    """Files that the gates of a release wrote, kept by their hashes."""

    artifact: DigestText
    """Digest of the manifest of these files (OCI Image Specification 1.1, "Guidelines for Artifact Usage").
    """
    kept: Literal["registry", "clone"]
    """`registry`: beside the image. `clone`: in the folder `.release/evidence` of the releasing clone."""
    files: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")], EvidenceFile]
    """Files by name, as "junit.xml"."""


class Migrations(Part):
    """Migration files of a commit that match the configured paths."""

    count: int
    head: str
    """Last path in text order; empty if there is none."""
    sha256: Hex64
    """Hash of paths and git ids; releases with the same hash have the same migrations."""


class RecoverySource(Part):
    """Source of a recovered release: read from the image after the ledger was lost."""

    origin: str
    """Repository from which the release was read."""
    unknown: tuple[str, ...]
    """Paths of unknown values, as "build.buildkit"; a list or value at such a path has no meaning."""
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
"""Keys that only a recovered release may lack; it lists them in `recovered.unknown`."""


def _strict_unless_recovered(schema: dict[str, Any]) -> None:
    """Add the rule to the JSON Schema: without `recovered`, these keys are required."""
    names = [path.partition(".") for path in KNOWN_UNLESS_RECOVERED]
    below: dict[str, Any] = {}
    for parent, _, name in names:
        if name:
            below.setdefault(parent, {"required": []})["required"].append(name)
    schema["if"] = {"properties": {"recovered": False}}
    schema["then"] = {"required": [parent for parent, _, name in names if not name], "properties": below}


class Release(Part):
    """Release: a version with the digest of its image, which never changes."""

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
    """Present only if paths of migrations are configured."""
    evidence: Evidence | None = None
    """Missing in older and recovered releases, and if no files were stored."""
    recovered: RecoverySource | None = None
    """Present only if the release was recovered from its image, or adopted."""
    adopted: Slug | None = None
    """Environment where `invoke adopt` found the image; missing for releases that this library made."""

    @property
    def is_recovered(self) -> bool:
        """Return whether the record was recovered from an image of this library."""
        return self.recovered is not None and self.adopted is None

    @property
    def candidate_tag(self) -> str:
        """Return the tag that keeps the image in its repository and in engines; it never moves."""
        if self.adopted is not None:
            return f"adopted-{self.image.digest.removeprefix('sha256:')[:12]}"
        return f"sha-{self.source.commit}"

    @model_validator(mode="after")
    def _complete_unless_recovered(self) -> Release:
        told = self.recovered.unknown if self.recovered is not None else ()
        lacking = [path for path in KNOWN_UNLESS_RECOVERED if attrgetter(path)(self) is None]
        wrong = [path for path in lacking if path not in told]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: missing, and not listed in `recovered.unknown`")
        return self
