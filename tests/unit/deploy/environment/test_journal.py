"""What a deployment was told to do, as the lock keeps it."""

from __future__ import annotations

import pytest

from release.deploy.environment import journal
from release.deploy.environment.journal import Unfinished
from release.records import Body, Deployment, Draft, Run
from release.runspec import RunSpec
from release.values import replace
from tests.unit.deploy.fakes import ACTOR, MOMENT, event, release

STARTED = event(release(), RunSpec(env={"A": "ä"}), message="why").deployment.model_copy(
    update={"status": "started"}
)
DRAFT: Draft[Body] = Draft(
    service="api", recorded_at=MOMENT, actor=ACTOR, run=Run(id="run"), tool="release", body=STARTED
)


def unfinished(*, recorded: bool) -> Unfinished:
    return Unfinished(draft=DRAFT, started=STARTED, version="0.1.0", recorded=recorded)


def test_what_is_written_is_read_back() -> None:
    """Every setting, and who began it when: as one text without line breaks but the last."""
    assert journal.read(journal.write(DRAFT)) == DRAFT


@pytest.mark.parametrize("text", ["", "not json", "{}", '{"schema": "9.0", "kind": "deployment"}'])
def test_what_cannot_be_understood_is_no_journal(text: str) -> None:
    """Of a later version, of something else, or nothing at all."""
    assert journal.read(text) is None


def test_an_end_keeps_what_was_begun_and_says_who_ended_it() -> None:
    """The same attempt, settings and reason; both messages; no duration."""
    ended = unfinished(recorded=True).ended("restored", "unix:///x", None, "as before", "converged")
    assert (ended.deployment, ended.run_spec, ended.status) == (
        STARTED.deployment,
        STARTED.run_spec,
        "restored",
    )
    assert ended.message == "why; converged"
    assert ended.duration_ms is None
    assert [(state.status, state.detail) for state in ended.targets] == [("restored", "as before")]


def test_the_ledger_gets_the_start_only_where_it_lacks_it() -> None:
    """A rollback's start waits in the operator's clone, and that may be gone."""
    end: Draft[Body] = replace(
        DRAFT, body=Deployment.model_validate({**STARTED.model_dump(), "status": "failed"})
    )
    assert unfinished(recorded=True).drafts(end, DRAFT) == [end]
    assert unfinished(recorded=False).drafts(end, DRAFT) == [DRAFT, end]


def test_it_is_told_as_what_was_begun_by_whom_and_when() -> None:
    """For people."""
    text = str(unfinished(recorded=True))
    assert text == "the deployment 0123456789ab to 0.1.0 by Ada Lovelace, started 2026-11-20 10:00:00 UTC"
