"""The ledger in one clone: append, read, refuse, survive."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import PurePosixPath

import pytest
from pydantic import ValidationError

from release.errors import LedgerError, NotALedger, VersionTaken
from release.ledger import layout
from release.ledger.branch import Branch
from release.ledger.git_objects import TagRequest
from release.ledger.ref_updates import Move
from release.values import replace
from tests.unit.ledger import samples
from tests.unit.ledger.samples import by, event, note, release, says, tagged
from tests.unit.repository import Repository

BRANCH = "refs/heads/release-ledger"
VERIFIED = "refs/release-verified/local/release-ledger"


def tree(repository: Repository, commit: str = BRANCH) -> list[str]:
    return repository.git("ls-tree", "-r", "--name-only", commit).splitlines()


def folders(repository: Repository) -> dict[str, str]:
    """Every folder of the ledger and its object; the whole tree is `.`."""
    rows = repository.git("ls-tree", "-r", "-d", BRANCH).splitlines()
    found = {path: facts.split()[2] for facts, _, path in (row.partition("\t") for row in rows)}
    return found | {".": repository.git("rev-parse", f"{BRANCH}^{{tree}}")}


# what an append leaves


def test_a_branch_that_is_absent_is_an_empty_ledger(here: Repository) -> None:
    """Opening and reading write nothing."""
    ledger = samples.ledger(here.root)
    assert ledger.refresh() is True
    assert (ledger.head, ledger.names("records"), ledger.read("format"), ledger.unsynced()) == (
        None,
        (),
        None,
        (),
    )
    assert set(here.refs()) == {"refs/heads/main"}


def test_what_another_command_added_is_read_when_it_is_looked_at_again(here: Repository) -> None:
    """Not before: all answers of one plan are of one ledger."""
    ours, theirs = samples.ledger(here.root), samples.ledger(here.root)
    (record,) = theirs.append([release("1.4.2")])
    assert ours.head is None
    ours.look_again()
    assert ours.record(record.id) == record


def test_the_first_append_makes_the_branch_with_its_format(here: Repository) -> None:
    """An orphan commit that holds the record, its index entries and the word that makes it a ledger."""
    ledger = samples.ledger(here.root)
    (record,) = ledger.append([release("1.4.2")])
    version, digest = "index/api/version/1/1.4.2", samples.digits("1.4.2")
    commit = samples.digits("commit 1.4.2", 40)
    assert tree(here) == sorted(
        [
            "format",
            f"index/api/commit/{commit[:2]}/{commit}",
            f"index/api/digest/{digest[:2]}/{digest}",
            "index/api/seq/000/000/000000001-release",
            version,
            f"records/{record.id[:2]}/{record.id}.json",
        ]
    )
    assert here.git("show", f"{BRANCH}:format") == "release-ledger 1.0"
    assert ledger.read(version) == f"{record.id}\n".encode()
    assert here.git("rev-list", "--count", BRANCH) == "1"


def test_each_append_is_one_commit_that_only_adds(here: Repository) -> None:
    """Nothing that was written is changed or taken away; the parent is the append before."""
    ledger = samples.ledger(here.root)
    (first,) = ledger.append([release("1.0.0")])
    ledger.append([event(first)])
    ledger.append([note("one"), note("two")])
    changes = here.git("log", "--format=", "--name-status", BRANCH).splitlines()
    assert {line[0] for line in changes if line} == {"A"}
    assert here.git("rev-list", "--count", "--first-parent", BRANCH) == "3"
    assert here.git("fsck", "--strict") == ""


def test_records_of_a_service_are_numbered_and_chained(here: Repository) -> None:
    """`seq` counts from 1 for each service, `prev` is the record before, also within one append."""
    ledger = samples.ledger(here.root)
    one, two = ledger.append([note("a"), note("b")])
    (other,) = ledger.append([note("c", service="web")])
    (three,) = ledger.append([note("d")])
    assert [record.envelope.seq for record in (one, two, three, other)] == [1, 2, 3, 1]
    assert [record.envelope.prev for record in (one, two, three, other)] == [None, one.id, two.id, None]


def test_a_record_is_read_back_as_its_canonical_bytes(here: Repository) -> None:
    """The file is named by the sha256 of its content, and parses to the same record."""
    ledger = samples.ledger(here.root)
    (record,) = ledger.append([release("1.0.0")])
    content = ledger.read(layout.record_path(record.id))
    assert content == record.to_bytes()
    assert json.loads(content or b"")["version"] == "1.0.0"
    assert ledger.record(record.id) == record


def test_the_commit_says_what_it_holds_and_who_wrote_it(here: Repository) -> None:
    """`git log` of the branch is readable by itself."""
    ledger = samples.ledger(here.root)
    (record,) = ledger.append([by("Grace", release("1.4.2"))])
    ledger.append([event(record)])
    ledger.append([note("x"), event("0" * 64, "failed", deployment="second")])
    log = here.git("log", "--format=%s|%an <%ae>|%aI|%b", BRANCH).split("\n")
    assert log[-1] == "api 1.4.2 released|Grace <grace@example.org>|2026-11-20T12:00:00+00:00|"
    assert "api 1.4.2 → production: healthy|Ada Lovelace <ada@example.org>" in log[-2]
    assert log[0].startswith("2 records|")
    assert any(line.startswith("api sha256:") and line.endswith("→ production: failed") for line in log)


def test_an_actor_whose_name_git_cannot_hold_is_still_recorded(here: Repository) -> None:
    """The commit's author is cleaned; the record keeps the name as it is."""
    ledger = samples.ledger(here.root)
    (record,) = ledger.append(
        [by("<>\n", release("1.0.0"))], tag=tagged(release("1.0.0"), here.git("rev-parse", "main"))
    )
    assert record.envelope.actor.name == "<>\n"
    assert here.git("log", "-1", "--format=%an", BRANCH) == "unknown"


def test_commit_times_never_go_back(here: Repository) -> None:
    """A clock that is behind does not confuse git."""
    ledger = samples.ledger(here.root)
    ledger.append([note("late", at="2026-11-20T12:00:00.000Z")])
    ledger.append([note("early", at="2026-11-20T11:00:00.000Z")])
    assert len(set(here.git("log", "--format=%ct", BRANCH).splitlines())) == 1


# release, tag, and what was there before


def test_a_release_lands_with_its_annotated_tag(here: Repository) -> None:
    """The tag stands on the released commit and carries the message."""
    commit = here.git("rev-parse", "main")
    draft = release("1.0.0", commit=commit)
    samples.ledger(here.root).append([draft], tag=tagged(draft, commit))
    assert here.git("rev-parse", "v1.0.0^{commit}") == commit
    assert here.git("cat-file", "-t", "v1.0.0") == "tag"
    assert here.git("for-each-ref", "--format=%(contents:subject)|%(taggername)", "refs/tags/v1.0.0") == (
        "api 1.0.0|Ada Lovelace"
    )


def test_the_same_release_again_is_the_record_that_exists(here: Repository) -> None:
    """Same version, digest and commit: no new commit, whatever else differs."""
    ledger = samples.ledger(here.root)
    (first,) = ledger.append([release("1.0.0")])
    (again,) = ledger.append([by("Grace", release("1.0.0", at=samples.moment(5)))])
    assert again == first
    assert here.git("rev-list", "--count", BRANCH) == "1"


def test_the_same_release_again_makes_a_missing_tag(here: Repository) -> None:
    """A process that died between the two references is finished by the next one."""
    commit = here.git("rev-parse", "main")
    draft = release("1.0.0", commit=commit)
    ledger = samples.ledger(here.root)
    ledger.append([draft], tag=tagged(draft, commit))
    tag = here.git("rev-parse", "v1.0.0")
    here.git("tag", "-d", "v1.0.0")
    ledger.append([draft], tag=tagged(draft, commit))
    assert here.git("rev-parse", "v1.0.0") == tag
    assert here.git("rev-list", "--count", BRANCH) == "1"


def test_a_version_with_other_content_is_refused_naming_both(here: Repository) -> None:
    """Both digests, both commits, who recorded the first one, and when."""
    ledger = samples.ledger(here.root)
    ledger.append([by("Grace", release("1.0.0"))])
    with pytest.raises(VersionTaken) as caught:
        ledger.append([release("1.0.0", content="other", commit="b" * 40)])
    text = str(caught.value)
    for part in (
        samples.digits("1.0.0")[:12],
        samples.digits("other")[:12],
        "b" * 12,
        "Grace",
        "20 12:00:00 UTC",
    ):
        assert part in text
    assert samples.digits("commit 1.0.0", 12) in text


def test_a_version_of_another_commit_is_refused_even_with_the_same_digest(here: Repository) -> None:
    """The commit is part of what a release is."""
    ledger = samples.ledger(here.root)
    ledger.append([release("1.0.0")])
    with pytest.raises(VersionTaken, match=r"1\.0\.0 is sha256:"):
        ledger.append([release("1.0.0", commit="b" * 40)])


def test_a_digest_under_a_second_version_is_refused(here: Repository) -> None:
    """One image has one version."""
    ledger = samples.ledger(here.root)
    ledger.append([release("1.0.0")])
    with pytest.raises(VersionTaken, match=r"release api 1\.1\.0 .*: api 1\.0\.0 is"):
        ledger.append([release("1.1.0", content="1.0.0")])


def test_two_services_do_not_share_versions(here: Repository) -> None:
    """Version and digest are one-to-one per service."""
    ledger = samples.ledger(here.root)
    ledger.append([release("1.0.0"), release("1.0.0", service="web")])
    assert ledger.names("index") == ("api", "web")


def test_two_releases_of_one_commit_are_both_found(here: Repository) -> None:
    """A pre-release and the final one come from the same source."""
    ledger = samples.ledger(here.root)
    commit = "c" * 40
    ledger.append([release("2.0.0-rc.1", commit=commit)])
    ledger.append([release("2.0.0", commit=commit)])
    assert ledger.names(f"index/api/commit/{commit[:2]}") == (commit, f"{commit}-000000002")


def test_drafts_of_one_append_that_contradict_each_other_are_refused(here: Repository) -> None:
    """Nothing of such an append lands."""
    with pytest.raises(VersionTaken):
        samples.ledger(here.root).append([release("1.0.0"), release("1.0.0", content="other")])
    assert BRANCH not in here.refs()


def test_a_tag_made_by_hand_on_another_commit_is_refused(here: Repository) -> None:
    """The message names both commits and how to look at it; nothing is recorded."""
    old = here.git("rev-parse", "main")
    here.git("tag", "v1.0.0", old)
    commit = here.commit("fix: more", file="2")
    draft = release("1.0.0", commit=commit)
    with pytest.raises(VersionTaken) as caught:
        samples.ledger(here.root).append([draft], tag=tagged(draft, commit))
    assert old in str(caught.value)
    assert commit in str(caught.value)
    assert "git show v1.0.0" in caught.value.hint
    assert BRANCH not in here.refs()


def test_a_tag_made_by_hand_on_the_same_commit_is_accepted(here: Repository) -> None:
    """It stays as it is."""
    commit = here.git("rev-parse", "main")
    here.git("tag", "v1.0.0", commit)
    draft = release("1.0.0", commit=commit)
    samples.ledger(here.root).append([draft], tag=tagged(draft, commit))
    assert here.refs()["refs/tags/v1.0.0"] == commit
    assert BRANCH in here.refs()


# events


def test_the_same_event_again_is_the_record_that_exists(here: Repository) -> None:
    """Also when its time was set right; another status is another event."""
    ledger = samples.ledger(here.root)
    (record,) = ledger.append([release("1.0.0")])
    started = ledger.append_events([event(record, "started")])
    again = ledger.append_events([event(record, "started")])
    healthy = ledger.append_events([event(record, "healthy")])
    assert started == again
    assert healthy is not None
    assert healthy[0].envelope.seq == 3


def test_a_clock_that_is_behind_does_not_reorder_events(here: Repository) -> None:
    """A new event is recorded one millisecond after the newest one known."""
    ledger = samples.ledger(here.root)
    ledger.append_events([event("1" * 64, deployment="a", at=samples.moment(10))])
    behind = ledger.append_events([event("2" * 64, deployment="b", at=samples.moment(0))])
    assert behind is not None
    assert behind[0].envelope.recorded_at == "2026-11-20T12:10:00.001Z"
    assert ledger.append_events([event("2" * 64, deployment="b", at=samples.moment(0))]) == behind


def test_without_a_remote_nothing_is_ever_unsynced(here: Repository) -> None:
    """The event is in the ledger, or an error was raised."""
    ledger = samples.ledger(here.root)
    ledger.append_events([event("1" * 64)])
    assert (ledger.unsynced(), ledger.sync()) == ((), 0)


# what is refused


def test_a_branch_that_is_no_ledger_is_refused(here: Repository) -> None:
    """It is told by its structure, at once, and left alone."""
    here.git("branch", "release-ledger", "main")
    with pytest.raises(NotALedger, match="is not a ledger") as caught:
        samples.ledger(here.root)
    assert "`ledger.branch`" in caught.value.hint


def test_a_ledger_of_a_later_major_is_refused(here: Repository) -> None:
    """It says what it is and what to do."""
    blob = here.git("hash-object", "-w", "--stdin", stdin=b"release-ledger 2.0\n")
    made = here.git("mktree", stdin=f"100644 blob {blob}\tformat\n".encode())
    here.git("update-ref", BRANCH, here.git("commit-tree", made, "-m", "x"))
    with pytest.raises(LedgerError, match=r"the ledger has the format 2\.0") as caught:
        samples.ledger(here.root)
    assert "upgrade" in caught.value.hint


@pytest.mark.parametrize("branch", ["--upload-pack=x", "-d", "a..b", "", "x.lock", "a b", "refs\n"])
def test_a_branch_name_that_git_would_misread_is_refused(here: Repository, branch: str) -> None:
    """No option reaches git through the name of the branch, the remote or the tag."""
    with pytest.raises(LedgerError, match="not allowed"):
        samples.ledger(here.root, branch=branch)
    with pytest.raises(LedgerError, match="not allowed"):
        samples.ledger(here.root, remote=branch)
    with pytest.raises(LedgerError, match="not allowed"):
        samples.ledger(here.root).append(
            [note("x")], tag=TagRequest(name=branch, commit="a" * 40, message="x")
        )


@pytest.mark.parametrize("name", ["../x", "a/b", "", "Ünicode", ".git", "-x"])
def test_an_odd_service_or_environment_name_never_becomes_a_path(here: Repository, name: str) -> None:
    """Names are checked where they turn into paths, too."""
    with pytest.raises(LedgerError, match="not allowed"):
        samples.ledger(here.root).append([note("x", service=name)])
    with pytest.raises(ValidationError, match="environment"):
        samples.ledger(here.root).append([event("1" * 64, environment=name)])


def test_a_remote_that_is_not_configured_is_named(here: Repository) -> None:
    """The message gives the command that adds it."""
    with pytest.raises(LedgerError, match="no such remote") as caught:
        samples.ledger(here.root, remote="origin")
    assert "git remote add origin" in caught.value.hint


# damage


def test_an_edited_record_is_not_read(here: Repository) -> None:
    """The commit that edits it is named, and the ledger is read up to the commit before it."""
    ledger = samples.ledger(here.root)
    (record,) = ledger.append([release("1.0.0")])
    path = layout.record_path(record.id)
    here.git("worktree", "add", "-q", "../ledger", "release-ledger")
    forged = Repository(here.root.parent / "ledger")
    forged.write(path, record.to_bytes().replace(b"1.0.0", b"1.0.1"))
    commit = forged.commit("forged")
    again = samples.ledger(here.root)
    assert again.unproven is not None
    assert (commit in again.unproven.found, path in again.unproven.found) == (True, True)
    assert again.record(record.id) == record


def test_a_record_that_is_absent_is_named(here: Repository) -> None:
    """The path and the command to look further."""
    ledger = samples.ledger(here.root)
    ledger.append([note("x")])
    with pytest.raises(LedgerError, match="no such file"):
        ledger.record("f" * 64)


@pytest.mark.parametrize("what", ["format", "index", "index/api/version/1/1.0.0"])
def test_a_damaged_object_is_an_error_and_never_an_absent_entry(here: Repository, what: str) -> None:
    """Half of the store missing must not look like a version that is free."""
    samples.ledger(here.root).append([release("1.0.0")])
    oid = here.git("rev-parse", f"{BRANCH}:{what}")
    (here.root / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    with pytest.raises(LedgerError) as caught:
        samples.ledger(here.root).append([release("1.0.0", content="other")])
    assert oid in str(caught.value)
    assert "git fsck" in caught.value.hint


@pytest.mark.parametrize("what", ["", ":", ":format", ":index/api/version/1/1.0.0", ":records"])
def test_a_half_written_object_is_named(here: Repository, what: str) -> None:
    """Commit, folder or file, as after a loss of power: an error, never a shorter ledger."""
    samples.ledger(here.root).append([release("1.0.0")])
    oid = here.git("rev-parse", f"{BRANCH}{what}")
    file = here.root / ".git" / "objects" / oid[:2] / oid[2:]
    content = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(LedgerError) as caught:
        samples.ledger(here.root).append([release("1.0.0", content="other")])
    assert oid in str(caught.value)
    assert "git fsck" in caught.value.hint


def test_a_disk_that_is_full_leaves_the_ledger_as_it_was(here: Repository) -> None:
    """Nothing can be written: an error that says so, the same records, and a later append works."""
    ledger = samples.ledger(here.root)
    ledger.append([note("1")])
    before = here.refs()
    program = "import sys; from pathlib import Path; from tests.unit.ledger import samples; "
    program += "samples.ledger(Path(sys.argv[1])).append([samples.note('2')])"
    done = subprocess.run(
        ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh", sys.executable, "-B", "-c", program, str(here.root)),
        check=False,
        capture_output=True,
        text=True,
    )
    assert "LedgerError: " in done.stderr
    assert here.refs() == before
    assert samples.ledger(here.root).append([note("2")])[0].envelope.seq == 2


def test_an_append_writes_only_the_folders_on_its_way(here: Repository) -> None:
    """Every other folder keeps its object: new are the new files, their folders and the commit."""
    ledger = samples.ledger(here.root)
    ledger.append([release(f"{major}.0.0") for major in range(1, 40)])
    ledger.append([event("1" * 64, environment="staging")])
    before = folders(here)
    (record,) = ledger.append([event("2" * 64, deployment="second")])
    after = folders(here)
    changed = {path for path in before if after[path] != before[path]}
    added = [path for path in tree(here) if path not in tree(here, f"{BRANCH}~1")]
    on_the_way = {str(parent) for path in added for parent in PurePosixPath(path).parents}
    assert layout.record_path(record.id) in added
    assert changed == on_the_way & set(before)
    written = here.git("rev-list", "--objects", "--no-object-names", BRANCH, f"^{BRANCH}~1").splitlines()
    assert len(written) == 1 + len(on_the_way) + 2, "commit, folders, the record and what the index says"


def test_a_writer_that_dies_before_the_reference_moves_leaves_the_ledger_as_it_was(
    here: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects without a reference are nothing; running again lands the release."""
    commit = here.git("rev-parse", "main")
    draft = release("1.0.0", commit=commit)
    before = here.refs()

    def die(self: Branch, move: Move) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Branch, "publish", die)
        with pytest.raises(KeyboardInterrupt):
            samples.ledger(here.root).append([draft], tag=tagged(draft, commit))
    assert here.refs() == before
    samples.ledger(here.root).append([draft], tag=tagged(draft, commit))
    assert set(here.refs()) - set(before) == {BRANCH, VERIFIED, "refs/tags/v1.0.0"}


def test_a_reference_that_cannot_be_locked_is_an_error_and_nothing_lands(here: Repository) -> None:
    """A lock file left by a dead git is named in git's own words."""
    lock = here.write(f".git/{BRANCH}.lock")
    with pytest.raises(LedgerError, match="Unable to create") as caught:
        samples.ledger(here.root).append([note("x")])
    assert "*.lock" in caught.value.hint
    lock.unlink()
    assert BRANCH not in here.refs()


def test_a_store_that_cannot_be_written_is_an_error_and_nothing_lands(here: Repository) -> None:
    """As on a full disk: the message says that nothing was recorded."""
    ledger = samples.ledger(here.root)
    objects = here.root / ".git" / "objects"
    objects.rename(objects.with_name("elsewhere"))
    objects.write_text("not a folder")
    with pytest.raises(LedgerError) as caught:
        ledger.append([note("x")])
    assert BRANCH not in here.git("ls-remote", "--heads", str(here.root), check=False)
    assert caught.value.attempted


# several writers in one clone


def test_a_second_ledger_of_the_clone_appends_after_the_first(here: Repository) -> None:
    """A head that has moved is looked up, not overwritten."""
    one, two = samples.ledger(here.root), samples.ledger(here.root)
    one.append([note("a")])
    (second,) = two.append([note("b")])
    (third,) = one.append([note("c")])
    assert [second.envelope.seq, third.envelope.seq] == [2, 3]


def test_losing_the_race_means_trying_again(here: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer between reading the head and moving it costs one more attempt, and loses nothing."""
    ledger, rival = samples.ledger(here.root), samples.ledger(here.root)
    publish = Branch.publish
    rivals = iter(("r1", "r2"))

    def raced(self: Branch, move: Move) -> bool:
        text = next(rivals, None)
        if text is not None:
            monkeypatch.setattr(Branch, "publish", publish)
            rival.append([note(text)])
            monkeypatch.setattr(Branch, "publish", raced)
        return publish(self, move)

    monkeypatch.setattr(Branch, "publish", raced)
    (mine,) = ledger.append([note("mine")])
    assert mine.envelope.seq == 3


WRITER = """
import sys
from pathlib import Path
from tests.unit.ledger import samples
ledger = samples.ledger(Path(sys.argv[1]), remote=sys.argv[3] or None)
for number in range(int(sys.argv[4])):
    ledger.append([samples.note(f"{sys.argv[2]} {number}")])
"""


def test_processes_in_one_clone_lose_nothing(here: Repository) -> None:
    """Three processes append at the same time; every record is there, in one line."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(here.root), name, "", "5"]) for name in "abc"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    ledger = samples.ledger(here.root)
    names = ledger.names("index/api/seq/000/000")
    records = [
        ledger.record((ledger.read(f"index/api/seq/000/000/{name}") or b"").decode().strip())
        for name in names
    ]
    assert sorted(map(says, records)) == sorted(f"{name} {number}" for name in "abc" for number in range(5))
    assert [record.envelope.prev for record in records[1:]] == [record.id for record in records[:-1]]


def test_giving_up_says_so_and_leaves_nothing(here: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is in the message."""
    monkeypatch.setattr(Branch, "publish", lambda self, move: False)
    monkeypatch.setattr("release.ledger.append.LIMIT_SECONDS", 0.0)
    with pytest.raises(LedgerError, match="other writers were faster for 0 s"):
        samples.ledger(here.root).append([note("x")])
    assert BRANCH not in here.refs()


def test_a_linked_work_tree_uses_the_same_ledger(here: Repository) -> None:
    """The branch and the kept events belong to the clone, not to one working tree."""
    here.git("worktree", "add", "-q", "../side")
    samples.ledger(here.root.parent / "side").append([note("x")])
    assert BRANCH in here.refs()


def test_hooks_of_the_clone_do_not_run(here: Repository) -> None:
    """They are for code."""
    here.write(".git/hooks/reference-transaction", "#!/bin/sh\nexit 1\n", mode=0o755)
    samples.ledger(here.root).append([note("x")])
    assert BRANCH in here.refs()


def test_a_repository_with_sha256_objects_works(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Object ids are 64 digits there."""
    root = tmp_path_factory.mktemp("sha256")
    here = Repository(root)
    here.git("init", "-q", "-b", "main", "--object-format=sha256")
    commit = here.named().commit("feat: start", file="1")
    draft = release("1.0.0", commit=commit)
    (record,) = samples.ledger(root).append([draft], tag=tagged(draft, commit))
    assert samples.ledger(root).record(record.id) == replace(record)
    assert len(here.refs()[BRANCH]) == 64
