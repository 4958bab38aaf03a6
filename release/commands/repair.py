"""`invoke verify --repair`: restore tags, events and index entries from the records.

Missing tags, events and entries are added. Existing ones that differ are only listed, because somebody may
have moved them on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from semver import Version

from release.actor import utc_now_text
from release.commands.command_line import CommandContext, parse_whole_number, require_confirmation
from release.deploy.core.image_location import EMBEDDED
from release.deploy.environment.environment import Workspace
from release.errors import LedgerUnreachable, ReleaseError
from release.events import Notice
from release.git import commit_origin
from release.git.tags import published_tags, version_tags
from release.images.engine import Engine
from release.images.registry import Registry
from release.ledger import query, rebuild
from release.ledger.git_objects import TagRequest
from release.records import Record, Release
from release.reference import Digest, Reference, Repository
from release.text.control_characters import inert_lines
from release.values import Struct, replace
from release.versioning.version import tag_prefix

_SHOWN = 15
"""Largest number of shown lines of one kind."""


class Mismatch(Struct, frozen=True, kw_only=True):
    """Difference between a record and a tag, an event or the index."""

    kind: str
    """git-tag, image-tag, events or index."""
    name: str
    found: str
    correct: Callable[[], object] | None
    """Function that corrects the difference; None if it must be left alone."""

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "found": self.found,
            "mended": False if self.correct is None else None,
        }


def repair(cmd: CommandContext) -> int:
    """Find missing tags, events and index entries, and add them; return 1 if a difference remains."""
    with cmd.open_workspace() as workspace, _ImageStores(workspace) as shelves:
        _fetch_ledger(workspace)
        found = [
            *_find_missing_events(workspace),
            *_find_missing_index_entries(workspace),
            *_find_wrong_git_tags(workspace, cmd.options.last),
            *_find_wrong_image_tags(workspace, shelves, cmd),
        ]
        missing = [each for each in found if each.correct is not None]
        left = [each for each in found if each.correct is None]
        if cmd.options.plan:
            _show_findings(cmd, workspace, missing, left)
            return 0
        if found:
            cmd.console.print_fields(_repair_title(workspace, missing), _finding_rows(missing, left))
        if missing:
            require_confirmation(cmd, _repair_title(workspace, missing))
        mended, failed = _correct_findings(cmd, missing)
        _print_result(cmd, workspace, mended, [*failed, *left])
        return 1 if failed or left else 0


def _fetch_ledger(workspace: Workspace) -> None:
    """Fetch the ledger, so that no published entry counts as missing. Raise LedgerUnreachable."""
    if not workspace.refresh():
        raise LedgerUnreachable(
            f"repair the releases of {workspace.service.service}",
            f"the git remote {workspace.service.ledger.remote} does not answer",
            "run the command again when the remote answers",
        )


# what is missing


def _find_missing_events(workspace: Workspace) -> Iterator[Mismatch]:
    waiting = len(workspace.ledger.unsynced())
    if waiting:
        yield Mismatch(
            kind="events",
            name=str(workspace.ledger),
            found=f"{waiting} events wait in this clone and are not published",
            correct=workspace.ledger.sync,
        )


def _find_missing_index_entries(workspace: Workspace) -> Iterator[Mismatch]:
    survey = rebuild.survey_index(workspace.ledger)
    if survey.missing:
        yield Mismatch(
            kind="index",
            name=str(workspace.ledger),
            found=f"{len(survey.missing)} index entries are missing",
            correct=lambda: rebuild.add_missing_entries(
                workspace.ledger, actor=workspace.actor, at=utc_now_text()
            ),
        )
    for wrong in survey.wrong:
        yield Mismatch(kind="index", name=str(workspace.ledger), found=wrong, correct=None)


def _newest_releases(workspace: Workspace, last: str | None) -> Iterator[Record[Release]]:
    """Return the newest releases of this library, as many as asked for, or all. Raise UsageError."""
    count = (
        None
        if last is None
        else parse_whole_number(last, f"check the last {last!r} releases", "use --last 20")
    )
    every = query.releases(workspace.ledger, workspace.service.service)
    return islice((record for record in every if record.body.adopted is None), count)


def _find_wrong_git_tags(workspace: Workspace, last: str | None) -> Iterator[Mismatch]:
    """Yield findings on git tags that are missing on the remote, or name another commit."""
    service = workspace.service
    prefix = tag_prefix(service.service, several=len(workspace.config.services) > 1)
    standing = published_tags(workspace.source, prefix, service.ledger.remote)
    for record in _newest_releases(workspace, last):
        source = record.body.source
        there = standing.get(source.tag)
        if there is None:
            found = f"missing; {record.body.version} is released from {source.commit[:12]}"
            missing = Mismatch(
                kind="git-tag", name=source.tag, found=found, correct=_git_tag_correction(workspace, record)
            )
            yield _withhold_unproven(workspace, record.body, missing)
        elif there != source.commit:
            found = f"is on {there[:12]}, but {record.body.version} is released from {source.commit[:12]}"
            yield Mismatch(kind="git-tag", name=source.tag, found=found, correct=None)


def _git_tag_correction(workspace: Workspace, record: Record[Release]) -> Callable[[], object]:
    body = record.body
    request = TagRequest(
        name=body.source.tag,
        commit=body.source.commit,
        message=f"{record.envelope.service} {body.version}\n\n{body.image.repository}@{body.image.digest}\n",
    )
    return lambda: workspace.ledger.restore_tag(request, record)


def unrecorded_tags(workspace: Workspace) -> list[str]:
    """Return version tags above the first recorded release without a record."""
    service = workspace.service
    known = [Version.parse(text) for text in query.versions(workspace.ledger, service.service)]
    prefix = tag_prefix(service.service, several=len(workspace.config.services) > 1)
    tags = version_tags(workspace.source, prefix, service.ledger.remote)
    return [tag.name for tag in tags if known and tag.version > min(known) and tag.version not in known]


def _find_wrong_image_tags(
    workspace: Workspace, shelves: _ImageStores, cmd: CommandContext
) -> Iterator[Mismatch]:
    """Yield findings on image tags of the version and of the commit."""
    for record in _newest_releases(workspace, cmd.options.last):
        image = record.body.image
        repository = Repository(image.repository)
        for tag in (record.body.version, record.body.candidate_tag):
            finding = shelves.check_image_tag(record.body, repository.tagged(tag))
            if finding is not None:
                yield _withhold_unproven(workspace, record.body, finding)


def _withhold_unproven(workspace: Workspace, release: Release, finding: Mismatch) -> Mismatch:
    """Return the finding; without a correction if only the record links the release to the service."""
    if finding.correct is None:
        return finding
    service = workspace.service
    why = commit_origin.foreign_commit_reason(workspace.source, service.service, service.ledger, release)
    if why is None and release.image.repository != str(service.repository):
        why = f"the record has {release.image.repository}, but the configuration has {service.repository}"
    text = f"{finding.found}; not added: {why}"
    return finding if why is None else replace(finding, found=text, correct=None)


class _ImageStores:
    """Registries and the local engine, in which release images are looked up."""

    def __init__(self, workspace: Workspace) -> None:
        self._desk = workspace
        self._registries: dict[Repository, Registry] = {}
        self._engine: Engine | None = None

    def __enter__(self) -> _ImageStores:
        return self

    def __exit__(self, *_: object) -> None:
        for registry in self._registries.values():
            registry.close()
        if self._engine is not None:
            self._engine.close()

    def check_image_tag(self, release: Release, tag: Reference) -> Mismatch | None:
        """Return the finding on an image tag; None if the tag names the release's digest."""
        if tag.repository.host == EMBEDDED:
            return self._check_engine_tag(release, tag)
        return self._check_registry_tag(release, tag)

    def _check_registry_tag(self, release: Release, tag: Reference) -> Mismatch | None:
        registry = self._open_registry(tag.repository)
        wanted, found = Digest(release.image.digest), registry.digest(tag)
        if found == wanted:
            return None
        if found is not None:
            return _image_tag_finding(tag, f"is {found}, but {release.version} is {wanted}", None)
        manifest = registry.manifest(tag.repository.at(wanted))
        if manifest is None:
            return _image_tag_finding(tag, f"missing, and the registry does not have {wanted} any more", None)
        if str(manifest.config.digest) != release.image.config_digest:
            told = (
                f"missing; {wanted} has the config {manifest.config.digest}, but the record has another one"
            )
            return _image_tag_finding(tag, told, None)
        return _image_tag_finding(tag, "missing", lambda: registry.put_manifest(manifest, tag.tag or ""))

    def _check_engine_tag(self, release: Release, tag: Reference) -> Mismatch | None:
        image = release.image
        stored = self.engine.find(digest=Digest(image.digest), config_digest=Digest(image.config_digest))
        found = self.engine.inspect(tag)
        if stored is None:
            return None  # it was never here, or was pruned
        if found is None:
            return _image_tag_finding(tag, "missing", lambda: self.engine.tag(stored.id, tag))
        if found.id != stored.id:
            return _image_tag_finding(tag, f"is {found.id}, but {release.version} is {stored.id}", None)
        return None

    @property
    def engine(self) -> Engine:
        """Return the engine that the `docker` command uses."""
        if self._engine is None:
            self._engine = Engine.connect()
        return self._engine

    def _open_registry(self, repository: Repository) -> Registry:
        if repository not in self._registries:
            tell = self._desk.emit
            self._registries[repository] = Registry(repository, tell=lambda text: tell(Notice(text=text)))
        return self._registries[repository]


def _image_tag_finding(tag: Reference, found: str, mend: Callable[[], object] | None) -> Mismatch:
    return Mismatch(kind="image-tag", name=str(tag), found=found, correct=mend)


# what is done


def _correct_findings(cmd: CommandContext, missing: list[Mismatch]) -> tuple[list[Mismatch], list[Mismatch]]:
    """Correct each finding, and return the corrected and the failed ones.

    A failure does not stop the others.
    """
    mended, failed = list[Mismatch](), list[Mismatch]()
    for each in missing:
        assert each.correct is not None  # noqa: S101 - only these are missing
        try:
            each.correct()
        except ReleaseError as error:
            cmd.console.print_error(error)
            failed.append(each)
        else:
            mended.append(each)
    return mended, failed


def _repair_title(workspace: Workspace, missing: list[Mismatch]) -> str:
    return f"add {len(missing)} missing things to the releases of {workspace.service.service}"


def _finding_rows(missing: list[Mismatch], left: list[Mismatch]) -> list[tuple[str, str]]:
    rows = [("to be added", _join_findings(missing))] if missing else []
    return rows + ([("not changed", _join_findings(left))] if left else [])


def _join_findings(findings: list[Mismatch]) -> str:
    more = [f"… {len(findings) - _SHOWN} more"] if len(findings) > _SHOWN else []
    return inert_lines([*(f"{each.kind}  {each.name}: {each.found}" for each in findings[:_SHOWN]), *more])


def _show_findings(
    cmd: CommandContext, workspace: Workspace, missing: list[Mismatch], left: list[Mismatch]
) -> None:
    if cmd.options.json:
        cmd.console.print_json([each.to_json() for each in (*missing, *left)])
    else:
        cmd.console.print_sheet(_repair_title(workspace, missing), _finding_rows(missing, left))


def _print_result(
    cmd: CommandContext, workspace: Workspace, mended: list[Mismatch], left: list[Mismatch]
) -> None:
    """Print the result, and tags without a record, which may be older than the ledger."""
    for name in unrecorded_tags(workspace):
        text = f"no release has the git tag {name}: `git show {name}` shows who made it"
        cmd.console.emit(Notice(text=text))
    if cmd.options.json:
        documents = [each.to_json() | {"mended": True} for each in mended]
        cmd.console.print_json([*documents, *(each.to_json() | {"mended": False} for each in left)])
    else:
        cmd.console.print_result(f"{workspace.service.service}: {len(mended)} added, {len(left)} unchanged")
