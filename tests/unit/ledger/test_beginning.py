"""A ledger begins once: a branch that was deleted is not begun anew by the next writer."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.config import Ledger as Settings
from release.errors import LedgerMissing, LedgerRewritten
from release.git.source import Source
from release.ledger.opening import home, open_ledger
from release.ledger.store import Ledger
from release.values import replace
from tests.unit.ledger.samples import event, release, tagged
from tests.unit.repository import Repository

ID = "0123456789abcdef0123456789abcdef"


def opened(clone: Repository, *, anew: bool = False, **settings: str) -> Ledger:
    """The ledger on the server, as a command opens it."""
    table = Settings.model_validate({"remote": "origin", **settings})
    return open_ledger(Source.open(clone.root), table, ["api"], lambda _: None, lambda _: None, anew=anew)


@pytest.fixture
def fresh(ada: Repository, server: Repository, tmp_path: Path) -> Repository:
    """A clone that never knew the ledger: it was deleted before, and the tag of its release was not."""
    commit = ada.git("rev-parse", "HEAD")
    draft = release("1.0.0", commit=commit)
    message = f"api 1.0.0\n\nregistry.example/api@sha256:{'1' * 64}\n"
    opened(ada).append([draft], tag=replace(tagged(draft, commit), message=message))
    server.git("update-ref", "-d", "refs/heads/release-ledger")
    return Repository.clone(server, tmp_path / "fresh")


@pytest.mark.attack(
    "the ledger branch is deleted on the server, and a fresh clone would begin another ledger",
    "git tags that name a released digest: the first append is refused",
)
def test_a_tag_of_a_release_shows_that_there_was_a_ledger(fresh: Repository) -> None:
    """A release, a freeze, an event: whoever writes first. The tag is fetched if the clone lacks it."""
    fresh.git("tag", "-d", "v1.0.0")
    for draft in (release("1.0.1"), event("1" * 64)):
        with pytest.raises(LedgerMissing, match=r"the git tag v1\.0\.0 names a release") as caught:
            opened(fresh).append([draft])
        assert "--new-ledger" in caught.value.hint
    assert fresh.git("ls-remote", "origin", "refs/heads/release-ledger") == ""


@pytest.mark.attack(
    "the same, with the tags deleted too",
    "`ledger.id` in the configuration names a ledger that is nowhere",
)
def test_a_configured_id_shows_that_there_was_a_ledger(ada: Repository) -> None:
    """Never the id of a new ledger: it would prove nothing afterwards."""
    with pytest.raises(LedgerMissing, match=f"names the ledger {ID}") as caught:
        opened(ada, id=ID).append([release("1.0.0")])
    assert "remove `ledger.id`" in caught.value.hint


def test_a_fork_begins_a_ledger_on_purpose(fresh: Repository) -> None:
    """And a rebuilt one begins with the id that the configuration names."""
    assert opened(fresh, anew=True).append([release("1.0.1")])


def test_a_lost_ledger_is_rebuilt_with_its_id(ada: Repository) -> None:
    """So that the other clones' configuration fits again."""
    (record,) = opened(ada, id=ID).append([release("1.0.0")], rebuilt=True)
    assert record.envelope.genesis is not None
    assert record.envelope.genesis.ledger == ID


def test_tags_of_other_tools_and_by_hand_are_no_ledger(ada: Repository) -> None:
    """A repository that has released by hand adopts this library."""
    ada.git("tag", "v0.9.0", "HEAD")
    ada.git("tag", "-a", "v0.9.1", "-m", "api 0.9.1\n\nthe last one by hand", "HEAD")
    ada.git("push", "-q", "origin", "v0.9.0", "v0.9.1")
    assert opened(ada).append([release("1.0.0")])


@pytest.mark.attack(
    "the ledger branch of a clone without a remote is deleted, and the next release would begin another one",
    "the clone remembers what it proved: nothing is read or written, and the message restores the branch",
)
def test_a_local_ledger_that_was_deleted_is_not_begun_anew(ada: Repository) -> None:
    """The command of the message brings every record back."""

    def local() -> Ledger:
        return open_ledger(Source.open(ada.root), Settings(), ["api"], lambda _: None, lambda _: None)

    local().append([release("1.0.0")])
    ada.git("branch", "-D", "release-ledger")
    with pytest.raises(LedgerRewritten, match="the branch does not exist any more") as caught:
        local().append([release("1.1.0")])
    assert "release-ledger" not in ada.git("branch", "--list")
    ada.git(*caught.value.hint.removeprefix("restore it: git ").split())
    (record,) = local().append([release("1.1.0")])
    assert record.envelope.seq == 2


def test_without_a_remote_each_clone_has_a_ledger_of_its_own(fresh: Repository) -> None:
    """Tags came from the clone that it was made of."""
    settings = Settings()
    home(Source.open(fresh.root), settings, ["api"]).check_beginning("release-ledger")
