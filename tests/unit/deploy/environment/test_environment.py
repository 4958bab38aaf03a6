"""An operator's desk: what it knows of the ledger, and how long it waits to know more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from release.deploy.environment import environment
from release.deploy.environment.environment import Workspace
from release.errors import LedgerRewritten, LedgerUnproven
from release.events import Event, Notice, Warned
from release.records import Body, Draft, Record
from release.runspec import RunSpec
from release.values import replace
from tests.unit.ledger import samples
from tests.unit.ledger.samples import release
from tests.unit.repository import Repository

PYPROJECT = """
[project]
name = "api"
version = "0"
[tool.release]
service = "api"
[tool.release.smoke]
port = 8000
path = "/healthz"
[tool.release.ledger]
remote = "origin"
"""


def clone(server: Repository, folder: Path) -> Repository:
    repository = Repository.init(folder)
    repository.git("remote", "add", "origin", str(server.root))
    repository.commit("feat: start", **{"pyproject.toml": PYPROJECT})
    return repository


def refreshed(repository: Repository) -> tuple[bool, Workspace, list[Event]]:
    told: list[Event] = []
    with Workspace.open(repository.root, None, environ={}, emit=told.append) as workspace:
        return workspace.refresh(), workspace, told


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A clone that has nothing of a ledger yet whose server takes longer than an operator waits."""
    monkeypatch.setattr(environment, "PATIENCE_SECONDS", 0.4)
    server = Repository.init(tmp_path / "server.git", bare=True)
    samples.ledger(clone(server, tmp_path / "here").root, remote="origin").append([release("1.0.0")])
    other = clone(server, tmp_path / "other")
    slow = '#!/bin/sh\nsleep 0.6\nexec git-upload-pack "$@"\n'
    other.git("config", "remote.origin.uploadpack", str(other.write(".git/slow", slow, mode=0o755)))
    return other


def test_a_first_fetch_is_told_and_waited_for(other: Repository) -> None:
    """There is nothing to go by: a server that is slow to send it is no dead one."""
    answers, workspace, told = refreshed(other)
    assert answers
    assert workspace.ledger.head is not None
    assert told == [Notice(text="this clone has no ledger yet: fetching it from origin")]


def test_who_knows_a_ledger_does_not_wait_for_more_of_it(other: Repository) -> None:
    """The warning says what git met."""
    other.git("fetch", "-q", "--upload-pack=git-upload-pack", "origin", "release-ledger:release-ledger")
    answers, workspace, (told,) = refreshed(other)
    assert not answers
    assert workspace.ledger.head is not None
    assert isinstance(told, Warned)
    assert "using what this clone knows (no answer within" in told.text


def took(of: Record[Body], deployment: str, milliseconds: int | None, **changes: Any) -> Draft[Body]:
    draft = samples.event(of, deployment=deployment, run_spec=changes.pop("run_spec", RunSpec(watch=5000)))
    body = draft.body.model_copy(update={"duration_ms": milliseconds, **changes})
    return replace(draft, body=body)


def test_what_deployments_take_does_not_contain_their_watch(tmp_path: Path) -> None:
    """A rollback watches nothing; what was too quick to watch only verified, and is not comparable."""
    repository = clone(Repository.init(tmp_path / "server.git", bare=True), tmp_path / "here")
    repository.write("pyproject.toml", f"{PYPROJECT}[tool.release.environments.production]\n")
    ledger = samples.ledger(repository.root, remote="origin")
    (released,) = ledger.append([release("1.0.0")])
    every = (
        took(released, "watched", 6500),
        took(released, "longer", 13_000, run_spec=RunSpec(watch=10_000)),
        took(released, "back", 1200, reason="rollback"),
        took(released, "verified", 900),
        took(released, "unknown", None),
    )
    for draft in every:
        ledger.append([draft])
    with Workspace.open(repository.root, None, environ={}, emit=lambda _: None) as workspace:
        assert sorted(workspace.env_ref("production").durations(9)) == [1200, 1500, 3000]


@pytest.mark.parametrize(
    ("unproven", "said"),
    [
        (
            None,
            (
                "the git remote does not answer: the event waits in this clone. "
                "Run `invoke sync` when the remote answers"
            ),
        ),
        (LedgerUnproven("prove it", "a commit breaks its rules"), "the ledger is not proven, so nothing"),
        (LedgerRewritten("read it", "it was rewound", "", seen="a", now=None), "the ledger is not proven"),
    ],
)
def test_why_a_record_waits_is_said(
    tmp_path: Path, unproven: LedgerUnproven | LedgerRewritten | None, said: str
) -> None:
    """A remote that answers is not blamed for a ledger that is not proven."""
    repository = clone(Repository.init(tmp_path / "server.git", bare=True), tmp_path / "here")
    told: list[Event] = []
    with Workspace.open(repository.root, None, environ={}, emit=told.append) as workspace:
        workspace.ledger.snapshot.unproven = unproven
        workspace.warn_waiting()
    (warned,) = told
    assert isinstance(warned, Warned)
    assert warned.text.startswith(said)
    assert "invoke sync" in warned.text
    assert ("does not answer" in warned.text) == (unproven is None)
