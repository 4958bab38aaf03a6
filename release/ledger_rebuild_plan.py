"""Plan of `invoke ledger-rebuild`, made before anything is changed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final, Protocol

from release.actor import TOOL, utc_now_text
from release.chain.recovering.recover import RecoveredReleases, ReleaseRecoverer
from release.deploy.environment.environment import Workspace
from release.errors import LedgerError, LedgerUnreachable
from release.ledger import rebuild
from release.ledger.rebuild import IndexSurvey
from release.records import Draft, Release
from release.text.control_characters import inert_line
from release.values import Struct

_SHOWN = 15
"""Number of lines of one kind in a plan."""

Rows = list[tuple[str, str]]


class Plan(Protocol):
    """Plan of a rebuild."""

    @property
    def title(self) -> str:
        """Return the headline, as "rebuild …"."""

    @property
    def rows(self) -> Rows:
        """Return labels and values for people."""

    @property
    def done(self) -> str:
        """Return the sentence for the successful end."""

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON data."""

    def carry_out(self) -> Any:
        """Rebuild, and return the created records as JSON data. Raise LedgerError."""


def plan_rebuild(workspace: Workspace) -> Plan:
    """Return the plan: missing index entries of a ledger, or releases if there is no ledger.

    Raises:
        LedgerUnreachable: the remote does not answer.
        LedgerError: nothing is missing, or this clone still has the commits that the remote lost.
    """
    if not workspace.ledger.refresh():
        raise LedgerUnreachable(
            f"rebuild the ledger {workspace.ledger}",
            "the git remote does not answer, and it may have the whole ledger",
            "run the command again when the remote answers",
        )
    if workspace.ledger.unproven is not None:
        raise workspace.ledger.unproven
    if workspace.ledger.head is not None:
        workspace.ledger.snapshot.complete()
        return _index(workspace)
    _refuse_what_is_known(workspace)
    return _releases(workspace)


def _refuse_what_is_known(workspace: Workspace) -> None:
    """Raise LedgerError with the restore command if this clone has verified the lost ledger."""
    settings = workspace.service.ledger
    ref = f"refs/release-verified/{settings.remote or 'local'}/{settings.branch}"
    known = workspace.source.git.run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if known.status == 0:
        restore = f"git branch {settings.branch} {known.text}"
        if settings.remote is not None:
            restore = f"git push {settings.remote} {known.text}:refs/heads/{settings.branch}"
        raise LedgerError(
            f"rebuild the ledger {workspace.ledger}",
            f"the ledger branch was deleted, but this clone has the ledger up to commit {known.text}",
            restore,
        )


class IndexPlan(Struct, frozen=True, kw_only=True):
    """Plan to add missing index entries."""

    workspace: Workspace
    survey: IndexSurvey

    @property
    def title(self) -> str:
        """Return the headline, as "rebuild 3 index entries of the ledger …"."""
        return f"rebuild {len(self.survey.missing)} index entries of the ledger {self.workspace.ledger}"

    @property
    def rows(self) -> Rows:
        """Return existing, missing and ignored entries."""
        there = f"{self.survey.records} records with {self.survey.entries} index entries"
        rows = [("ledger", there), ("to be added", _lines(sorted(self.survey.missing)))]
        return rows + ([("not changed", _lines(self.survey.wrong))] if self.survey.wrong else [])

    @property
    def done(self) -> str:
        """Return the sentence for the successful end."""
        return f"{len(self.survey.missing)} index entries added to the ledger {self.workspace.ledger}"

    def to_json(self) -> dict[str, Any]:
        """Return paths of missing entries, and violations."""
        return {"missing": sorted(self.survey.missing), "wrong": list(self.survey.wrong)}

    def carry_out(self) -> dict[str, Any]:
        """Add the entries in one commit, and return them."""
        added = rebuild.add_missing_entries(
            self.workspace.ledger, actor=self.workspace.actor, at=utc_now_text()
        )
        return {"added": added, "wrong": list(self.survey.wrong)}


def _index(workspace: Workspace) -> IndexPlan:
    survey = rebuild.survey_index(workspace.ledger)
    if survey.missing:
        return IndexPlan(workspace=workspace, survey=survey)
    attempted = f"rebuild the ledger {workspace.ledger}"
    if survey.wrong:
        raise LedgerError(
            attempted,
            "no index entry is missing, but some are wrong, and wrong entries are not "
            "overwritten:\n  " + _lines(survey.wrong, "\n  "),
            "find the commit of an entry: git log release-ledger -- PATH; read `invoke explain recover`",
        )
    raise LedgerError(
        attempted,
        f"nothing is missing: {survey.records} records with all their {survey.entries} index entries",
        "invoke verify --ledger proves the rest",
    )


class ReleasesPlan(Struct, frozen=True, kw_only=True):
    """Plan to create a new ledger with the releases that images describe."""

    workspace: Workspace
    recoveries: tuple[RecoveredReleases, ...]

    @property
    def title(self) -> str:
        """Return the headline, as "recover 2 releases into a new ledger …"."""
        count = sum(len(each.releases) for each in self.recoveries)
        return f"recover {count} releases into a new ledger {self.workspace.ledger}"

    @property
    def rows(self) -> Rows:
        """Return versions of each service, unrecoverable releases, and lost facts."""
        rows: Rows = []
        for each in self.recoveries:
            rows.append((each.service, "\n".join(_line(release) for release in each.releases)))
            rows += [(f"{each.service}: not", "\n".join(each.left_out))] if each.left_out else []
        lost = "images do not record deployments: deploy each running version once more to record it"
        return [*rows, ("lost", lost)]

    @property
    def done(self) -> str:
        """Return the sentence for the successful end."""
        return self.title.replace("recover ", "recovered ", 1)

    def to_json(self) -> dict[str, Any]:
        """Return bodies of the records and omitted releases, by service."""
        return {
            each.service: {
                "releases": [release.model_dump(mode="json", exclude_none=True) for release in each.releases],
                "left_out": list(each.left_out),
            }
            for each in self.recoveries
        }

    def carry_out(self) -> list[dict[str, Any]]:
        """Append all records in one step, and return them."""
        moment, run = utc_now_text(), self.workspace.run(secrets.token_hex(6))
        drafts = [
            Draft(
                service=each.service,
                recorded_at=moment,
                actor=self.workspace.actor,
                run=run,
                tool=TOOL,
                body=release,
            )
            for each in self.recoveries
            for release in each.releases
        ]
        records = self.workspace.ledger.append(drafts, rebuilt=True)
        return [{"id": record.id, **record.to_json()} for record in records]


def _releases(workspace: Workspace) -> ReleasesPlan:
    """Return the plan for every service that shares the lost ledger."""
    sharing = [each for each in workspace.config.services.values() if each.ledger == workspace.service.ledger]
    found = tuple(
        ReleaseRecoverer(workspace.source, workspace.config, service).recover() for service in sharing
    )
    if not any(each.releases for each in found):
        reasons = [f"{each.service} {reason}" for each in found for reason in each.left_out]
        raise LedgerError(
            f"rebuild the ledger {workspace.ledger}",
            "the ledger branch does not exist, and no image of a release was found"
            + "".join(f"\n  {reason}" for reason in reasons),
            "run `nox -s release` to begin a ledger; `invoke explain recover` lists what a recovery needs",
        )
    return ReleasesPlan(workspace=workspace, recoveries=found)


def _line(release: Release) -> str:
    commit, digest = release.source.commit[:12], release.image.digest[:19]
    by = release.recovered.by if release.recovered is not None else None
    return f"{release.version}  {digest}  commit {commit}  {_BY.get(by or '', '')}".rstrip()


_BY: Final = {
    "git-tag": "by its git tag",
    "commit-tag": "by the image's commit tag, because the git tag names no digest",
    "version-tag": "by the image's version tag alone, which can be moved: compare the digest before you say "
    "yes",
}


def _lines(lines: Sequence[str], between: str = "\n") -> str:
    more = [f"… {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return between.join(map(inert_line, [*lines[:_SHOWN], *more]))
