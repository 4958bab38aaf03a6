"""The plan of a release, from configuration, commit and ledger. Nothing is read or written here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from semver import Version

from release.config import Service
from release.errors import NothingToRelease, SourceError, UsageError, VersionTaken
from release.git.source import Commit
from release.git.tags import VersionTag
from release.records import Base, Record, Release
from release.reference import Reference, Repository
from release.values import Struct, field, replace
from release.versioning.commit_evaluation import Reading, evaluate_messages
from release.versioning.conventional_commits import Message
from release.versioning.version import FIRST, Request, next_version, tag_prefix

SOURCE_DATE_EPOCH: Final = 315532800
"""1980-01-01, for every release: the earliest time that a zip archive can hold. The commit's own time would
be a new value for every commit, and with it every layer would be new; the real times are labels.
(reproducible-builds.org, SOURCE_DATE_EPOCH specification 1.0)"""


class Options(Struct, frozen=True, kw_only=True):
    """Command-line options of a run."""

    request: Request = field(default_factory=Request)
    no_cache: bool = False
    allow_dirty: bool = False


class Facts(Struct, frozen=True, kw_only=True, dict=True):
    """All facts that a plan needs, read in advance."""

    commit: Commit
    changed: tuple[str, ...]
    """Tracked files that differ from the commit."""
    tags: tuple[VersionTag, ...]
    last: VersionTag | None
    """Newest version tag in the commit's history."""
    messages: tuple[Message, ...]
    """Messages of the commits after `last`."""
    released_versions: tuple[str, ...]
    release_of_commit: Record[Release] | None
    """Release of this commit; None if the commit is not released."""
    remote_url: str | None
    prefix: str = "v"
    """Prefix of the service's version tags."""
    own_line: bool = False
    """True: no commit after `last` belongs to a higher version."""
    facts_with_loose_tags: Facts | None = None
    """Facts with tags such as `v4.2` read as versions; None without such tags, or if `tags` decides."""

    @cached_property
    def message_reading(self) -> Reading:
        """Return what the messages mean for the version."""
        return evaluate_messages(self.messages)


class Plan(Struct, frozen=True, kw_only=True):
    """Plan of a run: what is built, tested and recorded."""

    service: Service
    version: Version
    commit: Commit
    tag: str
    """Name of the git tag."""
    remote_url: str | None
    no_cache: bool = False
    bases: tuple[Base, ...] = ()
    """Base images that the build takes by these digests, in spite of their tags."""
    is_due: bool = True
    """True: the version may be released; False: the run is for its gates only."""

    @property
    def candidate(self) -> Reference:
        """Return the image name by the commit; a run for its gates only has a name that no release has."""
        return self.service.repository.tagged(f"{'sha' if self.is_due else 'dev'}-{self.commit.id}")

    @property
    def released(self) -> Reference:
        """Return the image name with the version, for people."""
        return self.service.repository.tagged(str(self.version))

    @property
    def labels(self) -> dict[str, str]:
        """Return the OCI annotations that the image carries as labels (OCI Image Specification 1.1).

        All come from the commit. The remote's address is in the record instead: two clones may reach the same
        repository in two ways, and would make two digests.
        """
        return {
            "org.opencontainers.image.title": self.service.service,
            "org.opencontainers.image.version": str(self.version),
            "org.opencontainers.image.revision": self.commit.id,
            "org.opencontainers.image.created": self.commit.time,
        }

    @property
    def build_args(self) -> dict[str, str]:
        """Return the build arguments: the configured ones, and three that a Dockerfile may declare."""
        own = {
            "VERSION": str(self.version),
            "COMMIT": self.commit.id,
            "SOURCE_DATE_EPOCH": str(SOURCE_DATE_EPOCH),
        }
        return dict(self.service.build.args) | own

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON data, for `--plan` and for the run's folder."""
        return {
            "service": self.service.service,
            "version": str(self.version),
            "commit": self.commit.id,
            "tag": self.tag,
            "candidate": str(self.candidate),
            "released": str(self.released),
            "build_args": self.build_args,
            "labels": self.labels,
            "lint": self.service.lint.model_dump(mode="json", include={"tools", "commands"}),
        }


def released_plan_to_json(record: Record[Release]) -> dict[str, Any]:
    """Return what `--plan` prints for a released commit: its plan as it was, and its record."""
    release = record.body
    repository = Repository(release.image.repository)
    return {
        "service": record.envelope.service,
        "version": release.version,
        "commit": release.source.commit,
        "tag": release.source.tag,
        "candidate": str(repository.tagged(f"sha-{release.source.commit}")),
        "released": str(repository.tagged(release.version)),
        "build_args": release.build.args,
        "labels": release.build.labels,
        "recorded": {
            "id": record.id,
            "digest": release.image.digest,
            "recorded_at": record.envelope.recorded_at,
        },
    }


def find_release_of_commit(facts: Facts, options: Options) -> Record[Release] | None:
    """Return the release of this commit; None if there is none. Raises VersionTaken for another version."""
    record, wanted = facts.release_of_commit, options.request.version
    if record is None:
        return None
    if wanted is not None and str(wanted) != record.body.version:
        raise VersionTaken(
            f"release commit {facts.commit.id[:12]} as {wanted}",
            f"it is released as {record.body.version} ({record.body.image.digest}), and a "
            "commit has only one version",
            "make a commit for the new version: git commit --allow-empty",
        )
    return record


def make_plan(service: Service, facts: Facts, options: Options, *, several: bool) -> Plan:
    """Return the plan of a release, with the next version and its names.

    Raises:
        SourceError: files are changed and not committed.
        UsageError: tags in other forms would make another version.
        NothingToRelease, VersionTaken: see `release.versioning.version.next_version`.
    """
    if not options.allow_dirty:
        refuse_changes(facts)
    version = _choose_next_version(facts, options)
    if facts.facts_with_loose_tags is not None:
        refuse_other_tags(facts, options)
    return _build_plan(service, facts, options, version, several=several)


def _choose_next_version(facts: Facts, options: Options) -> Version:
    return next_version(
        request=options.request,
        last=facts.last.version if facts.last is not None else None,
        existing=_existing_versions(facts),
        reading=facts.message_reading if options.request == Request() else Reading(),
        own_line=facts.own_line,
    )


def refuse_other_tags(facts: Facts, options: Options) -> None:
    """Refuse a version that tags such as `v4.2` would change if they were versions. Raises UsageError."""
    if facts.facts_with_loose_tags is None:
        return
    found, loosely = (
        _describe_next_version(facts, options),
        _describe_next_version(facts.facts_with_loose_tags, options),
    )
    if found == loosely:
        return
    exact = {tag.name for tag in facts.tags}
    names = [tag.name for tag in reversed(facts.facts_with_loose_tags.tags) if tag.name not in exact]
    raise UsageError(
        f"choose the next version ({found})",
        f"{_name_git_tags(names)} not count: a version tag of this service is called "
        f"{facts.prefix}MAJOR.MINOR.PATCH",
        f'set tags = "loose" to count them (the next version is then {loosely}), or tags = '
        '"strict" to ignore them',
    )


def _name_git_tags(names: Sequence[str]) -> str:
    """Return the beginning of a sentence about git tags, as "the git tags v4.2, v4.3 do"."""
    shown = ", ".join(map(repr, names[:3])) + (", …" if len(names) > 3 else "")
    return f"the git tag {shown} does" if len(names) == 1 else f"the git tags {shown} do"


def _describe_next_version(facts: Facts, options: Options) -> str:
    """Return the next version in words; "none" after an error."""
    try:
        return str(_choose_next_version(facts, options))
    except (NothingToRelease, VersionTaken):
        return "none"


def _build_plan(service: Service, facts: Facts, options: Options, version: Version, *, several: bool) -> Plan:
    return Plan(
        service=service,
        version=version,
        commit=facts.commit,
        tag=f"{tag_prefix(service.service, several=several)}{version}",
        remote_url=facts.remote_url,
        no_cache=options.no_cache,
    )


def make_gates_plan(service: Service, facts: Facts, options: Options, *, several: bool) -> Plan:
    """Return a plan for the gates alone. If no version is due, the version is `-dev` of the next patch."""
    options, facts = replace(options, allow_dirty=True), replace(facts, facts_with_loose_tags=None)
    if facts.release_of_commit is None:
        try:
            return make_plan(service, facts, options, several=several)
        except (NothingToRelease, VersionTaken):
            if options.request != Request():
                raise
    version = max(_existing_versions(facts), default=FIRST).bump_patch().replace(prerelease="dev")
    return replace(_build_plan(service, facts, options, version, several=several), is_due=False)


def _existing_versions(facts: Facts) -> list[Version]:
    recorded = {Version.parse(text) for text in facts.released_versions}
    return sorted(recorded | {tag.version for tag in facts.tags})


def refuse_changes(facts: Facts) -> None:
    """Refuse uncommitted changes: a release holds the committed tree only. Raises SourceError."""
    if facts.changed:
        raise SourceError(
            f"release commit {facts.commit.id[:12]}",
            f"{describe_changes(facts.changed)}, but a release contains committed files only",
            "commit or stash the files, or release without them: -- --allow-dirty",
        )


def describe_changes(changed: tuple[str, ...]) -> str:
    """Return the changes as "3 files are changed and not committed (a.py, b.py, …)"."""
    shown = ", ".join(changed[:3]) + (", …" if len(changed) > 3 else "")
    verb = "1 file is" if len(changed) == 1 else f"{len(changed)} files are"
    return f"{verb} changed and not committed ({shown})"
