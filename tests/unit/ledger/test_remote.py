"""The ledger with a server: two clones, a bare repository, and what goes wrong between them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from release.errors import (
    LedgerError,
    LedgerRejected,
    LedgerRewritten,
    LedgerUnreachable,
    NotALedger,
    VersionTaken,
)
from release.git.runner import Answer
from release.ledger.branch import Branch
from release.ledger.ref_updates import Move
from release.ledger.remote import Remote
from release.ledger.store import Ledger
from tests.unit.ledger import samples
from tests.unit.ledger.samples import by, event, note, release, says, tagged
from tests.unit.ledger.test_store import WRITER
from tests.unit.repository import Repository

BRANCH = "refs/heads/release-ledger"


def ledger_of(clone: Repository) -> Ledger:
    return samples.ledger(clone.root, remote="origin")


def chain(clone: Repository) -> list[str]:
    """What the records of the service say, in order, as a clone that has just fetched sees them."""
    ledger = ledger_of(clone)
    assert ledger.refresh()
    folder = "index/api/seq/000/000"
    ids = [(ledger.read(f"{folder}/{name}") or b"").decode().strip() for name in ledger.names(folder)]
    records = [ledger.record(record) for record in ids]
    assert [record.envelope.prev for record in records[1:]] == ids[:-1]
    return [says(record) for record in records]


# landing on the server


def test_a_release_lands_on_the_server_with_its_tag(ada: Repository, server: Repository) -> None:
    """And the clone follows: tracking branch, local branch and tag are there to be looked at."""
    commit = ada.git("rev-parse", "HEAD")
    draft = release("1.0.0", commit=commit)
    ledger_of(ada).append([draft], tag=tagged(draft, commit))
    there = server.refs()
    assert server.git("rev-parse", "v1.0.0^{commit}") == commit
    mine = ada.refs()
    assert {mine[BRANCH], mine["refs/remotes/origin/release-ledger"]} == {there[BRANCH]}
    assert mine["refs/release/origin/release-ledger"] == there[BRANCH]
    assert mine["refs/tags/v1.0.0"] == there["refs/tags/v1.0.0"]


def test_another_clone_reads_what_was_recorded(ada: Repository, bob: Repository) -> None:
    """After a refresh, without any other command."""
    (record,) = ledger_of(ada).append([release("1.0.0")])
    ledger = ledger_of(bob)
    assert ledger.head is None
    assert ledger.refresh() is True
    assert ledger.record(record.id) == record


def test_a_clone_that_knows_only_its_tracking_branch_reads_it(
    ada: Repository, server: Repository, tmp_path: Path
) -> None:
    """A fresh full clone can answer before it asks the server."""
    (record,) = ledger_of(ada).append([release("1.0.0")])
    fresh = Repository.clone(server, tmp_path / "fresh")
    assert ledger_of(fresh).record(record.id) == record


def test_a_shallow_clone_of_one_branch_reads_and_appends(
    ada: Repository, server: Repository, tmp_path: Path
) -> None:
    """As CI makes them: the whole ledger is fetched, the code stays shallow."""
    ada.commit("feat: more", file="2")
    ada.git("push", "-q", "origin", "main")
    ledger_of(ada).append([note("a")])
    ledger_of(ada).append([note("b")])
    ci = Repository.clone(f"file://{server.root}", tmp_path / "ci", "--depth=1", "--single-branch")
    commit = ci.git("rev-parse", "HEAD")
    draft = release("1.0.0", commit=commit)
    ledger_of(ci).append([draft], tag=tagged(draft, commit))
    assert chain(ada) == ["a", "b", "release 1.0.0"]
    assert ci.git("rev-parse", "--is-shallow-repository") == "true"
    assert ci.git("rev-list", "--count", "refs/release/origin/release-ledger") == "3"
    assert server.git("fsck", "--strict") == ""


def partial_clone(server: Repository, root: Path) -> Repository:
    """A clone without files, from a server that allows that."""
    server.git("config", "uploadpack.allowFilter", "true")
    server.git("config", "uploadpack.allowAnySHA1InWant", "true")
    return Repository.clone(f"file://{server.root}", root, "--filter=blob:none")


def test_a_partial_clone_fetches_the_ledger_whole(
    ada: Repository, server: Repository, tmp_path: Path
) -> None:
    """Such a clone keeps to its filter for the code alone; records are there without the server."""
    (record,) = ledger_of(ada).append([release("1.0.0")])
    ledger_of(ada).append([note("b")])
    clone = partial_clone(server, tmp_path / "partial")
    ledger = ledger_of(clone)
    assert ledger.refresh()
    ledger.append([note("c")])
    assert chain(ada) == ["release 1.0.0", "b", "c"]
    server.root.rename(tmp_path / "gone")
    assert ledger_of(clone).record(record.id) == record


def test_a_partial_clone_says_that_the_ledger_does_not_come(
    ada: Repository, server: Repository, tmp_path: Path
) -> None:
    """A record that was never fetched is not taken for one that is absent."""
    ledger_of(ada).append([release("1.0.0")])
    clone = partial_clone(server, tmp_path / "partial")
    server.root.rename(tmp_path / "gone")
    with pytest.raises(LedgerError, match="does not appear to be a git repository"):
        ledger_of(clone)


def test_a_stale_clone_appends_after_what_others_recorded(ada: Repository, bob: Repository) -> None:
    """The push is refused, the ledger fetched, the record placed anew."""
    mine, theirs = ledger_of(ada), ledger_of(bob)
    mine.append([note("a1")])
    theirs.append([note("b1")])
    (record,) = mine.append([note("a2")])
    assert record.envelope.seq == 3
    assert chain(bob) == ["a1", "b1", "a2"]


def test_two_processes_in_two_clones_lose_nothing(ada: Repository, bob: Repository) -> None:
    """They start together on an empty server; every record is there, in one line."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(clone.root), clone.root.name, "origin", "4"])
        for clone in (ada, bob)
    ]
    assert [writer.wait(100) for writer in writers] == [0, 0]
    assert sorted(chain(ada)) == sorted(f"{name} {number}" for name in ("ada", "bob") for number in range(4))


def test_of_two_releases_of_a_version_one_wins_and_the_other_hears_who(
    ada: Repository, bob: Repository, server: Repository
) -> None:
    """The loser has never seen the winner's record before the push."""
    ledger_of(bob).append([note("start")])
    commit = ada.git("rev-parse", "HEAD")
    loser = ledger_of(ada)
    loser.refresh()
    first = by("Bob", release("1.0.0", commit=commit))
    ledger_of(bob).append([first], tag=tagged(first, commit))
    second = release("1.0.0", content="other", commit=commit)
    with pytest.raises(VersionTaken, match=r"recorded by Bob <bob@example\.org> at 2026-11-20"):
        loser.append([second], tag=tagged(second, commit))
    assert chain(ada) == ["start", "release 1.0.0"]


def test_the_same_release_from_two_clones_is_one_record(ada: Repository, bob: Repository) -> None:
    """Both succeed and get the same record; the tag is made once."""
    commit = ada.git("rev-parse", "HEAD")
    draft = release("1.0.0", commit=commit)
    mine, theirs = ledger_of(ada), ledger_of(bob)
    (first,) = mine.append([draft], tag=tagged(draft, commit))
    (second,) = theirs.append([by("Bob", draft)], tag=tagged(draft, commit))
    assert first == second
    assert bob.refs()["refs/tags/v1.0.0"] == ada.refs()["refs/tags/v1.0.0"]


def test_two_processes_of_one_clone_publish_both(ada: Repository) -> None:
    """They share the memory of the server, and neither takes the other back."""
    one, two = ledger_of(ada), ledger_of(ada)
    one.append([note("1")])
    two.append([note("2")])
    one.append([note("3")])
    assert chain(ada) == ["1", "2", "3"]


def test_records_made_before_there_was_a_remote_go_along(here: Repository, server: Repository) -> None:
    """Turning the remote on publishes the local ledger with the next append."""
    samples.ledger(here.root).append([note("local")])
    here.git("remote", "add", "origin", str(server.root))
    ledger_of(here).append([note("shared")])
    assert chain(here) == ["local", "shared"]


def test_a_local_ledger_that_went_another_way_is_named(
    here: Repository, ada: Repository, server: Repository
) -> None:
    """Neither side's records are dropped: the reader decides."""
    samples.ledger(here.root).append([note("local")])
    ledger_of(ada).append([note("shared")])
    here.git("remote", "add", "origin", str(server.root))
    with pytest.raises(LedgerError, match="each has records that the other lacks") as caught:
        ledger_of(here).append([note("x")])
    assert "git branch -m release-ledger" in caught.value.hint
    assert chain(ada) == ["shared"]


def test_a_local_branch_that_is_checked_out_is_left_alone(ada: Repository, tmp_path: Path) -> None:
    """A working tree is not pulled away from under somebody."""
    ledger_of(ada).append([note("1")])
    ada.git("worktree", "add", "-q", str(tmp_path / "looking"), "release-ledger")
    before = ada.refs()[BRANCH]
    ledger_of(ada).append([note("2")])
    assert ada.refs()[BRANCH] == before
    assert chain(ada) == ["1", "2"]


def test_settings_of_the_clone_do_not_change_what_is_pushed(ada: Repository, server: Repository) -> None:
    """Other tags stay here, hooks do not run, a pruning fetch takes nothing away."""
    ada.git("tag", "-a", "-m", "x", "private")
    for key, value in {"push.followTags": "true", "fetch.prune": "true", "push.default": "matching"}.items():
        ada.git("config", key, value)
    ada.write(".git/hooks/pre-push", "#!/bin/sh\nexit 1\n", mode=0o755)
    ledger_of(ada).append([note("1")])
    assert "refs/tags/private" not in server.refs()
    assert chain(ada) == ["1"]


# tags


def test_a_tag_on_another_commit_of_the_server_is_refused(
    ada: Repository, bob: Repository, server: Repository
) -> None:
    """The message names both commits and the command; nothing lands."""
    other = bob.commit("feat: other", file="2")
    bob.git("push", "-q", "origin", f"{other}:refs/tags/v1.0.0")
    commit = ada.git("rev-parse", "HEAD")
    draft = release("1.0.0", commit=commit)
    with pytest.raises(VersionTaken) as caught:
        ledger_of(ada).append([draft], tag=tagged(draft, commit))
    assert other in str(caught.value)
    assert commit in str(caught.value)
    assert "git fetch origin tag v1.0.0" in caught.value.hint
    assert BRANCH not in server.refs()


def test_a_tag_on_the_same_commit_of_the_server_is_accepted(
    ada: Repository, bob: Repository, server: Repository
) -> None:
    """It stays as it is there, and the clone takes it over."""
    commit = ada.git("rev-parse", "HEAD")
    bob.git("push", "-q", "origin", f"{commit}:refs/tags/v1.0.0")
    draft = release("1.0.0", commit=commit)
    ledger_of(ada).append([draft], tag=tagged(draft, commit))
    assert server.refs()["refs/tags/v1.0.0"] == commit
    assert ada.refs()["refs/tags/v1.0.0"] == commit
    assert chain(bob) == ["release 1.0.0"]


def test_different_tags_of_one_name_on_the_same_commit_do_not_hinder(
    ada: Repository, bob: Repository, server: Repository
) -> None:
    """The server's stays, and so does this clone's: both say the same."""
    commit = ada.git("rev-parse", "HEAD")
    bob.git("push", "-q", "origin", f"{commit}:refs/tags/v1.0.0")
    ada.git("tag", "-a", "-m", "by hand", "v1.0.0")
    draft = release("1.0.0", commit=commit)
    ledger_of(ada).append([draft], tag=tagged(draft, commit))
    assert chain(bob) == ["release 1.0.0"]


def test_a_tag_made_by_hand_here_goes_to_the_server(ada: Repository, server: Repository) -> None:
    """It lands with the record, in the same push."""
    commit = ada.git("rev-parse", "HEAD")
    ada.git("tag", "v1.0.0")
    draft = release("1.0.0", commit=commit)
    ledger_of(ada).append([draft], tag=tagged(draft, commit))
    assert server.refs()["refs/tags/v1.0.0"] == commit


# a server that refuses


def test_a_hook_that_declines_is_quoted(ada: Repository, server: Repository) -> None:
    """The server's words, the reference, and what to configure; nothing lands."""
    ledger_of(ada).append([note("1")])
    server.hook("pre-receive", "echo 'only on Mondays' >&2; exit 1")
    before = server.refs()
    commit = ada.git("rev-parse", "HEAD")
    draft = release("1.0.0", commit=commit)
    with pytest.raises(LedgerRejected) as caught:
        ledger_of(ada).append([draft], tag=tagged(draft, commit))
    assert "only on Mondays" in caught.value.found
    assert BRANCH in caught.value.found
    assert "invoke explain ledger" in caught.value.hint
    assert server.refs() == before
    assert "refs/tags/v1.0.0" not in ada.refs()


def test_a_protected_tag_takes_the_record_down_with_it(ada: Repository, server: Repository) -> None:
    """Record and tag land together or not at all."""
    server.hook("update", 'case "$1" in refs/tags/*) echo "tags are protected" >&2; exit 1;; esac')
    commit = ada.git("rev-parse", "HEAD")
    draft = release("1.0.0", commit=commit)
    with pytest.raises(LedgerRejected, match="tags are protected"):
        ledger_of(ada).append([draft], tag=tagged(draft, commit))
    assert set(server.refs()) == {"refs/heads/main"}


def test_an_event_that_the_server_declines_is_kept(ada: Repository, server: Repository) -> None:
    """The error says so, and the next sync publishes it."""
    ledger_of(ada).append([note("1")])
    server.hook("pre-receive", "exit 1")
    ledger = ledger_of(ada)
    with pytest.raises(LedgerRejected) as caught:
        ledger.append_events([event("1" * 64)])
    assert "invoke sync" in caught.value.hint
    assert len(ledger.unsynced()) == 1
    server.hook("pre-receive", "exit 0")
    assert ledger.sync() == 1
    assert ledger.unsynced() == ()
    assert chain(ada)[-1].endswith(" healthy")


def test_an_event_that_does_not_come_about_unless_it_is_taken_is_not_kept(
    ada: Repository, server: Repository
) -> None:
    """`invoke sync` must not publish a deployment that never was; what waited before it waits on."""
    ledger_of(ada).append([note("1")])
    ledger_of(ada).append_events([event("1" * 64)], publish=False)
    server.hook("pre-receive", "exit 1")
    ledger = ledger_of(ada)
    with pytest.raises(LedgerRejected) as caught:
        ledger.append_events([event("2" * 64, deployment="second")], keep=False)
    assert "invoke sync" not in caught.value.hint
    assert [draft.body for draft in ledger.unsynced()] == [event("1" * 64).body]


def test_a_server_without_atomic_pushes_is_told_apart(ada: Repository, server: Repository) -> None:
    """Record and tag could land one without the other: the message names the setting, nothing lands."""
    server.git("config", "receive.advertiseAtomic", "false")
    before, mine = server.refs(), ada.refs()
    commit = ada.git("rev-parse", "HEAD")
    draft = release("1.0.0", commit=commit)
    with pytest.raises(LedgerRejected) as caught:
        ledger_of(ada).append([draft], tag=tagged(draft, commit))
    assert "receive.advertiseAtomic" in caught.value.hint
    assert (server.refs(), ada.refs()) == (before, mine)


def test_an_event_needs_no_atomic_push(ada: Repository, server: Repository) -> None:
    """One reference is atomic by itself: a rollback works on servers that can do no more."""
    server.git("config", "receive.advertiseAtomic", "false")
    assert ledger_of(ada).append_events([event("1" * 64)]) is not None
    assert len(chain(ada)) == 1


def test_a_protected_branch_is_named_and_nothing_moves_here(ada: Repository, server: Repository) -> None:
    """The server's reference, its words, and the chapter that says what to configure."""
    ledger_of(ada).append([note("1")])
    server.hook("update", 'case "$1" in refs/heads/*) echo "needs a pull request" >&2; exit 1;; esac')
    there, mine = server.refs(), ada.refs()
    with pytest.raises(LedgerRejected) as caught:
        ledger_of(ada).append([note("2")])
    assert f"{BRANCH}: [remote rejected]" in caught.value.found
    assert "needs a pull request" in caught.value.found
    assert "invoke explain ledger" in caught.value.hint
    assert (server.refs(), ada.refs()) == (there, mine)


@pytest.mark.parametrize("reason", ["a full disk", "a file system that is read-only"])
def test_a_server_that_cannot_write_is_quoted_and_nothing_moves(
    ada: Repository, server: Repository, world: Path, reason: str
) -> None:
    """The append lands once the server can write again."""
    ledger_of(ada).append([note("1")])
    script = {
        "a full disk": 'trap "" XFSZ; ulimit -f 0; exec git-receive-pack "$@"',
        "a file system that is read-only": "exec unshare --map-root-user --mount sh -c '"
        'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec git-receive-pack "$1"\' sh "$@"',
    }[reason]
    broken = Repository(world).write("receive", f"#!/bin/sh\n{script}\n", mode=0o755)
    ada.git("config", "remote.origin.receivepack", str(broken))
    there, mine = server.refs(), ada.refs()
    with pytest.raises(LedgerRejected) as caught:
        ledger_of(ada).append([note("2")])
    assert "nothing was recorded" in caught.value.hint
    assert "unable to" in caught.value.found
    assert (server.refs(), ada.refs()) == (there, mine)
    ada.git("config", "--unset", "remote.origin.receivepack")
    ledger_of(ada).append([note("2")])
    assert chain(ada) == ["1", "2"]


def test_a_branch_of_the_server_that_is_no_ledger_is_refused(
    ada: Repository, bob: Repository, server: Repository
) -> None:
    """Found at the first refresh or append; nothing is pushed onto it."""
    bob.git("push", "-q", "origin", f"main:{BRANCH}")
    before = server.refs()
    with pytest.raises(NotALedger):
        ledger_of(ada).refresh()
    with pytest.raises(NotALedger):
        ledger_of(bob).append([note("x")])
    assert server.refs() == before


# a ledger that was tampered with


def test_a_rewound_ledger_is_never_followed(ada: Repository, bob: Repository, server: Repository) -> None:
    """Both commits are named; what is here stays readable, and nothing is pushed."""
    ledger = ledger_of(ada)
    ledger.append([note("1")])
    first = server.refs()[BRANCH]
    (record,) = ledger.append([note("2")])
    second = server.refs()[BRANCH]
    server.git("update-ref", BRANCH, first)
    with pytest.raises(LedgerError) as caught:
        ledger_of(ada).refresh()
    assert second in str(caught.value)
    assert first in str(caught.value)
    assert f"git push origin {second}:{BRANCH}" in caught.value.hint
    assert ledger_of(ada).record(record.id) == record
    assert server.refs()[BRANCH] == first


def test_a_rewind_is_noticed_even_after_an_ordinary_fetch(ada: Repository, server: Repository) -> None:
    """`git fetch` follows a rewind in its tracking branch; the memory of the ledger does not."""
    ledger = ledger_of(ada)
    ledger.append([note("1")])
    first = server.refs()[BRANCH]
    ledger.append([note("2")])
    server.git("update-ref", BRANCH, first)
    ada.git("fetch", "-q")
    assert ada.refs()["refs/remotes/origin/release-ledger"] == first
    with pytest.raises(LedgerError, match="rewound"):
        ledger_of(ada).refresh()


def test_a_replaced_ledger_is_never_followed(
    ada: Repository, bob: Repository, server: Repository, tmp_path: Path
) -> None:
    """Another ledger under the same name is an error for reading and for writing."""
    ledger_of(ada).append([note("1")])
    bob.git("remote", "add", "fork", str(Repository.init(tmp_path / "fork.git", bare=True).root))
    samples.ledger(bob.root, remote="fork").append([note("other")])
    mine = server.refs()[BRANCH]
    server.git("update-ref", "-d", BRANCH)
    bob.git("push", "-q", "origin", f"{BRANCH}:{BRANCH}")
    other = server.refs()[BRANCH]
    with pytest.raises(LedgerError, match="rewound, replaced or deleted") as caught:
        ledger_of(ada).refresh()
    assert mine in str(caught.value)
    assert other in str(caught.value)
    with pytest.raises(LedgerError, match="rewound, replaced or deleted"):
        ledger_of(ada).append([note("2")])
    assert server.refs()[BRANCH] == other


def test_a_deleted_ledger_is_an_error_once_it_was_seen(ada: Repository, server: Repository) -> None:
    """An absent branch is an empty ledger only for those who have never seen it."""
    ledger = ledger_of(ada)
    assert ledger.refresh() is True
    ledger.append([note("1")])
    server.git("update-ref", "-d", BRANCH)
    with pytest.raises(LedgerError, match="deleted on the server"):
        ledger_of(ada).refresh()


# a server that does not answer


def test_reading_goes_on_without_the_server(ada: Repository, server: Repository) -> None:
    """A refresh says that it did not happen."""
    (record,) = ledger_of(ada).append([release("1.0.0")])
    server.root.rename(server.root.with_name("away.git"))
    ledger = ledger_of(ada)
    assert ledger.refresh() is False
    assert ledger.record(record.id) == record


def test_a_release_needs_the_server(ada: Repository, server: Repository) -> None:
    """Without it the version could be somebody else's: exit status 6, and nothing recorded."""
    ledger_of(ada).append([note("1")])
    server.root.rename(server.root.with_name("away.git"))
    before = ada.refs()
    commit = ada.git("rev-parse", "HEAD")
    draft = release("1.0.0", commit=commit)
    with pytest.raises(LedgerUnreachable) as caught:
        ledger_of(ada).append([draft], tag=tagged(draft, commit))
    assert caught.value.exit_code == 6
    assert "git ls-remote origin" in caught.value.hint
    assert ada.refs() == before


def test_the_first_append_ever_needs_the_server(ada: Repository, server: Repository) -> None:
    """Nobody knows whether a ledger exists there."""
    server.root.rename(server.root.with_name("away.git"))
    with pytest.raises(LedgerUnreachable):
        ledger_of(ada).append([note("1")])


def test_events_wait_for_the_server_in_order(ada: Repository, bob: Repository, server: Repository) -> None:
    """They are seen as unsynced, survive the process, and land before the next one."""
    (record,) = ledger_of(ada).append([release("1.0.0")])
    away = server.root.with_name("away.git")
    server.root.rename(away)
    assert ledger_of(ada).append_events([event(record, "started", deployment="a")]) is None
    assert ledger_of(ada).append_events([event(record, "healthy", deployment="a")]) is None
    waiting = [draft.at(1, None) for draft in ledger_of(ada).unsynced()]
    a, b = samples.digits("a", 12), samples.digits("b", 12)
    assert [says(record) for record in waiting] == [f"{a} started", f"{a} healthy"]
    away.rename(server.root)
    last = ledger_of(ada).append_events([event(record, "started", deployment="b", at=samples.moment(9))])
    assert last is not None
    assert last[0].envelope.seq == 4
    assert chain(bob) == ["release 1.0.0", f"{a} started", f"{a} healthy", f"{b} started"]
    assert ledger_of(ada).unsynced() == ()


def test_two_clones_that_were_offline_both_keep_their_events(
    ada: Repository, bob: Repository, server: Repository
) -> None:
    """Each publishes its own; the order of time is in the index."""
    (record,) = ledger_of(ada).append([release("1.0.0")])
    ledger_of(bob).refresh()
    away = server.root.with_name("away.git")
    server.root.rename(away)
    ledger_of(ada).append_events([event(record, deployment="a", at=samples.moment(2))])
    ledger_of(bob).append_events([event(record, deployment="b", at=samples.moment(1))])
    away.rename(server.root)
    assert [ledger_of(ada).sync(), ledger_of(bob).sync(), ledger_of(bob).sync()] == [1, 1, 0]
    assert len(chain(ada)) == 3
    ledger = ledger_of(bob)
    times = [name[:9] for name in ledger.names("index/api/environment/production/2026/11/20")]
    assert times == ["120100000", "120200000"]


def test_an_event_that_was_published_and_not_forgotten_is_not_published_twice(
    ada: Repository, server: Repository
) -> None:
    """A process that dies between the push and the deletion of its file."""
    ledger = ledger_of(ada)
    ledger.append([note("1")])
    away = server.root.with_name("away.git")
    server.root.rename(away)
    ledger.append_events([event("1" * 64)])
    kept = ada.root / ".git" / "release" / "unsynced"
    shutil.copytree(kept, ada.root.parent / "copy")
    away.rename(server.root)
    ledger.sync()
    shutil.copytree(ada.root.parent / "copy", kept, dirs_exist_ok=True)
    assert ledger_of(ada).unsynced() == ()
    ledger_of(ada).sync()
    assert len(chain(ada)) == 2
    assert list(kept.iterdir()) == []


# an answer that got lost


def test_a_push_whose_answer_was_lost_counts_if_it_arrived(
    ada: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is asked what it has; a record that is there is not written again."""
    ledger = ledger_of(ada)
    ledger.append([note("1")])
    push = Branch._pushed

    def lost(self: Branch, there: Remote, move: Move) -> Answer:
        push(self, there, move)
        return Answer(status=128, out=b"", errors="fatal: the remote end hung up unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(Branch, "_pushed", lost)
        (record,) = ledger.append([note("2")])
    assert record.envelope.seq == 2
    assert chain(ada) == ["1", "2"]


def test_a_push_that_was_lost_on_the_way_is_tried_again(
    ada: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once is not a reason to give up."""
    ledger = ledger_of(ada)
    ledger.append([note("1")])
    push, answers = Branch._pushed, iter((128, 128))

    def shaky(self: Branch, there: Remote, move: Move) -> Answer:
        status = next(answers, None)
        return (
            push(self, there, move)
            if status is None
            else Answer(status=status, out=b"", errors="fatal: reset")
        )

    monkeypatch.setattr(Branch, "_pushed", shaky)
    ledger.append([note("2")])
    assert chain(ada) == ["1", "2"]


def test_a_server_that_can_be_read_and_not_written_is_a_refusal(
    ada: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a key that may only read: git's own words are passed on."""
    ledger = ledger_of(ada)
    ledger.append([note("1")])
    answer = Answer(status=128, out=b"", errors="ERROR: denied to this key\nfatal: Could not read")
    monkeypatch.setattr(Branch, "_pushed", lambda self, there, move: answer)
    with pytest.raises(LedgerRejected, match="denied to this key"):
        ledger.append([note("2")])


def test_a_push_that_hangs_is_a_server_that_does_not_answer(
    ada: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed after a while; exit status 6."""
    ledger = ledger_of(ada)
    ledger.append([note("1")])
    answer = Answer(status=-9, out=b"", errors="no answer within 60 s")
    monkeypatch.setattr(Branch, "_pushed", lambda self, there, move: answer)
    with pytest.raises(LedgerUnreachable, match="no answer within 60 s"):
        ledger.append([note("2")])


# who cannot wait


def test_an_event_can_be_kept_without_asking_the_server(ada: Repository, bob: Repository) -> None:
    """The next one that is published takes it along, in order."""
    ledger = ledger_of(ada)
    (record,) = ledger.append([release("1.0.0")])
    assert ledger.append_events([event(record, "started", at=samples.moment(1))], publish=False) is None
    assert len(chain(bob)) == 1
    assert ledger.append_events([event(record, "healthy", at=samples.moment(2))]) is not None
    deployment = samples.digits("first", 12)
    assert chain(bob) == ["release 1.0.0", f"{deployment} started", f"{deployment} healthy"]


def test_a_server_that_takes_too_long_is_one_that_does_not_answer(ada: Repository, world: Path) -> None:
    """The caller says how long it can wait; what is here is read on."""
    (record,) = ledger_of(ada).append([release("1.0.0")])
    slow = Repository(world).write("slow", "#!/bin/sh\nsleep 60\n", mode=0o755)
    ada.git("config", "remote.origin.uploadpack", str(slow))
    begin = time.monotonic()
    ledger = ledger_of(ada)
    assert ledger.refresh(0.2) is False
    assert time.monotonic() - begin < 20
    assert ledger.record(record.id) == record


# a server that is half dead: it says what it has, and does not send it


def half_dead(clone: Repository, world: Path, instead: str) -> None:
    """Every second question, which is a fetch after a listing, gets this instead of an answer."""
    turn = world / "turn"
    script = (
        "#!/bin/sh\n"
        f'if [ -e "{turn}" ]; then rm "{turn}"; {instead}; fi\n'
        f'touch "{turn}"\n'
        'exec git-upload-pack "$@"\n'
    )
    program = Repository(world).write("half-dead", script, mode=0o755)
    clone.git("config", "remote.origin.uploadpack", str(program))


def test_the_patience_holds_for_the_fetch_too(ada: Repository, bob: Repository, world: Path) -> None:
    """A server that lists and then stalls: what is here is read on, and nobody waits for a fetch's time."""
    (record,) = ledger_of(ada).append([release("1.0.0")])
    ledger_of(bob).append([note("1")])
    half_dead(ada, world, "sleep 60")
    ledger, begin = ledger_of(ada), time.monotonic()
    assert ledger.refresh(1.0) is False
    assert time.monotonic() - begin < 10
    assert "no answer within" in str(ledger.silence)
    assert ledger.record(record.id) == record


def test_a_fetch_that_fails_is_a_server_that_does_not_answer(
    ada: Repository, bob: Repository, world: Path
) -> None:
    """What is here is read on, git's words are kept, and a later refresh that gets through forgets them."""
    (record,) = ledger_of(ada).append([release("1.0.0")])
    (newer,) = ledger_of(bob).append([note("1")])
    half_dead(ada, world, "echo the disk is full >&2; exit 1")
    ledger = ledger_of(ada)
    assert ledger.refresh(5.0) is False
    assert "the disk is full" in str(ledger.silence)
    assert ledger.record(record.id) == record
    ada.git("config", "--unset", "remote.origin.uploadpack")
    assert ledger.refresh(5.0) is True
    assert ledger.silence is None
    assert ledger.record(newer.id) == newer


def test_a_rewind_is_an_error_also_where_nothing_can_be_fetched(
    ada: Repository, server: Repository, world: Path
) -> None:
    """The commit that the server went back to is here: it is looked at before the server is excused."""
    ledger = ledger_of(ada)
    ledger.append([note("1")])
    first = server.refs()[BRANCH]
    ledger.append([note("2")])
    server.git("update-ref", BRANCH, first)
    half_dead(ada, world, "sleep 60")
    with pytest.raises(LedgerRewritten):
        ledger_of(ada).refresh(1.0)
