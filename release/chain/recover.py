"""Releases read back from their images when the ledger is gone: what an image says of itself, and its commit.

A version tag is put on an image after its release was recorded, and a git tag lands together with the record:
either shows that there was a release. What nobody can know any more is named in the record, never made up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import ValidationError
from semver import Version

from release.chain.assemble import committed_config
from release.chain.lock import read_committed
from release.chain.plan import SOURCE_DATE_EPOCH, Plan
from release.chain.smoke import recorded_smoke
from release.committed import read_linked
from release.config import Config, Service
from release.errors import EngineUnreachable, RegistryError, RegistryUnreachable, ReleaseError
from release.frozen import Struct
from release.images.engine import Engine
from release.images.layout import manifest_of, read_layout
from release.images.registry import Manifest, Registry
from release.records import Built, Descriptor, Image, LockFile, Recovered, Release, Source
from release.reference import Reference
from release.source import Commit, VersionTag
from release.source import Source as Clone
from release.version import tag_prefix

_LABEL: Final = "org.opencontainers.image."

_OUR_LABELS: Final = {f"{_LABEL}{name}" for name in ("title", "version", "revision", "created")}
"""What the release itself puts on an image; others come from its base and its Dockerfile."""

_NEVER_KNOWN: Final = (
    "bases",
    "gates",
    "build.buildkit",
    "build.buildx",
    "build.engine",
    "build.exporter",
    "build.timestamps",
)
_OF_THE_COMMIT: Final = ("source.tree", "lock", "build.dockerfile_sha256")
_OF_ITS_SETTINGS: Final = ("build.dockerfile", "build.context", "build.target", "build.args", "smoke")
"""Where the commit's settings cannot be read, today's are recorded, and said not to be known."""


class Shelf(Protocol):
    """Where images are looked for."""

    def tags(self) -> tuple[str, ...]:
        """Every tag of the service's repository."""

    def image(self, reference: Reference) -> tuple[Manifest, bytes] | None:
        """Manifest and config of an image, hashed. Raises RegistryError, EngineError: no single image."""


class InRegistry:
    """A registry's repository."""

    def __init__(self, registry: Registry) -> None:
        """Ask nothing yet."""
        self._registry = registry

    def tags(self) -> tuple[str, ...]:
        """As the registry lists them."""
        return self._registry.tags()

    def image(self, reference: Reference) -> tuple[Manifest, bytes] | None:
        """Two requests."""
        manifest = self._registry.manifest(reference)
        if manifest is None:
            return None
        return manifest, self._registry.document(manifest.config)


class InEngine:
    """The image store of an engine, where no registry is configured."""

    def __init__(self, engine: Engine, service: Service) -> None:
        """Ask nothing yet."""
        self._engine, self._service = engine, service

    def tags(self) -> tuple[str, ...]:
        """As the engine lists them."""
        return self._engine.tags(self._service.repository)

    def image(self, reference: Reference) -> tuple[Manifest, bytes] | None:
        """The whole image is exported and hashed."""
        stored = self._engine.inspect(reference)
        if stored is None:
            return None
        with self._engine.exported(reference) as stream:
            layout = read_layout(stream)
        manifest = manifest_of(layout, stored.id)
        return manifest, layout.documents[manifest.config.digest]


class Recovery(Struct, frozen=True, kw_only=True):
    """What was found of one service."""

    service: str
    releases: tuple[Release, ...]
    """By ascending version."""
    left_out: tuple[str, ...]
    """A sentence for each version that cannot be recorded: which, and why."""


class Candidate(Struct, frozen=True, kw_only=True):
    """A version that was released, as far as tags tell."""

    version: Version
    image: Reference | None
    """Under which name its image is; None where there is none."""
    tag: VersionTag | None
    """Its git tag."""


class _Case(Struct, frozen=True, kw_only=True):
    """One image on its way to a record."""

    candidate: Candidate
    manifest: Manifest
    config: Mapping[str, Any]
    """The image's configuration (OCI Image Specification 1.1, "Image Configuration")."""
    commit: Commit | None
    """None when it is not in this clone."""
    settings: Service
    """The commit's, or today's where those cannot be read."""
    has_settings: bool
    labels: Mapping[str, str]
    """What the image says of itself."""


class Recoverer:
    """Reads one service's releases back."""

    def __init__(self, source: Clone, config: Config, service: Service) -> None:
        """Read nothing yet."""
        self._source, self._config, self._service = source, config, service

    def read(self) -> Recovery:
        """From the registry, or where none is configured from this machine's engine.

        Raises:
            RegistryUnreachable, EngineUnreachable: nothing can be said then.
        """
        if self._service.registry is None:
            with Engine.connect() as engine:
                return self.read_from(InEngine(engine, self._service))
        with closing(Registry(self._service.repository)) as registry:
            return self.read_from(InRegistry(registry))

    def read_from(self, shelf: Shelf) -> Recovery:
        """From this place."""
        releases: list[Release] = []
        left_out: list[str] = []
        for candidate in self._candidates(shelf.tags()):
            try:
                releases.append(self._release(candidate, shelf))
            except (RegistryUnreachable, EngineUnreachable):
                raise
            except ReleaseError as error:
                left_out.append(f"{candidate.version}: {error.found}")
        return Recovery(service=self._service.service, releases=tuple(releases), left_out=tuple(left_out))

    @property
    def _prefix(self) -> str:
        return tag_prefix(self._service.service, several=self._config.several)

    def _candidates(self, names: tuple[str, ...]) -> Iterator[Candidate]:
        """Every version that a tag names, ascending."""
        git = {
            tag.version: tag for tag in self._source.version_tags(self._prefix, self._service.ledger.remote)
        }
        images = {Version.parse(name): name for name in names if Version.is_valid(name)}
        for version in sorted(git.keys() | images.keys()):
            tag = git.get(version)
            kept = f"sha-{tag.commit}" if tag is not None else ""
            name = images.get(version) or (kept if kept in names else None)
            image = self._service.repository.tagged(name) if name else None
            yield Candidate(version=version, image=image, tag=tag)

    def _release(self, candidate: Candidate, shelf: Shelf) -> Release:
        """Raises ReleaseError: there is no image, or it contradicts its tags."""
        found = shelf.image(candidate.image) if candidate.image is not None else None
        if found is None:
            raise _contradiction(candidate, "there is a git tag of it, and no image")
        case = self._case(candidate, *found)
        self._check(case)
        try:
            return self._recorded(case)
        except ValidationError as error:
            raise _contradiction(candidate, f"its image does not say enough: {error}") from error

    def _case(self, candidate: Candidate, manifest: Manifest, content: bytes) -> _Case:
        try:
            config = json.loads(content)
            labels = dict((config.get("config") or {}).get("Labels") or {})
        except (ValueError, TypeError, AttributeError) as error:
            attempted = f"read the config {manifest.config.digest}"
            raise RegistryError(attempted, f"its image has a config that is none: {error}") from error
        commit = self._source.commit(labels.get(f"{_LABEL}revision", ""))
        settings = self._settings(commit) if commit is not None else None
        return _Case(
            candidate=candidate,
            manifest=manifest,
            config=config,
            labels=labels,
            commit=commit,
            settings=settings or self._service,
            has_settings=settings is not None,
        )

    def _settings(self, commit: Commit) -> Service | None:
        """The service's settings in a commit; None where they cannot be read."""
        try:
            return committed_config(self._source, commit).service(self._service.service)
        except ReleaseError:
            return None

    def _check(self, case: _Case) -> None:
        """The image, its names and its git tag have to tell the same. Raises ReleaseError."""
        expected = {"title": self._service.service, "version": str(case.candidate.version)}
        for name, value in expected.items():
            found = case.labels.get(f"{_LABEL}{name}")
            if found != value:
                raise _contradiction(case.candidate, f"its image has the {name} {found!r}, not {value!r}")
        tag, revision = case.candidate.tag, case.labels.get(f"{_LABEL}revision")
        if tag is not None and tag.commit != revision:
            raise _contradiction(
                case.candidate,
                f"its image was built from commit {revision}, and the git tag {tag.name} is on {tag.commit}",
            )

    def _recorded(self, case: _Case) -> Release:
        lock = self._lock(case)
        return Release(
            version=str(case.candidate.version),
            image=self._image(case),
            source=self._origin(case),
            lock=lock,
            bases=(),
            build=self._built(case),
            gates=(),
            smoke=recorded_smoke(case.settings.smoke_run),
            recovered=Recovered(
                origin=str(self._service.repository), unknown=tuple(sorted(self._unknown(case, lock)))
            ),
        )

    def _unknown(self, case: _Case, lock: LockFile | None) -> set[str]:
        unknown = {*_NEVER_KNOWN}
        unknown |= {*_OF_THE_COMMIT} if case.commit is None else set()
        unknown |= {*_OF_ITS_SETTINGS} if not case.has_settings else set()
        unknown |= {"lock"} if lock is None else set()
        unknown |= {"build.dockerfile_sha256"} if self._dockerfile_sha256(case) is None else set()
        return unknown

    def _image(self, case: _Case) -> Image:
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

    def _origin(self, case: _Case) -> Source:
        return Source(
            commit=case.labels.get(f"{_LABEL}revision", ""),
            tree=case.commit.tree if case.commit is not None else None,
            commit_time=case.labels.get(f"{_LABEL}created", ""),
            remote=self._source.remote_url(self._service.ledger.remote or "origin"),
            tag=f"{self._prefix}{case.candidate.version}",
        )

    def _lock(self, case: _Case) -> LockFile | None:
        if case.commit is None:
            return None
        return read_committed(self._source, case.commit.id, case.settings.context, case.settings.lock)

    def _dockerfile_sha256(self, case: _Case) -> str | None:
        if case.commit is None:
            return None
        path = Path(case.settings.context) / case.settings.build.dockerfile
        content = read_linked(self._source, case.commit.id, path.as_posix())
        return hashlib.sha256(content).hexdigest() if content is not None else None

    def _built(self, case: _Case) -> Built:
        return Built(
            dockerfile=case.settings.build.dockerfile,
            dockerfile_sha256=self._dockerfile_sha256(case),
            context=case.settings.context,
            target=case.settings.build.target,
            args=self._arguments(case),
            labels={key: value for key, value in case.labels.items() if key in _OUR_LABELS},
            source_date_epoch=SOURCE_DATE_EPOCH,
        )

    def _arguments(self, case: _Case) -> dict[str, str]:
        """As the release gave them to the build."""
        if case.commit is None:
            return {}
        return Plan(
            service=case.settings,
            version=case.candidate.version,
            commit=case.commit,
            tag=f"{self._prefix}{case.candidate.version}",
            remote_url=None,
        ).build_args


def _contradiction(candidate: Candidate, found: str) -> ReleaseError:
    return ReleaseError(f"recover the release {candidate.version}", found)
