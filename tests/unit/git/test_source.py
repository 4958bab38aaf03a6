"""The git repository that a service is released from, on real repositories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.errors import ReleaseError, SourceError
from release.git.history import deepen, is_shallow, last_version, read_messages
from release.git.source import Source
from release.git.tags import VersionTag, version_tags
from release.git.working_copy import changed_files, untracked_files
from tests.unit.repository import ENVIRONMENT, Repository, long_history


@pytest.fixture(autouse=True)
def _no_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def here(tmp_path: Path) -> Repository:
    return Repository.init(tmp_path / "work")


@pytest.fixture
def source(here: Repository) -> Iterator[Source]:
    opened = Source.open(here.root)
    yield opened
    opened.close()


def opened(repository: Repository) -> Source:
    return Source.open(repository.root)


# opening


def test_a_folder_below_the_top_opens_the_repository(here: Repository) -> None:
    """Any folder of the clone will do."""
    here.write("a/b/c.txt")
    source = Source.open(here.root / "a" / "b")
    assert (source.root, source.git_dir) == (here.root, here.root / ".git")


def test_a_folder_outside_of_any_repository_is_refused(tmp_path: Path) -> None:
    """The message names the folder and the next step."""
    with pytest.raises(SourceError, match="no git repository here or above") as caught:
        Source.open(tmp_path)
    assert "git clone" in caught.value.hint


def test_a_bare_repository_is_refused(tmp_path: Path) -> None:
    """There is no working tree to release from."""
    bare = Repository.init(tmp_path / "bare.git", bare=True)
    with pytest.raises(SourceError, match="no working tree"):
        opened(bare)


def test_without_git_on_the_path_the_message_says_so(
    here: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare machine gets a hint, not a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="not installed"):
        opened(here)


def test_a_clone_of_another_user_is_refused_with_the_fix(
    here: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git's distrust of strange owners is told apart by the owner, and the hint is the exact command."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setattr(os, "geteuid", lambda: here.root.stat().st_uid + 1)
    with pytest.raises(SourceError, match="belongs to another user") as caught:
        opened(here)
    assert caught.value.hint == f"if you trust it: git config --global --add safe.directory '{here.root}'"


def test_a_damaged_repository_is_refused_with_gits_own_words(here: Repository) -> None:
    """What git says about a broken configuration is passed on."""
    here.write(".git/config", "[core\n")
    with pytest.raises(SourceError, match="bad config"):
        opened(here)


def test_variables_of_a_hook_do_not_lead_elsewhere(
    here: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a hook of another repository, the repository of the folder is the one that counts."""
    oid = here.commit("feat: mine", file="1")
    other = Repository.init(tmp_path / "other")
    other.commit("feat: other", file="2")
    for name, value in {
        "GIT_DIR": other.root / ".git",
        "GIT_WORK_TREE": other.root,
        "GIT_INDEX_FILE": other.root / ".git" / "index",
        "GIT_OBJECT_DIRECTORY": other.root / ".git" / "objects",
        "GIT_PREFIX": "strange/",
    }.items():
        monkeypatch.setenv(name, str(value))
    source = opened(here)
    assert source.root == here.root
    assert source.head().id == oid
    assert changed_files(source) == ()


def test_a_linked_work_tree_shares_the_git_folder(here: Repository, tmp_path: Path) -> None:
    """Our own small files live in the common folder, the commit is the work tree's own."""
    here.commit(file="1")
    here.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    side = Repository(tmp_path / "side")
    oid = side.commit(file="2")
    source = opened(side)
    assert (source.root, source.git_dir) == (tmp_path / "side", here.root / ".git")
    assert source.head().id == oid
    assert changed_files(source) == ()


# the commit


def test_the_head_is_the_checked_out_commit(here: Repository, source: Source) -> None:
    """Id, tree, time in UTC with milliseconds, and the first line of the message."""
    oid = here.commit("feat: ünïcode\n\nand more", file="1")
    head = source.head()
    assert head.id == oid
    assert head.tree == here.git("rev-parse", "HEAD^{tree}")
    assert head.time == "2026-11-20T10:00:00.000Z"
    assert head.subject == "feat: ünïcode"


def test_a_detached_head_is_as_good(here: Repository, source: Source) -> None:
    """CI checks out commits, not branches."""
    oid = here.commit(file="1")
    here.git("checkout", "-q", "--detach")
    assert source.head().id == oid


def test_before_the_first_commit_the_message_says_so(source: Source) -> None:
    """An unborn branch is not a damaged repository."""
    with pytest.raises(SourceError, match="nothing is committed yet") as caught:
        source.head()
    assert "git commit" in caught.value.hint


# the working tree


def test_a_clean_clone_has_no_changes(here: Repository, source: Source) -> None:
    """Untracked files are no change of tracked ones."""
    here.commit(file="1")
    here.write("stranger.txt")
    assert changed_files(source) == ()


def test_every_kind_of_change_counts(here: Repository, source: Source) -> None:
    """Edited, staged, deleted, renamed and made executable."""
    names = ("edited", "staged", "deleted", "old name", "script", "same")
    here.commit(**{name: f"content of {name}" for name in names})
    here.write("edited", "new")
    here.write("staged", "new")
    here.git("add", "staged")
    (here.root / "deleted").unlink()
    here.git("mv", "old name", "new name")
    (here.root / "script").chmod(0o755)
    assert changed_files(source) == ("deleted", "edited", "new name", "old name", "script", "staged")


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_file_that_git_was_told_to_skip_still_counts(here: Repository, source: Source, flag: str) -> None:
    """A flag in the index hides a change from git's status, not from a release."""
    here.commit(hidden="1", other="2")
    here.git("update-index", flag, "hidden", "other")
    here.write("hidden", "changed")
    assert here.git("status", "--porcelain") == ""
    assert changed_files(source) == ("hidden",)


def test_a_file_left_out_by_sparse_checkout_is_no_change(here: Repository, source: Source) -> None:
    """What is not checked out has not been edited."""
    here.write("in/a", "1")
    here.write("out/b", "2")
    here.commit()
    here.git("sparse-checkout", "set", "in")
    assert not (here.root / "out" / "b").exists()
    assert changed_files(source) == ()


def test_untracked_files_are_those_that_git_does_not_ignore(here: Repository, source: Source) -> None:
    """Only below the folder that was asked for."""
    here.write(".gitignore", "*.log\n")
    here.commit()
    for path in ("api/new.py", "api/run.log", "web/new.js"):
        here.write(path)
    assert untracked_files(source, "api") == ("api/new.py",)
    assert untracked_files(source, ".") == ("api/new.py", "web/new.js")


# history


def test_a_shallow_clone_is_deepened_with_its_tags(here: Repository, tmp_path: Path) -> None:
    """History and tags that CI left out are fetched; doing it twice is no error."""
    for number in range(5):
        here.commit(f"feat: {number}", file=str(number))
    here.git("tag", "v0.1.0", "HEAD~3")
    clone = Repository.clone(f"file://{here.root}", tmp_path / "clone", "--depth=1", "--no-tags")
    source = opened(clone)
    assert is_shallow(source)
    deepen(source, "origin")
    deepen(source, "origin")
    assert not is_shallow(source)
    assert [tag.name for tag in version_tags(source, "v", None)] == ["v0.1.0"]
    assert len(list(read_messages(source, source.head().id, since=None, paths=["."]))) == 5


def test_history_that_cannot_be_fetched_names_the_command(here: Repository, tmp_path: Path) -> None:
    """The reader can run what was tried."""
    here.commit(file="1")
    here.commit(file="2")
    clone = Repository.clone(f"file://{here.root}", tmp_path / "clone", "--depth=1")
    here.root.rename(tmp_path / "gone")
    with pytest.raises(SourceError) as caught:
        deepen(opened(clone), "origin")
    assert caught.value.hint == "run: git fetch --tags --unshallow origin"


def test_version_tags_are_found_here_and_there(here: Repository, tmp_path: Path) -> None:
    """Light and annotated, ascending by version, other shapes left out."""
    first = here.commit(file="1")
    origin = Repository.clone(here, tmp_path / "origin.git", "--bare")
    here.git("remote", "add", "origin", str(origin.root))
    second = here.commit(file="2")
    here.git("tag", "v0.10.0", second)
    here.git("tag", "-a", "-m", "x", "v0.9.0", first)
    here.git("tag", "vault", first)
    origin.git("tag", "-a", "-m", "x", "v0.11.0", first)
    origin.git("tag", "api/v5.0.0", first)
    tags = version_tags(opened(here), "v", "origin")
    assert [(tag.name, tag.commit) for tag in tags] == [
        ("v0.9.0", first),
        ("v0.10.0", second),
        ("v0.11.0", first),
    ]
    assert [tag.name for tag in version_tags(opened(here), "v", None)] == ["v0.9.0", "v0.10.0"]


def test_tags_of_a_service_do_not_mix_with_those_of_another(here: Repository, source: Source) -> None:
    """The prefix is the whole prefix."""
    oid = here.commit(file="1")
    for name in ("api/v1.0.0", "web/v2.0.0", "v3.0.0", "api/v1.1.0-rc.1"):
        here.git("tag", name)
    assert version_tags(source, "api/v", None) == (
        VersionTag(name="api/v1.0.0", version=version_tags(source, "api/v", None)[0].version, commit=oid),
        VersionTag(
            name="api/v1.1.0-rc.1", version=version_tags(source, "api/v", None)[1].version, commit=oid
        ),
    )


def test_a_remote_that_does_not_answer_leaves_the_local_tags(here: Repository, source: Source) -> None:
    """Tags are a convenience; the ledger decides."""
    here.commit(file="1")
    here.git("tag", "v1.0.0")
    here.git("remote", "add", "origin", str(here.root.parent / "nowhere"))
    assert [tag.name for tag in version_tags(source, "v", "origin")] == ["v1.0.0"]


def test_the_last_version_stands_on_an_ancestor(here: Repository, source: Source) -> None:
    """A higher tag on a release branch, or on a commit that is not here, does not count."""
    here.commit(file="1")
    here.git("tag", "v1.0.0")
    here.git("checkout", "-q", "-b", "release")
    here.commit(file="side")
    here.git("tag", "v2.0.0")
    here.git("checkout", "-q", "main")
    head = here.commit(file="2")
    tags = version_tags(source, "v", None)
    unknown = VersionTag(name="v3.0.0", version=tags[-1].version.bump_major(), commit="0" * 39 + "1")
    last = last_version(source, head, (*tags, unknown))
    assert last is not None
    assert last.name == "v1.0.0"
    assert last_version(source, head, tags[1:]) is None
    assert last_version(source, head, ()) is None


def test_messages_are_those_that_touch_the_folder_since_the_tag(here: Repository, source: Source) -> None:
    """Newest first, whole messages, other folders left out."""
    here.write("api/a", "1")
    since = here.commit("feat: old")
    here.write("api/a", "2")
    here.commit("fix: api\n\nBREAKING CHANGE: all of it\n\nlast line")
    here.write("web/a", "1")
    here.commit("feat: web")
    head = here.commit("feat: everywhere", **{"api/b": "1", "web/b": "1"})
    assert [message.text for message in read_messages(source, head, since=since, paths=["api"])] == [
        "feat: everywhere\n",
        "fix: api\n\nBREAKING CHANGE: all of it\n\nlast line\n",
    ]
    assert len(list(read_messages(source, head, since=None, paths=["."]))) == 4


def test_a_folder_name_is_no_pattern(here: Repository, source: Source) -> None:
    """Brackets and stars in a path mean themselves."""
    here.write("a[b]/x", "1")
    here.commit("feat: odd")
    here.write("ab/x", "1")
    head = here.commit("feat: other")
    found = [message.text for message in read_messages(source, head, since=None, paths=["a[b]"])]
    assert found == ["feat: odd\n"]


@pytest.mark.parametrize("branches", [False, True], ids=["one line", "a higher version on a branch"])
def test_messages_after_the_last_of_many_versions(tmp_path: Path, branches: bool) -> None:
    """Only what came after the last tag; also where the highest tag is on another branch."""
    many = long_history(tmp_path / "many", commits=400)
    if branches:
        branch = many.git("commit-tree", "v0.3.0^{tree}", "-p", "v0.3.0", "-m", "fix: x")
        many.git("tag", "v0.9.1", branch)
    source = opened(many)
    head = source.head().id
    tags = version_tags(source, "v", None)
    last = last_version(source, head, tags)
    assert last is not None
    messages = list(read_messages(source, head, since=last.commit, paths=["."]))
    assert (last.name, len(tags), len(messages)) == ("v0.9.0", 9 + branches, 40)
    assert (messages[0].text, messages[0].id) == ("feat: change 400\n", head)


# the committed tree


def test_one_file_is_read_from_the_commit(here: Repository, source: Source) -> None:
    """What is not there is None; a folder is not a file."""
    here.write("api/pyproject.toml", "[tool]\n")
    head = here.commit()
    here.write("api/pyproject.toml", "edited")
    assert source.read(head, "api/pyproject.toml") == b"[tool]\n"
    assert source.read(head, "api/none") is None
    assert source.read(head, "api") is None


def test_a_path_that_leaves_the_repository_is_refused(here: Repository, source: Source) -> None:
    """No path above the root is looked at."""
    head = here.commit(file="1")
    with pytest.raises(SourceError, match="outside the repository"):
        source.read(head, "../secret")


def test_a_damaged_object_is_an_error_and_reading_goes_on(here: Repository, source: Source) -> None:
    """Half-written objects are named; other objects can still be read."""
    here.commit(good="good", bad="bad content")
    oid = here.git("rev-parse", "HEAD:bad")
    file = here.root / ".git" / "objects" / oid[:2] / oid[2:]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:10])
    head = source.head().id
    with pytest.raises(ReleaseError, match="bad|" + oid):
        source.read(head, "bad")
    assert source.read(head, "good") == b"good"


# what leaves the machine


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:secret@git.example/acme/api.git", "https://git.example/acme/api.git"),
        ("https://git.example/acme/api?token=secret", "https://git.example/acme/api"),
        ("ssh://git@git.example:2222/acme/api", "ssh://git.example:2222/acme/api"),
        ("git@git.example:acme/api.git", "git.example:acme/api.git"),
        ("/srv/git/api.git", "/srv/git/api.git"),
    ],
)
def test_a_remote_address_is_shown_without_secrets(
    here: Repository, source: Source, address: str, shown: str
) -> None:
    """User, password and query stay here."""
    here.git("remote", "add", "origin", address)
    assert source.remote_url("origin") == shown


def test_a_remote_that_is_not_configured_has_no_address(source: Source) -> None:
    """None, not an error: the caller knows what it needs it for."""
    assert source.remote_url("origin") is None


@pytest.mark.parametrize("name", ["--upload-pack=touch pwned", "-x", ""])
def test_a_name_that_git_would_take_for_an_option_is_refused(source: Source, name: str) -> None:
    """No option reaches git through a name."""
    with pytest.raises(SourceError, match="option"):
        source.remote_url(name)


def test_the_identity_is_what_git_would_write(source: Source) -> None:
    """Name and address, as configured."""
    assert source.identity() == ("Ada Lovelace", "ada@example.org")


def test_an_unknown_identity_names_the_two_settings(here: Repository, source: Source) -> None:
    """Records carry a name; without one the message gives the commands."""
    here.git("config", "--unset", "user.name")
    here.git("config", "--unset", "user.email")
    here.git("config", "user.useConfigOnly", "true")
    with pytest.raises(SourceError, match="no name and address") as caught:
        source.identity()
    assert "git config --global user.name" in caught.value.hint


@pytest.mark.parametrize("read", range(0, 40, 2))
def test_a_stream_that_is_left_early_ends_quietly(here: Repository, source: Source, read: int) -> None:
    """The reader of git's complaints is done before their pipe is closed, whatever git still has to say."""
    here.commit("feat: one")
    talk = "alias.talk=!yes complaint >&2 & exec yes word"
    with source.git.streaming("-c", talk, "talk") as stream:
        words = [line for line, _ in zip(stream.out, range(read), strict=False)]
    assert words[:read] == [b"word\n"] * read
    assert not stream.is_alive()


def test_empty_lines_before_a_subject_are_no_part_of_a_message(here: Repository, source: Source) -> None:
    """An interface of a server may write them; git shows the subject without."""
    here.commit()
    message = b"\n \t\n\r\nfeat: x\n\nmore\n"
    head = here.git("cat-file", "commit", "HEAD").partition("\n\n")[0]
    raw = f"{head}\nencoding UTF-8\n\n".encode() + message
    made = here.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw)
    (first, *_) = read_messages(source, made, since=None, paths=["."])
    assert first.subject == "feat: x"
