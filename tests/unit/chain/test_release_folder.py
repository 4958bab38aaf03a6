"""A commit that brings a `.release/` of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from release.chain.release_folder import refuse_committed_release_folder
from release.errors import SourceError
from release.git.source import Source
from tests.unit.repository import Repository


def _file(repository: Repository) -> None:
    repository.write(".release/passed/lock-00.json", "{}")


def _other_case(repository: Repository) -> None:
    repository.write(".Release/passed/lock-00.json", "{}")


def _link(repository: Repository) -> None:
    (repository.root / ".release").symlink_to("elsewhere")


def _plain(repository: Repository) -> None:
    repository.write(".release", "")


@pytest.mark.parametrize("brings", [_file, _other_case, _link, _plain])
@pytest.mark.attack(
    "A pull request commits .release/passed/lock-<key>.json, a pass for its stale lockfile",
    "A commit with a .release of its own is refused before anything runs",
)
def test_a_commit_with_results_of_its_own_is_refused(
    tmp_path: Path, brings: Callable[[Repository], None]
) -> None:
    """The message says how to take it out."""
    repository = Repository.init(tmp_path)
    brings(repository)
    repository.git("add", "--force", "--all")
    repository.git("commit", "-q", "-m", "feat: add")
    with closing(Source.open(tmp_path)) as source, pytest.raises(SourceError) as caught:
        refuse_committed_release_folder(source, source.head().id)
    assert "git rm -r --cached" in caught.value.hint


def test_other_names_are_the_projects_own(tmp_path: Path) -> None:
    """Also one that begins alike, and one in a folder below."""
    repository = Repository.init(tmp_path)
    repository.write(".release-signers", "")
    repository.write("docs/.release/notes", "")
    repository.git("add", "--all")
    repository.git("commit", "-q", "-m", "feat: add")
    with closing(Source.open(tmp_path)) as source:
        refuse_committed_release_folder(source, source.head().id)
