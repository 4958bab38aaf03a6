"""Remotes that git fetches from at one address and pushes to at another."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.errors import LedgerError, LedgerUnreachable
from release.ledger.address import RepositoryAddress
from tests.unit.ledger import samples
from tests.unit.ledger.samples import note, release, tagged
from tests.unit.repository import Repository

BRANCH = "refs/heads/release-ledger"
HERE = Path("/srv/clone")


@pytest.fixture
def fork(server: Repository, world: Path) -> Repository:
    """A fork of the server: another repository with the same branches."""
    return Repository.clone(server, world / "fork.git", "--bare")


def released(clone: Repository, version: str = "1.0.0") -> str:
    """A release as the chain records it: the address is checked first."""
    ledger = samples.ledger(clone.root, remote="origin")
    ledger.check_address()
    ledger.refresh()
    commit = clone.git("rev-parse", "HEAD")
    draft = release(version, commit=commit)
    (record,) = ledger.append([draft], tag=tagged(draft, commit))
    return record.id


def push_to_the_fork(ada: Repository, fork: Repository) -> None:
    ada.git("config", "remote.origin.pushurl", str(fork.root))


def push_instead_to_the_fork(ada: Repository, fork: Repository) -> None:
    ada.git("config", f"url.{fork.root}.pushInsteadOf", "../server.git")


def push_to_two_forks(ada: Repository, fork: Repository) -> None:
    ada.git("config", "--add", "remote.origin.pushurl", str(fork.root))
    ada.git("config", "--add", "remote.origin.pushurl", f"file://{fork.root}")


ELSEWHERE = [push_to_the_fork, push_instead_to_the_fork, push_to_two_forks]


@pytest.mark.parametrize("way", ELSEWHERE)
def test_a_push_to_a_fork_is_refused_before_anything_is_made(
    ada: Repository, server: Repository, fork: Repository, way: object
) -> None:
    """Nothing lands on either side, and the command of the hint mends it."""
    assert callable(way)
    way(ada, fork)
    before = server.refs(), fork.refs()
    with pytest.raises(LedgerError, match="pushes to") as caught:
        released(ada)
    assert "git remote set-url origin" in caught.value.hint
    with pytest.raises(LedgerError, match="nothing was pushed"):
        samples.ledger(ada.root, remote="origin").append([note("x")])
    assert (server.refs(), fork.refs()) == before


def test_a_fork_with_a_ledger_of_its_own_is_refused(
    ada: Repository, bob: Repository, server: Repository, world: Path
) -> None:
    """Its path may be right: what both hold decides."""
    other = Repository.clone(server, world / "other" / "server.git", "--bare")
    released(bob)
    ada.git("config", "remote.origin.url", str(server.root))
    ada.git("config", "remote.origin.pushurl", f"ssh://host/{other.root.name}")
    ada.git("config", "core.sshCommand", f"sh -c 'git-upload-pack {other.root}' #")
    with pytest.raises(LedgerError, match="different ledgers"):
        released(ada, "1.1.0")


def test_two_addresses_of_one_repository_work(
    ada: Repository, server: Repository, bob: Repository, world: Path
) -> None:
    """As https to fetch and ssh to push: releases follow each other, and other clones read them."""
    (world / "link").symlink_to(server.root)
    ada.git("config", "remote.origin.pushurl", f"file://{world / 'link'}")
    first = released(ada)
    assert released(ada, "1.1.0") != first
    ledger = samples.ledger(ada.root, remote="origin")
    assert ledger.refresh()
    assert ledger.head == server.refs()[BRANCH]
    other = samples.ledger(bob.root, remote="origin")
    other.refresh()
    assert other.record(first).id == first


def test_of_several_addresses_the_one_that_is_read_gets_the_ledger(
    ada: Repository, server: Repository, fork: Repository
) -> None:
    """A mirror that also gets every push is no second ledger."""
    ada.git("config", "--add", "remote.origin.pushurl", str(fork.root))
    ada.git("config", "--add", "remote.origin.pushurl", str(server.root))
    released(ada)
    assert BRANCH in server.refs()
    assert BRANCH not in fork.refs()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("remote.pushDefault", "fork"),
        ("branch.main.pushRemote", "fork"),
        ("remote.origin.push", "refs/heads/*:refs/heads/other/*"),
        ("push.default", "nothing"),
    ],
)
def test_other_settings_of_pushes_do_not_matter(
    ada: Repository, server: Repository, fork: Repository, key: str, value: str
) -> None:
    """Remote and references are named."""
    ada.git("remote", "add", "fork", str(fork.root))
    ada.git("config", key, value)
    released(ada)
    assert BRANCH in server.refs()
    assert BRANCH not in fork.refs()


def test_an_address_that_does_not_answer_is_found_out_first(
    ada: Repository, server: Repository, world: Path
) -> None:
    """A release needs it."""
    server.git("config", "receive.denyCurrentBranch", "ignore")
    ada.git("config", "remote.origin.pushurl", "ssh://host/server.git")
    ada.git("config", "core.sshCommand", "false")
    with pytest.raises(LedgerUnreachable, match="ssh://host/server"):
        released(ada)


@pytest.mark.parametrize(
    ("read", "pushed"),
    [
        ("https://github.example/acme/api.git", "git@github.example:acme/api.git"),
        ("https://github.example/acme/api", "ssh://git@github.example:22/acme/api.git/"),
        ("https://github.example/Acme/API", "git@GitHub.example:acme/api"),
        ("https://ada:secret@github.example/acme/api", "git@work:acme/api.git"),
        ("https://host/a/acme/api", "ssh://ada@host:29418/acme/api"),
        ("https://host/git/api.git", "host:/srv/git/api.git"),
        ("/srv/api.git", "file:///srv/api.git"),
        ("../api.git", "/srv/api.git"),
        ("/srv/api/.git", "/srv/api"),
        ("git://localhost/api.git", "/srv/git/api.git"),
        ("ssh://git@[::1]/acme/api", "git@[::1]:acme/api"),
    ],
)
def test_addresses_that_may_be_of_one_repository(read: str, pushed: str) -> None:
    """Scheme, user, port, `.git` and capitals do not matter, nor the folder that a server serves."""
    assert RepositoryAddress.parse(read, HERE).may_be(RepositoryAddress.parse(pushed, HERE))
    assert RepositoryAddress.parse(pushed, HERE).may_be(RepositoryAddress.parse(read, HERE))


@pytest.mark.parametrize(
    ("read", "pushed"),
    [
        ("https://github.example/acme/api.git", "git@github.example:ada/api.git"),
        ("https://github.example/acme/api.git", "git@github.example:acme/web.git"),
        ("https://one.example/acme/api", "https://two.example/ada/acme/api"),
        ("/srv/api.git", "/srv/fork/api.git"),
        ("/srv/api.git", "/srv/fork.git"),
        ("https://github.example/", "/srv/api.git"),
    ],
)
def test_addresses_of_different_repositories(read: str, pushed: str) -> None:
    """A fork has another path."""
    assert not RepositoryAddress.parse(read, HERE).may_be(RepositoryAddress.parse(pushed, HERE))
    assert not RepositoryAddress.parse(pushed, HERE).may_be(RepositoryAddress.parse(read, HERE))
