"""Git repository of a service: commits, trees and tags."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from release.errors import ReleaseError, SourceError
from release.git.remote_passwords import mask_logins
from release.git.runner import Answer, Git
from release.programs.environment import EVERYTHING
from release.programs.process import Command, run
from release.values import Struct

SUBMODULE: Final = "160000"
SYMLINK: Final = "120000"
EXECUTABLE: Final = "100755"
_SCP_ADDRESS = re.compile(r"(?:[^@/]+@)?(?P<rest>[^/:]+:.*)", re.DOTALL)
_FULL_ID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_SHOW_COMMIT: Final = (
    *("log", "-1", "--no-show-signature", "--encoding=UTF-8"),
    "--format=%H%x00%T%x00%ct%x00%s",
)
_IDENTITY = re.compile(r"(?P<name>.*) <(?P<email>.*)> \d+ [+-]\d{4}", re.DOTALL)


class Commit(Struct, frozen=True, kw_only=True):
    """Commit as a release records it."""

    id: str
    tree: str
    time: str
    """Commit time, RFC 3339 in UTC with milliseconds."""
    subject: str


class Entry(Struct, frozen=True, kw_only=True):
    """File of a committed tree."""

    path: str
    """Below the folder that was asked for, with /."""
    executable: bool
    symlink: bool
    content: bytes
    """Content of the file; for a symbolic link, its target."""


class Leaf(Struct, frozen=True, kw_only=True):
    """Path in a committed tree: a file, a link or a submodule."""

    path: str
    """Below the folder that was asked for, with /."""
    mode: str
    """Git's own, in six octal digits."""
    oid: str

    @property
    def is_submodule(self) -> bool:
        """Return whether the path is a submodule."""
        return self.mode == SUBMODULE

    @property
    def is_link(self) -> bool:
        """Return whether the path is a symbolic link."""
        return self.mode == SYMLINK

    @property
    def is_executable(self) -> bool:
        """Return whether the path is an executable file."""
        return self.mode == EXECUTABLE


class Source:
    """Git repository from which a service is released."""

    root: Path
    """Top folder of the repository."""
    git_dir: Path
    """The common .git folder, for our own small files."""
    git: Git
    """Git commands in this repository, for the ledger."""

    def __init__(self, *, root: Path, git_dir: Path, git: Git) -> None:
        """Use `open`."""
        self.root, self.git_dir, self.git = root, git_dir, git

    @classmethod
    def open(cls, folder: Path) -> Source:
        """Return the repository that holds this folder. Raise SourceError without one, or without git."""
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
        """Stop git's process that reads objects; a later read starts it again."""
        self.git.close()

    def head(self) -> Commit:
        """Return the checked-out commit, also of a detached HEAD. Raise SourceError without a commit."""
        answer = self.git.run(*_SHOW_COMMIT, "HEAD")
        if answer.status != 0:
            raise self._headless(answer)
        return _commit_of(answer)

    def commit(self, commit: str) -> Commit | None:
        """Return a commit by its full id; None if this clone does not have it."""
        if not _FULL_ID.fullmatch(commit):
            return None
        answer = self.git.run(*_SHOW_COMMIT, commit)
        return _commit_of(answer) if answer.status == 0 else None

    def _headless(self, answer: Answer) -> SourceError:
        """Return the error for a repository without a commit on its branch."""
        unborn = self.git.run("rev-parse", "--verify", "--quiet", "HEAD").status == 1
        attempted = f"read the checked-out commit of {self.root}"
        if unborn:
            return SourceError(
                attempted,
                "nothing is committed yet",
                "commit the files: git add . && git commit -m 'feat: start'",
            )
        return SourceError(attempted, answer.words, "check the repository: git fsck --full")

    def leaves(self, commit: str, folder: str) -> tuple[Leaf, ...]:
        """Return files, links and submodules below a folder of the commit, by path. Raise SourceError."""
        answer = self.ask(
            f"list the files of commit {commit} in {folder}",
            *("ls-tree", "-r", "-z", "--full-tree", f"{refuse_option(commit)}:{repository_path(folder)}"),
        )
        return tuple(
            Leaf(path=path, mode=mode, oid=oid) for path, mode, oid in sorted(map(_tree_line, answer.records))
        )

    def leaf(self, commit: str, path: str) -> Leaf | None:
        """Return the entry at a path of the commit, also a folder; None if there is none."""
        answer = self.ask(
            f"look up {path} in commit {commit}",
            *("ls-tree", "-z", "--full-tree", refuse_option(commit), "--", repository_path(path)),
        )
        found = (Leaf(path=path, mode=mode, oid=oid) for path, mode, oid in map(_tree_line, answer.records))
        return next(found, None)

    def listing(self, commit: str, folder: str) -> dict[str, str]:
        """Return git ids of the commit's files below a folder, by path. Raise SourceError."""
        return {leaf.path: leaf.oid for leaf in self.leaves(commit, folder)}

    def tree(self, commit: str, folder: str) -> str:
        """Return the git id of a folder's tree in the commit. Raise SourceError."""
        place = repository_path(folder)
        attempted = f"look up the folder {folder} in commit {commit}"
        return self.ask(
            attempted, "rev-parse", "--verify", "--quiet", f"{refuse_option(commit)}:{place}"
        ).text

    def content(self, oid: str, path: str) -> bytes:
        """Return the content of a file. Raise SourceError if it is missing."""
        found = self.git.object(oid)
        if found is None:
            raise SourceError(
                f"read the committed file {path}",
                f"its object {oid} is missing or damaged",
                "check the repository: git fsck --full",
            )
        return found[1]

    def read(self, commit: str, path: str) -> bytes | None:
        """Return a file of the commit; None if it is missing or a link."""
        found = self.leaf(commit, path)
        return self.content(found.oid, path) if found is not None and found.mode.startswith("100") else None

    def remote_url(self, remote: str) -> str | None:
        """Return the remote's address without user, password and query; None if there is no such remote."""
        answer = self.git.run("remote", "get-url", "--", refuse_option(remote))
        return public_address(answer.text) if answer.status == 0 else None

    def identity(self) -> tuple[str, str]:
        """Return name and email of the git user. Raise SourceError if git has none."""
        answer = self.git.run("var", "GIT_COMMITTER_IDENT")
        match = _IDENTITY.fullmatch(answer.text)
        if answer.status != 0 or match is None:
            raise SourceError(
                "find out who runs the command",
                "git has no name and address for you, but every record needs them",
                "git config --global user.name 'Your Name' && git config --global user.email you@example.org",
            )
        return match["name"], match["email"]

    def ask(self, attempted: str, *arguments: str) -> Answer:
        """Return the answer of a git command. Raise SourceError if it fails."""
        answer = self.git.run(*arguments)
        if answer.status != 0:
            raise SourceError(
                attempted, answer.words, "show the state of the repository: git status, git fsck"
            )
        return answer


def _commit_of(answer: Answer) -> Commit:
    """Return the commit in an answer of `_SHOW_COMMIT`."""
    oid, tree, seconds, subject = answer.text.split("\0")
    time = datetime.fromtimestamp(int(seconds), UTC).isoformat(timespec="milliseconds")
    return Commit(id=oid, tree=tree, time=time.replace("+00:00", "Z"), subject=subject)


def _discover(folder: Path, *questions: str) -> list[str]:
    """Return the repository of a folder from git, without GIT_* variables.

    Raise SourceError with the reason.
    """
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


def _tree_line(line: str) -> tuple[str, str, str]:
    """Return path, mode and id from a line of `git ls-tree`."""
    facts, _, path = line.partition("\t")
    mode, _, oid = facts.split()
    return path, mode, oid


def refuse_option(text: str) -> str:
    """Return the text. Raise SourceError if it is empty, or git would read it as an option."""
    if not text or text.startswith("-"):
        raise SourceError(
            "use a name with git",
            f"{text!r} begins with a dash, so git would take it for an option",
            "use a name that does not begin with a dash",
        )
    return text


def repository_path(folder: str) -> str:
    """Return a path below the root in git's form; empty for the root. Raise SourceError."""
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts:
        raise SourceError(
            f"read {folder}", "it is outside the repository", "give a path below the repository's root"
        )
    return "" if path == PurePosixPath() else path.as_posix()


def public_address(address: str) -> str:
    """Return an address without user, password and query."""
    parts = urlsplit(address)
    if parts.scheme and parts.netloc:
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    match = _SCP_ADDRESS.fullmatch(address)
    return mask_logins(match["rest"] if match is not None else address)
