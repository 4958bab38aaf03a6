"""The release that an adoption records: an image whose build is not known."""

from __future__ import annotations

from typing import Any, Final

from semver import Version

from release.deploy.core.adopted_image import AdoptedImage
from release.deploy.core.adoption import Candidate
from release.deploy.environment.environment import LiveEnvironment
from release.errors import UsageError
from release.ledger import query
from release.records import NO_COMMIT, BuildInputs, Record, RecoverySource, Release, SmokeSpec, Source
from release.runspec import RunSpec
from release.versioning.version import tag_prefix

_UNKNOWN: Final = (
    *("bases", "gates", "lock", "smoke", "source.commit", "source.tag", "source.tree"),
    *("build.args", "build.buildkit", "build.buildx", "build.context", "build.dockerfile"),
    *("build.dockerfile_sha256", "build.engine", "build.exporter", "build.labels", "build.source_date_epoch"),
    *("build.target", "build.timestamps"),
)
_MEMORY, _PIDS, _STAYS_UP = 256 * 1024**2, 256, 10_000


def version_of(
    live: LiveEnvironment, image: AdoptedImage, asked: str | None, known: Record[Release] | None
) -> str:
    """Return the version to record: that of the known release, the asked one, or one made from the digest.

    Raises UsageError: no version, or one that belongs to another image.
    """
    attempted = f"record the image {image.image.digest[:19]} as {asked}"
    if known is not None:
        if asked not in (None, known.body.version):
            found = f"the ledger has this image as {known.body.version}"
            raise UsageError(attempted, found, "leave --as-version out")
        return known.body.version
    if asked is None:
        return f"0.0.0-adopted.d{image.image.digest.removeprefix('sha256:')[:12]}"
    if not Version.is_valid(asked):
        raise UsageError(attempted, "it is not a semantic version", "write it as 1.4.1")
    taken = query.release_of_version(live.workspace.ledger, live.place.service, asked)
    if taken is not None:
        found = f"that version is the image {taken.body.image.digest}"
        raise UsageError(attempted, found, "choose another version, or leave --as-version out")
    return asked


def release_body(
    live: LiveEnvironment, candidate: Candidate, image: AdoptedImage, spec: RunSpec, version: str
) -> Release:
    """Return the record of the release. Keys that are not known have no meaning, and are listed.

    The commit is not taken from a label of the image: a label proves nothing, and a release of that commit
    could then not be made any more.
    """
    unknown = {*_UNKNOWN}
    unknown |= {"source.commit_time"} if not image.is_dated else set()
    kind, place = live.target.adoptions.kind, live.place
    prefix = tag_prefix(place.service, several=len(live.workspace.config.services) > 1)
    return Release(
        version=version,
        image=image.image,
        source=Source(commit=NO_COMMIT, commit_time=image.created, tag=f"{prefix}{version}"),
        bases=(),
        build=BuildInputs(dockerfile="Dockerfile", context=".", args={}, labels={}, source_date_epoch=0),
        gates=(),
        smoke=_no_smoke(spec),
        recovered=RecoverySource(
            origin=f"the {kind} {candidate.name} at {live.target.name}", unknown=tuple(sorted(unknown))
        ),
        adopted=place.environment,
    )


def _no_smoke(spec: RunSpec) -> SmokeSpec:
    """Return settings of a smoke run that never was; the record lists them as unknown."""
    given: dict[str, Any] = {"memory": spec.memory or _MEMORY, "pids": spec.pids or _PIDS}
    return SmokeSpec(
        stays_up=_STAYS_UP,
        read_only=spec.read_only,
        tmpfs=(),
        env={},
        stop_grace=spec.stop_grace,
        **given,
    )
