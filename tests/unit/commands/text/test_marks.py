"""A release that was recovered says so wherever its version is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.commands import history as commands_history
from release.commands.text import history, plans
from release.commands.text.marks import version_text
from release.deploy.environment.environment import Workspace
from release.deploy.inspection.readiness_report import verdict_of
from release.deploy.planning.plan import Side
from release.deploy.planning.rollback_candidates import Candidate
from release.ledger.query import deployments, find
from release.ledger.release_diff import _end
from release.records import Record, RecoverySource, Release
from tests.unit.ledger import samples
from tests.unit.repository import Repository
from tests.unit.test_image_rebuild import TODAY

MARK = "1.0.0 (recovered)"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A service whose release 1.0.0 was recovered, and ran."""
    here = Repository.init(tmp_path / "here")
    here.commit("feat: start", **{"pyproject.toml": TODAY})
    ledger = samples.ledger(here.root)
    draft = samples.release("1.0.0")
    recovered = RecoverySource(origin="registry.example/api", unknown=("gates",), by="git-tag")
    assert isinstance(draft.body, Release)
    (record,) = ledger.append([draft.of(draft.body.model_copy(update={"recovered": recovered}))])
    ledger.append([samples.event(record, "healthy", at=samples.moment(1))])
    return Workspace.open(here.root, None, environ={}, emit=lambda _: None)


@pytest.fixture
def release(workspace: Workspace) -> Record[Release]:
    return find(workspace.ledger, "api", "1.0.0", environment=None, command=workspace.command).release


def test_history_and_candidates_say_it(workspace: Workspace, release: Record[Release]) -> None:
    """Of the release itself, and of each deployment of it."""
    version = commands_history._versions(workspace)
    rows = [
        history.history_row(entry, version(entry.body))
        for entry in commands_history._entries(workspace, None, None)
    ]
    assert [(row[1], row[4]) for row in rows] == [(MARK, "healthy"), (MARK, "recovered")]
    event = next(iter(deployments(workspace.ledger, "api", "production")))
    offered = Candidate(release=release, event=event, word=None, is_current=False)
    assert plans.candidate_rows([offered])[0][1].startswith(MARK)


def test_a_plan_a_difference_and_readiness_say_it(release: Record[Release]) -> None:
    """Each from the record, by the one mark."""
    body = release.body
    side = Side(version="1.0.0", digest=body.image.digest, commit="a" * 40, moment="", who="", recovered=True)
    assert plans._release_text(side).startswith(MARK)
    assert history._freeze_end_text(_end(release)).startswith(MARK)
    verdict = verdict_of(release, "ready")
    assert verdict.recovered
    assert version_text(verdict.version, recovered=verdict.recovered) == MARK


def test_other_releases_have_no_mark() -> None:
    """The version alone."""
    assert (version_text("1.0.0", recovered=True), version_text("1.0.0", recovered=False)) == (MARK, "1.0.0")
