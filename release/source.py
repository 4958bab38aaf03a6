"""The service's git repository: the commit, its tree, its tags. With `ledger.store` the only importer of `git`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from semver import Version


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit, as a release records it."""

    id: str
    tree: str
    time: str
    """Commit time, RFC 3339 in UTC with milliseconds."""
    subject: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of a committed tree."""

    path: str
    """Below the folder that was asked for, with /."""
    executable: bool
    symlink: bool
    content: bytes
    """For a symbolic link, its target."""


@dataclass(frozen=True, kw_only=True)
class VersionTag:
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

    @classmethod
    def open(cls, folder: Path) -> Source:
        """The repository that holds this folder. Raises SourceError: not in a repository, bare, no git."""
        raise NotImplementedError

    def head(self) -> Commit:
        """The checked-out commit, also of a detached HEAD. Raises SourceError when nothing is committed yet."""
        raise NotImplementedError

    def changed(self) -> tuple[str, ...]:
        """Tracked files whose content differs from the commit."""
        raise NotImplementedError

    def untracked(self, folder: str) -> tuple[str, ...]:
        """Files below a folder that git neither tracks nor ignores."""
        raise NotImplementedError

    def is_shallow(self) -> bool:
        """Whether history is cut off."""
        raise NotImplementedError

    def deepen(self, remote: str) -> None:
        """Fetch the missing history and all tags of a shallow clone. Raises SourceError saying the command."""
        raise NotImplementedError

    def version_tags(self, prefix: str, remote: str | None) -> tuple[VersionTag, ...]:
        """Every version tag here and, where a remote is given and answers, there; ascending by version."""
        raise NotImplementedError

    def last_version(self, commit: str, tags: tuple[VersionTag, ...]) -> VersionTag | None:
        """The highest of these tags that stands on an ancestor of the commit, or on the commit."""
        raise NotImplementedError

    def messages(self, commit: str, *, since: str | None, folder: str) -> Iterator[str]:
        """Messages of the commits after `since` that touch the folder, newest first."""
        raise NotImplementedError

    def entries(self, commit: str, folder: str) -> Iterator[Entry]:
        """The files of the commit below a folder, sorted by path. Raises SourceError for a submodule."""
        raise NotImplementedError

    def read(self, commit: str, path: str) -> bytes | None:
        """One file of the commit; None when it is not there."""
        raise NotImplementedError

    def remote_url(self, remote: str) -> str | None:
        """The remote's address without user and password."""
        raise NotImplementedError

    def identity(self) -> tuple[str, str]:
        """Name and address of the person, as git would write them into a commit."""
        raise NotImplementedError
