"""Recover releases from images and commits after the ledger was lost.

A git tag is pushed together with the record: the tag proves the release and names its image. The tag's commit
has to be in this clone. The record lists unknown fields; no value is invented.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from release.chain.assemble import read_committed_config
from release.chain.lockgate.gate import read_committed_lockfile
from release.chain.plan import SOURCE_DATE_EPOCH, Plan
from release.chain.publishing.tagged import By, TaggedVersion, find_tagged_versions, versions_without_git_tag
from release.chain.recovering.image_store import EngineImageStore, ImageStore, RegistryImageStore
from release.chain.smoking.record import recorded_smoke
from release.config import Config, Service
from release.errors import EngineUnreachable, RegistryError, RegistryUnreachable, ReleaseError
from release.git.commit_files import read_linked
from release.git.source import Commit
from release.git.source import Source as Clone
from release.git.tags import VersionTag, version_tags
from release.images.engine import Engine
from release.images.imageconfig import parse_config
from release.images.registry import Manifest, Registry
from release.records import BuildInputs, Descriptor, Image, LockFile, RecoverySource, Release, Source
from release.reference import Reference
from release.values import Struct
from release.versioning.version import tag_prefix

_LABEL: Final = "org.opencontainers.image."


_OUR_LABELS: Final = {f"{_LABEL}{name}" for name in ("title", "version", "revision", "created")}
"""Labels that a release sets on its image; other labels come from base image and Dockerfile."""


_NEVER_KNOWN: Final = (
    "bases",
    "gates",
    "build.buildkit",
    "build.buildx",
    "build.engine",
    "build.exporter",
    "build.timestamps",
)


_OF_ITS_SETTINGS: Final = ("build.dockerfile", "build.context", "build.target", "build.args", "smoke")
"""Fields with today's settings if the commit's cannot be read; recorded as unknown."""


class RecoveredReleases(Struct, frozen=True, kw_only=True):
    """Result of the recovery of one service."""

    service: str
    releases: tuple[Release, ...]
    """Releases by ascending version."""
    left_out: tuple[str, ...]
    """A sentence for each version that cannot be recorded, with the reason."""


class _RecoverableImage(Struct, frozen=True, kw_only=True):
    """One image that becomes a release record."""

    candidate: TaggedVersion
    found_by: By
    """Kind of name that found the image."""
    manifest: Manifest
    config: Mapping[str, Any]
    """The image's configuration (OCI Image Specification 1.1, "Image Configuration")."""
    commit: Commit
    settings: Service
    """Settings of the commit; today's settings if the commit's cannot be read."""
    has_settings: bool
    labels: Mapping[str, str]
    """Labels of the image."""


class ReleaseRecoverer:
    """Recovers the releases of one service."""

    def __init__(self, source: Clone, config: Config, service: Service) -> None:
        """Keep repository and settings; nothing is read yet."""
        self._source, self._config, self._service = source, config, service

    def recover(self) -> RecoveredReleases:
        """Recover releases from the registry; without a registry, from this machine's engine.

        Raises:
            RegistryUnreachable, EngineUnreachable: nothing can be said then.
        """
        if self._service.registry is None:
            with Engine.connect() as engine:
                return self.recover_from(EngineImageStore(engine, self._service))
        with closing(Registry(self._service.repository)) as registry:
            return self.recover_from(RegistryImageStore(registry))

    def recover_from(self, store: ImageStore) -> RecoveredReleases:
        """Recover releases from this store."""
        releases: list[Release] = []
        left_out: list[str] = []
        tags, names = self._version_tags(), store.list_tags()
        for tag in tags:
            try:
                (candidate,) = find_tagged_versions(self._source, self._service.service, (tag,), names)
                releases.append(self._recover_release(candidate, store))
            except (RegistryUnreachable, EngineUnreachable):
                raise
            except ReleaseError as error:
                left_out.append(f"{tag.version}: {error.found}" + (f"; {error.hint}" if error.hint else ""))
        left_out += [
            f"{version}: an image has this name, but there is no git tag {self._tag_prefix}{version}"
            for version in versions_without_git_tag(tags, names)
        ]
        return RecoveredReleases(
            service=self._service.service, releases=tuple(releases), left_out=tuple(left_out)
        )

    @property
    def _tag_prefix(self) -> str:
        return tag_prefix(self._service.service, several=self._config.several)

    def _version_tags(self) -> tuple[VersionTag, ...]:
        """Return the version tags, ascending by version."""
        return version_tags(self._source, self._tag_prefix, self._service.ledger.remote)

    def _recover_release(self, candidate: TaggedVersion, store: ImageStore) -> Release:
        """Return the release of one tag. Raises ReleaseError: no image, no commit, or a contradiction."""
        commit = self._source.commit(candidate.tag.commit)
        if commit is None:
            raise ReleaseError(
                f"recover the release {candidate.version}",
                f"this clone lacks the commit {candidate.tag.commit} of its git tag",
                "git fetch --unshallow --tags",
            )
        case = self._read_image_config(candidate, commit, *self._find_image(candidate, store))
        self._refuse_contradictions(case)
        try:
            return self._build_release(case)
        except ValidationError as error:
            raise _recovery_error(candidate, f"its image lacks data: {error}") from error

    def _find_image(self, candidate: TaggedVersion, store: ImageStore) -> tuple[By, Manifest, bytes]:
        """Return the image by the git tag's digest; else by the commit's tag; else by the version's tag."""
        repository, wanted = self._service.repository, candidate.digest
        places: list[tuple[By, Reference]] = []
        if wanted is not None:
            places.append(("git-tag", repository.at(wanted)))
        places += [(by, repository.tagged(name)) for by, name in candidate.names]
        others = []
        for by, place in places:
            found = store.read_image(place)
            if found is not None and wanted in (None, found[0].digest):
                return ("git-tag" if wanted is not None else by), *found
            others += [f"{place.tag} is {found[0].digest}"] if found is not None else []
        if wanted is not None and others:
            said = f"its git tag names {wanted}, which does not exist; {', '.join(others)}"
            raise _recovery_error(candidate, said)
        raise _recovery_error(candidate, "it has a git tag but no image")

    def _read_image_config(
        self, candidate: TaggedVersion, commit: Commit, by: By, manifest: Manifest, content: bytes
    ) -> _RecoverableImage:
        try:
            config = parse_config(content)
            labels = dict((config.get("config") or {}).get("Labels") or {})
        except (ValueError, TypeError, AttributeError) as error:
            attempted = f"read the config {manifest.config.digest}"
            raise RegistryError(
                attempted,
                f"the config of the image is damaged: {error}",
                "restore the image from a backup of the registry; other releases are not affected",
            ) from error
        settings = self._settings_of_commit(commit)
        return _RecoverableImage(
            candidate=candidate,
            found_by=by,
            manifest=manifest,
            config=config,
            labels=labels,
            commit=commit,
            settings=settings or self._service,
            has_settings=settings is not None,
        )

    def _settings_of_commit(self, commit: Commit) -> Service | None:
        """Return the service's settings in a commit; None if they cannot be read."""
        try:
            return read_committed_config(self._source, commit).service(self._service.service)
        except ReleaseError:
            return None

    def _refuse_contradictions(self, image: _RecoverableImage) -> None:
        """Refuse an image that contradicts its names or its git tag. Raises ReleaseError."""
        expected = {"title": self._service.service, "version": str(image.candidate.version)}
        for name, value in expected.items():
            found = image.labels.get(f"{_LABEL}{name}")
            if found != value:
                raise _recovery_error(image.candidate, f"its image has the {name} {found!r}, not {value!r}")
        tag, revision = image.candidate.tag, image.labels.get(f"{_LABEL}revision")
        if tag.commit != revision:
            raise _recovery_error(
                image.candidate,
                f"its image was built from commit {revision}, but the git tag {tag.name} is on {tag.commit}",
            )

    def _build_release(self, case: _RecoverableImage) -> Release:
        lock = self._lockfile_entry(case)
        return Release(
            version=str(case.candidate.version),
            image=self._image_entry(case),
            source=self._source_entry(case),
            lock=lock,
            bases=(),
            build=self._build_entry(case),
            gates=(),
            smoke=recorded_smoke(case.settings),
            recovered=RecoverySource(
                origin=str(self._service.repository),
                unknown=tuple(sorted(self._unknown_fields(case, lock))),
                by=case.found_by,
            ),
        )

    def _unknown_fields(self, case: _RecoverableImage, lock: LockFile | None) -> set[str]:
        unknown = {*_NEVER_KNOWN}
        unknown |= {*_OF_ITS_SETTINGS} if not case.has_settings else set()
        unknown |= {"lock"} if lock is None else set()
        unknown |= {"build.dockerfile_sha256"} if self._dockerfile_sha256(case) is None else set()
        return unknown

    def _image_entry(self, case: _RecoverableImage) -> Image:
        manifest, config = case.manifest, case.config
        platform = [config.get("os", ""), config.get("architecture", ""), config.get("variant", "")]
        return Image(
            repository=str(self._service.repository),
            digest=str(manifest.digest),
            media_type=manifest.media_type,
            size=len(manifest.content),
            platform="/".join(part for part in platform if part),
            config_digest=str(manifest.config.digest),
            layers=tuple(Descriptor(digest=str(each.digest), size=each.size) for each in manifest.layers),
        )

    def _source_entry(self, case: _RecoverableImage) -> Source:
        return Source(
            commit=case.commit.id,
            tree=case.commit.tree,
            commit_time=case.labels.get(f"{_LABEL}created", ""),
            remote=self._source.remote_url(self._service.ledger.remote or "origin"),
            tag=f"{self._tag_prefix}{case.candidate.version}",
        )

    def _lockfile_entry(self, case: _RecoverableImage) -> LockFile | None:
        return read_committed_lockfile(self._source, case.commit.id, case.settings)

    def _dockerfile_sha256(self, case: _RecoverableImage) -> str | None:
        path = Path(case.settings.context) / case.settings.build.dockerfile
        content = read_linked(self._source, case.commit.id, path.as_posix())
        return hashlib.sha256(content).hexdigest() if content is not None else None

    def _build_entry(self, case: _RecoverableImage) -> BuildInputs:
        return BuildInputs(
            dockerfile=case.settings.build.dockerfile,
            dockerfile_sha256=self._dockerfile_sha256(case),
            context=case.settings.context,
            target=case.settings.build.target,
            args=self._build_arguments(case),
            labels={key: value for key, value in case.labels.items() if key in _OUR_LABELS},
            source_date_epoch=SOURCE_DATE_EPOCH,
        )

    def _build_arguments(self, case: _RecoverableImage) -> dict[str, str]:
        """Return the build arguments of the release."""
        return Plan(
            service=case.settings,
            version=case.candidate.version,
            commit=case.commit,
            tag=f"{self._tag_prefix}{case.candidate.version}",
            remote_url=None,
        ).build_args


def _recovery_error(candidate: TaggedVersion, found: str) -> ReleaseError:
    return ReleaseError(f"recover the release {candidate.version}", found)
