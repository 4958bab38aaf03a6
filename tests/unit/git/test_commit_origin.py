"""Which commits are the service's own: what a tag or a branch of the code reaches."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from release.config import Ledger
from release.errors import SourceError
from release.git.commit_origin import foreign_commit_reason, require_own_commit
from release.git.source import Source
from release.records import Release
from tests.unit.ledger import samples
from tests.unit.repository import Repository

LEDGER = Ledger(remote="origin")


@pytest.fixture
def here(tmp_path: Path) -> Repository:
    """A clone with two commits."""
    server = Repository.init(tmp_path / "server")
    server.commit("feat: one")
    server.commit("feat: two")
    return Repository.clone(server, tmp_path / "here")


def smuggled(here: Repository) -> str:
    """A commit of somebody else's, which came along as the second parent of a commit of the ledger."""
    tree = here.git("rev-parse", "HEAD^{tree}")
    evil = here.git("commit-tree", tree, "-m", "feat: what the operator would run")
    first = here.git("commit-tree", tree, "-m", "ledger")
    merge = here.git("commit-tree", tree, "-p", first, "-p", evil, "-m", "ledger")
    here.git("update-ref", "refs/heads/release-ledger", merge)
    here.git("update-ref", "refs/remotes/origin/release-ledger", merge)
    return evil


def released(commit: str, *, version: str = "1.0.0", tag: str = "v1.0.0") -> Release:
    body = samples.release(version, commit=commit, tag=tag).body
    assert isinstance(body, Release)
    return body


def why(here: Repository, release: Release, service: str = "api", ledger: Ledger = LEDGER) -> str | None:
    source = Source.open(here.root)
    try:
        return foreign_commit_reason(source, service, ledger, release)
    finally:
        source.close()


@pytest.mark.attack(
    "A record names a commit of the attacker's, which came along as the second parent of the ledger's branch",
    "A commit counts only where the release's git tag, the checked-out branch or the default branch has it",
)
def test_a_commit_that_only_the_ledger_reaches_is_foreign(here: Repository) -> None:
    """The refusal names the commit, where it was looked for, and what to fetch."""
    evil = smuggled(here)
    said = why(here, released(evil))
    assert said is not None
    assert evil in said
    with pytest.raises(SourceError, match="so nothing shows") as caught:
        require_own_commit(Source.open(here.root), "api", LEDGER, released(evil), "build 1.0.0 again")
    assert "git fetch origin tag v1.0.0" in caught.value.hint


def test_a_checked_out_ledger_proves_nothing(here: Repository) -> None:
    """It is the branch that the attacker can push to."""
    evil = smuggled(here)
    here.git("symbolic-ref", "HEAD", "refs/heads/release-ledger")
    here.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/release-ledger")
    assert why(here, released(evil)) is not None


def test_a_tag_that_is_no_version_of_the_service_proves_nothing(here: Repository) -> None:
    """A record could name any reference."""
    evil = smuggled(here)
    here.git("tag", "release-ledger", evil)
    for tag in ("release-ledger", "v1.0.1", "web/v1.0.0", "HEAD", "heads/release-ledger"):
        assert "is not a name" in (why(here, released(evil, tag=tag)) or "")
    with pytest.raises(ValidationError, match="git check-ref-format"):
        released(evil, tag="../heads/release-ledger")


def test_a_commit_of_the_branch_or_of_its_tag_is_the_services(here: Repository) -> None:
    """Of the checked-out branch, of the remote's default branch, or of a tag alone."""
    first, second = here.git("rev-parse", "HEAD~1"), here.git("rev-parse", "HEAD")
    assert why(here, released(first)) is why(here, released(second)) is None
    here.git("checkout", "-q", "--orphan", "elsewhere")
    here.git("commit", "-q", "--allow-empty", "-m", "feat: elsewhere")
    assert why(here, released(second)) is None
    assert why(here, released(second), ledger=Ledger()) is not None
    here.git("tag", "v1.0.0", second)
    assert why(here, released(second), ledger=Ledger()) is None
    here.git("tag", "api/v1.0.0", second)
    assert why(here, released(second, tag="api/v1.0.0"), ledger=Ledger()) is None


def test_a_graft_lends_no_history(here: Repository) -> None:
    """`.git/info/grafts` may say that the branch comes after any commit."""
    evil = smuggled(here)
    head = here.git("rev-parse", "HEAD")
    here.write(".git/info/grafts", f"{head} {evil}\n")
    assert why(here, released(evil)) is not None


def test_a_commit_that_is_not_here_is_named(here: Repository) -> None:
    """As in a shallow clone."""
    assert "is not in this clone" in (why(here, released("a" * 40)) or "")
