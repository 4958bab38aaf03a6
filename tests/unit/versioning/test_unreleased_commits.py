"""The commits since a version, in real repositories: targets of reverts, and lines of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from release.git.history import last_version
from release.git.source import Source
from release.git.tags import version_tags
from release.versioning.commit_evaluation import evaluate_messages
from release.versioning.conventional_commits import Bump
from release.versioning.unreleased_commits import messages_since, stands_on_own_line
from tests.unit.repository import Repository


@pytest.fixture
def here(tmp_path: Path) -> Repository:
    """A repository with v1.4.0 on its first commit."""
    made = Repository.init(tmp_path / "here")
    made.commit("feat: start", start="1")
    made.git("tag", "v1.4.0")
    return made


@pytest.fixture
def source(here: Repository) -> Iterator[Source]:
    """The same, opened."""
    opened = Source.open(here.root)
    yield opened
    opened.close()


def bump(here: Repository, source: Source, since: str = "v1.4.0", folder: str = ".") -> tuple[Bump, int]:
    """What the commits after a tag ask for, and how many cancel out."""
    found = evaluate_messages(
        messages_since(
            source, here.git("rev-parse", "HEAD"), since=here.git("rev-parse", since), paths=[folder]
        )
    )
    return found.bump, found.cancelled


def revert(here: Repository, commit: str, *options: str) -> str:
    """As git itself reverts."""
    here.git("revert", "--no-edit", *options, commit)
    return here.git("rev-parse", "HEAD")


def test_git_reverts_cancel_out_what_is_unreleased(here: Repository, source: Source) -> None:
    """A revert of the revert brings it back."""
    bad = here.commit("feat!: bad", bad="1")
    first = revert(here, bad)
    assert bump(here, source) == (Bump.NONE, 2)
    second = revert(here, first)
    assert bump(here, source) == (Bump.MAJOR, 2)
    revert(here, second)
    assert bump(here, source) == (Bump.NONE, 4)


def test_a_git_revert_of_a_released_commit_is_a_patch(here: Repository, source: Source) -> None:
    """Also when an unreleased commit has the same subject."""
    bad = here.commit("feat: bad", bad="1")
    here.git("tag", "v1.5.0")
    here.commit("feat: bad", other="1")
    here.git("tag", "other")
    first = revert(here, bad)
    assert bump(here, source, "other") == (Bump.PATCH, 0)
    assert bump(here, source, "v1.5.0") == (Bump.MINOR, 0)
    revert(here, first)
    assert bump(here, source, first) == (Bump.PATCH, 0)
    assert bump(here, source, "other") == (Bump.NONE, 2)


def test_a_convention_revert_names_commits_by_short_ids(here: Repository, source: Source) -> None:
    """`Refs`, one or several, released or not."""
    one = here.commit("feat: one", one="1")
    two = here.commit("feat: two", two="1")
    here.commit(f"revert: both of them\n\nRefs: {one[:8]}, {two[:8]}", one="", two="")
    assert bump(here, source) == (Bump.NONE, 3)
    assert bump(here, source, one) == (Bump.PATCH, 1)


def test_an_id_from_before_a_rebase_is_found_by_its_subject(here: Repository, source: Source) -> None:
    """The id is here, and not in this history."""
    here.git("checkout", "-q", "-b", "side")
    bad = here.commit("feat: bad", bad="1")
    revert(here, bad)
    here.git("checkout", "-q", "main")
    here.commit("docs: words", words="1")
    here.git("cherry-pick", "side~1", "side")
    assert bump(here, source) == (Bump.NONE, 2)


def test_a_revert_of_a_merge_takes_back_what_it_brought(here: Repository, source: Source) -> None:
    """In the whole repository, and in a folder, where git leaves out the merge itself."""
    here.git("checkout", "-q", "-b", "side")
    here.write("api/a", "1")
    here.commit("feat: one")
    here.write("api/b", "1")
    here.commit("feat!: two")
    here.git("checkout", "-q", "main")
    here.commit("fix: kept", kept="1")
    here.git("merge", "-q", "--no-ff", "-m", "Merge branch 'side'", "side")
    revert(here, "HEAD", "-m", "1")
    assert bump(here, source) == (Bump.PATCH, 4)
    assert bump(here, source, folder="api")[0] is Bump.NONE


# lines


def stands_alone(here: Repository, remote: str | None = None) -> bool:
    """Whether the checked-out commit is on a line of its own."""
    opened = Source.open(here.root)
    try:
        tags = version_tags(opened, "v", remote)
        head = opened.head().id
        return stands_on_own_line(opened, head, last_version(opened, head, tags), tags, remote)
    finally:
        opened.close()


def newer_line(here: Repository) -> None:
    """main goes on to v2.1.0."""
    here.commit("feat!: all new", new="1")
    here.git("tag", "v2.0.0")
    here.commit("feat: more", new="2")
    here.git("tag", "-a", "-m", "x", "v2.1.0")


def test_a_branch_from_an_old_version_is_a_line_of_its_own(here: Repository) -> None:
    """With and without commits, and after a release of its own."""
    newer_line(here)
    assert not stands_alone(here)
    here.git("checkout", "-q", "-b", "1.x", "v1.4.0")
    assert stands_alone(here)
    here.commit("fix: old", old="1")
    assert stands_alone(here)
    here.git("tag", "v1.4.1")
    here.commit("fix: more", old="2")
    assert stands_alone(here)


def test_a_trunk_whose_versions_are_on_branches_is_not_one(here: Repository) -> None:
    """Its commits are in a higher version, so the next one has to be above that."""
    here.commit("feat: shared", shared="1")
    here.git("checkout", "-q", "-b", "release-2")
    here.commit("fix: side", side="1")
    here.git("tag", "v2.0.0")
    here.git("checkout", "-q", "main")
    here.commit("fix: trunk", trunk="1")
    assert not stands_alone(here)


def test_a_clone_of_one_branch_fetches_the_commits_of_the_other_tags(
    here: Repository, tmp_path: Path
) -> None:
    """The server lists them, and git clones without them."""
    newer_line(here)
    here.git("checkout", "-q", "-b", "1.x", "v1.4.0")
    here.commit("fix: old", old="1")
    clone = Repository.clone(
        f"file://{here.root}", tmp_path / "clone", "--single-branch", "--no-tags", "-b", "1.x"
    )
    clone.git("tag", "v1.4.0", "HEAD~1")
    assert stands_alone(clone, "origin")
    assert clone.refs("refs/tags/").keys() == {"refs/tags/v1.4.0"}


def test_a_shallow_clone_proves_no_line(here: Repository, tmp_path: Path) -> None:
    """Its history is cut off."""
    newer_line(here)
    clone = Repository.clone(f"file://{here.root}", tmp_path / "clone", "--depth=1", "-b", "v1.4.0")
    assert not stands_alone(clone, "origin")
