"""The service's git repository: the commit, its tree, its tags."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from semver import Version

from release.commits import Message
from release.errors import ReleaseError, SourceError
from release.git import ANSWER_SECONDS, FETCH_SECONDS, Answer, Git
from release.inherited import EVERYTHING
from release.process import Command, run
from release.unshown import masked
from release.values import Struct
from release.version import versions_in

_SUBMODULE: Final = "160000"
_SYMLINK: Final = "120000"
_EXECUTABLE: Final = "100755"
_SCP_ADDRESS = re.compile(r"(?:[^@/]+@)?(?P<rest>[^/:]+:.*)", re.DOTALL)
_FULL_ID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_SHOW_COMMIT: Final = (
    *("log", "-1", "--no-show-signature", "--encoding=UTF-8"),
    "--format=%H%x00%T%x00%ct%x00%s",
)
_IDENTITY = re.compile(r"(?P<name>.*) <(?P<email>.*)> \d+ [+-]\d{4}", re.DOTALL)


class Commit(Struct, frozen=True, kw_only=True):
    """A commit, as a release records it."""

    id: str
    tree: str
    time: str
    """Commit time, RFC 3339 in UTC with milliseconds."""
    subject: str


class Entry(Struct, frozen=True, kw_only=True):
    """One file of a committed tree."""

    path: str
    """Below the folder that was asked for, with /."""
    executable: bool
    symlink: bool
    content: bytes
    """For a symbolic link, its target."""


class Leaf(Struct, frozen=True, kw_only=True):
    """A path of a committed tree: a file, a link, a submodule."""

    path: str
    """Below the folder that was asked for, with /."""
    mode: str
    """Git's own, in six octal digits."""
    oid: str

    @property
    def is_submodule(self) -> bool:
        """Return whether it names a commit of another repository."""
        return self.mode == _SUBMODULE

    @property
    def is_link(self) -> bool:
        """Return whether it is a symbolic link."""
        return self.mode == _SYMLINK

    @property
    def is_executable(self) -> bool:
        """Return whether it is a file that can be run."""
        return self.mode == _EXECUTABLE


class VersionTag(Struct, frozen=True, kw_only=True):
    """A version tag and the commit it stands on."""

    name: str
    version: Version
    commit: str


class Source:
    """The git repository that a service is released from."""

    root: Path
    """Its top folder."""
    git_dir: Path
    """The common .git folder, for our own small files."""
    git: Git
    """Git commands in this repository, for the ledger."""

    def __init__(self, *, root: Path, git_dir: Path, git: Git) -> None:
        """Use `open`."""
        self.root, self.git_dir, self.git = root, git_dir, git

    @classmethod
    def open(cls, folder: Path) -> Source:
        """The repository that holds this folder. Raises SourceError: not in a repository, bare, no git."""
        try:
            own, common, top = _discover(folder, "--absolute-git-dir", "--git-common-dir", "--show-toplevel")
        except SourceError as error:
            if _discover(folder, "--is-inside-work-tree") == ["true"]:
                raise
            raise SourceError(
                f"open the git repository at {folder}",
                "it has no working tree",
                "run the command in a clone that has one",
            ) from error
        root, git_dir = Path(top), Path(common)
        return cls(
            root=root,
            git_dir=git_dir,
            git=Git(root=root, git_dir=Path(own), common_dir=git_dir),
        )

    def close(self) -> None:
        """Stop git's reader; a later question starts it again."""
        self.git.close()

    def head(self) -> Commit:
        """The checked-out commit, also of a detached HEAD. Raises SourceError: nothing is committed yet."""
        answer = self.git.run(*_SHOW_COMMIT, "HEAD")
        if answer.status != 0:
            raise self._headless(answer)
        return _commit_of(answer)

    def commit(self, commit: str) -> Commit | None:
        """A commit by its full id; None when it is not in this clone, or the text is no id."""
        if not _FULL_ID.fullmatch(commit):
            return None
        answer = self.git.run(*_SHOW_COMMIT, commit)
        return _commit_of(answer) if answer.status == 0 else None

    def _headless(self, answer: Answer) -> SourceError:
        """An unborn branch: HEAD names a branch that no commit has."""
        unborn = self.git.run("rev-parse", "--verify", "--quiet", "HEAD").status == 1
        attempted = f"read the checked-out commit of {self.root}"
        if unborn:
            return SourceError(
                attempted,
                "nothing is committed yet",
                "commit the files: git add . && git commit -m 'feat: start'",
            )
        return SourceError(attempted, answer.words, "check the repository: git fsck --full")

    def changed(self) -> tuple[str, ...]:
        """Tracked files whose content or mode differs from the commit, also where git was told to skip."""
        answer = self._must(
            "compare the working tree with the commit",
            *("-c", "core.fsmonitor=false", "status", "--porcelain=v2", "-z", "--untracked-files=no"),
            *("--no-renames", "--ignore-submodules=none"),
        )
        seen = {_status_path(line) for line in _records(answer) if line[0] in "1u"}
        return tuple(sorted(seen | set(self._hidden_changes())))

    def _hidden_changes(self) -> Iterator[str]:
        """Files marked assume-unchanged or skip-worktree that are here with other content."""
        answer = self._must("list the tracked files", "ls-files", "-v", "-s", "-z")
        flagged = [line for line in _records(answer) if line[0] == "S" or line[0].islower()]
        for line in flagged:
            facts, _, path = line.partition("\t")
            _, mode, oid, _ = facts.split()
            if mode != _SUBMODULE and self._differs(path, mode, oid):
                yield path

    def _differs(self, path: str, mode: str, oid: str) -> bool:
        """Whether a file here has other content, kind or mode; one left out by sparse checkout has not."""
        file = self.root / path
        if not file.is_symlink() and not file.exists():
            return False
        if file.is_symlink() or mode == _SYMLINK:
            found = self.git.object(oid)
            return not file.is_symlink() or found is None or os.fsencode(file.readlink()) != found[1]
        if (mode == _EXECUTABLE) != os.access(file, os.X_OK):
            return True
        return self.git.run("hash-object", "--path", path, "--", path).text != oid

    def untracked(self, folder: str) -> tuple[str, ...]:
        """Files below a folder that git neither tracks nor ignores; paths from the repository's root."""
        answer = self._must(
            f"list the untracked files in {folder}",
            *("ls-files", "-z", "--others", "--exclude-standard", "--", _inside(folder) or "."),
        )
        return tuple(_records(answer))

    def is_shallow(self) -> bool:
        """Return whether history is cut off."""
        answer = self._must("find out if the clone is shallow", "rev-parse", "--is-shallow-repository")
        return answer.text == "true"

    def roots(self) -> frozenset[str]:
        """Return the commits without a parent in the history of HEAD; none in a shallow clone."""
        if self.is_shallow():
            return frozenset()
        answer = self.git.run("rev-list", "--max-parents=0", "HEAD")
        return frozenset(answer.text.split()) if answer.status == 0 else frozenset()

    def deepen(self, remote: str) -> None:
        """Fetch the missing history and all tags of a shallow clone. Raises SourceError with the command."""
        depth = ["--unshallow"] if self.is_shallow() else []
        fetch = ("fetch", "--quiet", "--no-recurse-submodules", "--no-auto-maintenance", "--tags", *depth)
        remote = _word(remote)
        # a pull request's commit is on no branch: ask for it by id; servers of old protocols refuse that
        answer = self.git.run(*fetch, remote, self.head().id, timeout=FETCH_SECONDS)
        if answer.status != 0:
            answer = self.git.run(*fetch, remote, timeout=FETCH_SECONDS)
        if answer.status != 0:
            command = " ".join(["git fetch --tags", *depth, remote])
            raise SourceError(f"fetch the missing history from {remote}", answer.words, f"run: {command}")

    def version_tags(self, prefix: str, remote: str | None) -> tuple[VersionTag, ...]:
        """Every version tag here and, where a remote is given and answers, there; ascending by version.

        Where both have a tag of one name, the remote's is taken: it is the one that others see.
        """
        return version_tags(self.tags(f"{prefix}*", remote=remote), prefix)

    def tags(self, *patterns: str, remote: str | None) -> dict[str, str]:
        """Every tag of these patterns with its commit: here and, if it answers, on the remote."""
        return self._local_tags(*patterns) | (
            self._remote_tags(remote, *patterns) if remote is not None else {}
        )

    def published_tags(self, prefix: str, remote: str | None) -> dict[str, str]:
        """Tags where others see them, and their commits: on the server, or here where there is none.

        Raises SourceError: the server does not answer.
        """
        return self._local_tags(f"{prefix}*") if remote is None else self._listed_tags(remote, f"{prefix}*")

    def _local_tags(self, *patterns: str) -> dict[str, str]:
        answer = self._must(
            "list the git tags",
            *("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)"),
            *(f"refs/tags/{pattern}" for pattern in patterns),
        )
        lines = (line.split() for line in answer.text.splitlines())
        return {name.removeprefix("refs/tags/"): ids[-1] for name, *ids in lines}

    def _remote_tags(self, remote: str, *patterns: str) -> dict[str, str]:
        """Tags of a server and the commits they stand on; none when it does not answer."""
        try:
            return self._listed_tags(remote, *patterns)
        except SourceError:
            return {}

    def _listed_tags(self, remote: str, *patterns: str) -> dict[str, str]:
        refs = [f"refs/tags/{pattern}" for pattern in patterns]
        answer = self.git.run("ls-remote", "--tags", _word(remote), *refs, timeout=ANSWER_SECONDS)
        if answer.status != 0:
            raise SourceError(
                f"list the git tags of {remote}", answer.words, f"git ls-remote --tags {remote}"
            )
        lines = (line.split("\t") for line in answer.text.splitlines())
        # an annotated tag is listed twice; the line with ^{} comes second and names the commit
        return {name.removeprefix("refs/tags/").removesuffix("^{}"): oid for oid, name in lines}

    def last_version(self, commit: str, tags: tuple[VersionTag, ...]) -> VersionTag | None:
        """The highest of these tags that stands on an ancestor of the commit, or on the commit."""
        ascending = sorted(tags, key=lambda tag: tag.version)
        if not ascending:
            return None
        standing = {tag.commit: tag for tag in ascending}
        found: VersionTag | None = None
        for ancestor in self._ancestors(commit):
            tag = standing.get(ancestor)
            if tag is not None and (found is None or tag.version > found.version):
                found = tag
                if tag is ascending[-1]:
                    break  # mostly the first tag that is met; a higher one elsewhere costs the whole walk
        return found

    def _ancestors(self, commit: str) -> Iterator[str]:
        """The commit and its ancestors, as git finds them."""
        with self.git.streaming("rev-list", _word(commit), "--") as stream:
            yield from (line.decode().rstrip("\n") for line in stream.out)
            status, words = stream.end()
        if status != 0:
            raise SourceError(f"list the ancestors of {commit}", words, "check the repository: git fsck")

    def messages(self, commit: str, *, since: str | None, folder: str) -> Iterator[Message]:
        """Messages of the commits after `since` that touch the folder, children before parents."""
        place = _inside(folder)
        answer = self._must(
            f"read the commit messages up to {commit}",
            *("log", "-z", "--topo-order", "--no-show-signature", "--encoding=UTF-8", "--format=%H%n%B"),
            _word(commit),
            *([f"^{_word(since)}"] if since is not None else []),
            *("--", *([place] if place else [])),
        )
        pairs = (record.partition("\n") for record in _records(answer))
        return (Message(id=oid, text=text) for oid, _, text in pairs)

    def leaves(self, commit: str, folder: str) -> tuple[Leaf, ...]:
        """Return what the commit has below a folder, but for folders, sorted by path. Raises SourceError."""
        answer = self._must(
            f"list the files of commit {commit} in {folder}",
            *("ls-tree", "-r", "-z", "--full-tree", f"{_word(commit)}:{_inside(folder)}"),
        )
        return tuple(
            Leaf(path=path, mode=mode, oid=oid)
            for path, mode, oid in sorted(map(_tree_line, _records(answer)))
        )

    def leaf(self, commit: str, path: str) -> Leaf | None:
        """Return what the commit has at a path, also a folder; None: nothing."""
        answer = self._must(
            f"look up {path} in commit {commit}",
            *("ls-tree", "-z", "--full-tree", _word(commit), "--", _inside(path)),
        )
        found = (Leaf(path=path, mode=mode, oid=oid) for path, mode, oid in map(_tree_line, _records(answer)))
        return next(found, None)

    def listing(self, commit: str, folder: str) -> dict[str, str]:
        """The git ids of the commit's files below a folder, by path. Raises SourceError."""
        return {leaf.path: leaf.oid for leaf in self.leaves(commit, folder)}

    def tree(self, commit: str, folder: str) -> str:
        """The id of a folder's tree in the commit: the same for the same files. Raises SourceError."""
        place = _inside(folder)
        attempted = f"look up the folder {folder} in commit {commit}"
        return self._must(attempted, "rev-parse", "--verify", "--quiet", f"{_word(commit)}:{place}").text

    def content(self, oid: str, path: str) -> bytes:
        """The content of a file. Raises SourceError: it is missing."""
        found = self.git.object(oid)
        if found is None:
            raise SourceError(
                f"read the committed file {path}",
                f"its object {oid} is missing",
                "check the repository: git fsck --full",
            )
        return found[1]

    def read(self, commit: str, path: str) -> bytes | None:
        """One file of the commit; None when it is not there, or is a link."""
        found = self.leaf(commit, path)
        return self.content(found.oid, path) if found is not None and found.mode.startswith("100") else None

    def remote_url(self, remote: str) -> str | None:
        """The remote's address without user, password and query; None when there is no such remote."""
        answer = self.git.run("remote", "get-url", "--", _word(remote))
        return public_address(answer.text) if answer.status == 0 else None

    def identity(self) -> tuple[str, str]:
        """Name and address of the person, as git would write them into a commit. Raises SourceError."""
        answer = self.git.run("var", "GIT_COMMITTER_IDENT")
        match = _IDENTITY.fullmatch(answer.text)
        if answer.status != 0 or match is None:
            raise SourceError(
                "find out who runs the command",
                "git has no name and address for you, but every record needs them",
                "git config --global user.name 'Your Name' && git config --global user.email you@example.org",
            )
        return match["name"], match["email"]

    def _must(self, attempted: str, *arguments: str) -> Answer:
        answer = self.git.run(*arguments)
        if answer.status != 0:
            raise SourceError(
                attempted, answer.words, "show the state of the repository: git status, git fsck"
            )
        return answer


def version_tags(commits: Mapping[str, str], prefix: str) -> tuple[VersionTag, ...]:
    """The version tags among these tags and their commits, ascending by version."""
    tags = (
        VersionTag(name=name, version=version, commit=commit)
        for name, commit in commits.items()
        for version in versions_in([name], prefix)
    )
    return tuple(sorted(tags, key=lambda tag: tag.version))


def _commit_of(answer: Answer) -> Commit:
    """The commit that `_SHOW_COMMIT` told."""
    oid, tree, seconds, subject = answer.text.split("\0")
    time = datetime.fromtimestamp(int(seconds), UTC).isoformat(timespec="milliseconds")
    return Commit(id=oid, tree=tree, time=time.replace("+00:00", "Z"), subject=subject)


def _discover(folder: Path, *questions: str) -> list[str]:
    """Ask git where we are, with no variable set; what it refuses is told apart by what lies there."""
    command = Command(
        argv=("git", "rev-parse", "--path-format=absolute", *questions),
        cwd=folder,
        env={"LC_ALL": "C"},
        inherits=EVERYTHING,
    )
    try:
        done = run(command, check=False)
    except ReleaseError as error:
        raise SourceError(f"open the git repository at {folder}", error.found, error.hint) from error
    if done.status != 0:
        raise _not_opened(folder, done.tail)
    return done.output.splitlines()[-len(questions) :]


def _not_opened(folder: Path, tail: tuple[str, ...]) -> SourceError:
    attempted = f"open the git repository at {folder}"
    here = next(
        (path for path in (folder.resolve(), *folder.resolve().parents) if (path / ".git").exists()), None
    )
    if here is None:
        return SourceError(attempted, "there is no git repository here or above", "git clone …, or git init")
    owners = {here.stat().st_uid, (here / ".git").stat().st_uid} - {os.geteuid()}
    if owners:
        return SourceError(
            attempted,
            f"{here} belongs to another user (uid {owners.pop()}), so git does not trust it",
            f"if you trust it: git config --global --add safe.directory '{here}'",
        )
    found = next((line for line in tail if line), "git gives no reason")
    return SourceError(attempted, found, f"show the reason: git -C {here} status")


def _records(answer: Answer) -> list[str]:
    """The pieces of a -z listing, as paths of this system."""
    return [os.fsdecode(piece) for piece in answer.out.split(b"\0") if piece]


def _status_path(line: str) -> str:
    """The path in a line of `git status --porcelain=v2`: after 8 fields, or 10 of an unmerged file."""
    return line.split(" ", 8 if line[0] == "1" else 10)[-1]


def _tree_line(line: str) -> tuple[str, str, str]:
    """Path, mode and id from a line of `git ls-tree`."""
    facts, _, path = line.partition("\t")
    mode, _, oid = facts.split()
    return path, mode, oid


def _word(text: str) -> str:
    """Refuse what git would take for an option."""
    if not text or text.startswith("-"):
        raise SourceError(
            "use a name with git",
            f"{text!r} begins with a dash, so git would take it for an option",
            "use a name that does not begin with a dash",
        )
    return text


def _inside(folder: str) -> str:
    """A path below the root in git's own form; the root is empty."""
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts:
        raise SourceError(
            f"read {folder}", "it is outside the repository", "give a path below the repository's root"
        )
    return "" if path == PurePosixPath() else path.as_posix()


def public_address(address: str) -> str:
    """An address without what is nobody's business."""
    parts = urlsplit(address)
    if parts.scheme and parts.netloc:
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    match = _SCP_ADDRESS.fullmatch(address)
    return masked(match["rest"] if match is not None else address)
