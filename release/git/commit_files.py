"""Files of a commit: listed first, read on request."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final

from release.errors import SourceError
from release.git.source import Entry, Leaf, Source

_FOLDER: Final = "040000"
_REPOSITORY: Final = "the repository"
_SHOWN: Final = 200
"""Most characters of a link's target in a message."""
_MOST_LINKS: Final = 40
"""Most links to a file, as on Linux (path_resolution(7))."""


class Committed:
    """Files of a commit below a folder."""

    def __init__(self, source: Source, commit: str, folder: str) -> None:
        """List the folder of the commit. Raise SourceError if the commit has no such folder."""
        self._source = source
        self._whole = _REPOSITORY if PurePosixPath(folder) == PurePosixPath() else f"the folder {folder}"
        found = source.leaves(commit, folder)
        self.leaves: Final[Mapping[str, Leaf]] = {leaf.path: leaf for leaf in found}
        """By path, sorted."""
        _refuse_traps(commit, self.leaves, len(found))

    @property
    def files(self) -> list[str]:
        """Return the paths of files and links, sorted."""
        return [path for path, leaf in self.leaves.items() if not leaf.is_submodule]

    @property
    def submodules(self) -> list[str]:
        """Return the paths of submodules, sorted. Their content is in other repositories."""
        return [path for path, leaf in self.leaves.items() if leaf.is_submodule]

    @cached_property
    def astray(self) -> Mapping[str, str]:
        """Return the reason for each link that leaves the folder or forms a circle, by path.

        Programs that read the files follow links. Without these links they read only committed files.
        """
        links = (path for path, leaf in self.leaves.items() if leaf.is_link)
        return {path: why for path in links if (why := self._astray(path))}

    def _astray(self, path: str) -> str:
        try:
            _followed(path, self._look, lambda leaf: self._source.content(leaf.oid, leaf.path), self._whole)
        except SourceError as error:
            return error.found
        return ""

    def _look(self, path: str) -> Leaf | None:
        folder = Leaf(path=path, mode=_FOLDER, oid="") if path in self._folders else None
        return self.leaves.get(path, folder)

    @cached_property
    def _folders(self) -> frozenset[str]:
        return frozenset(parent for path in self.leaves for parent in _parents(path))

    def safe(self, paths: Iterable[str] | None = None) -> Iterator[Entry]:
        """Yield these files, or all files, without links that are astray. Raise SourceError."""
        wanted = self.files if paths is None else paths
        return self.entries(path for path in wanted if path not in self.astray)

    def entries(self, paths: Iterable[str] | None = None) -> Iterator[Entry]:
        """Yield these files, or all files. Raise SourceError if an object is missing."""
        for path in self.files if paths is None else paths:
            leaf = self.leaves[path]
            yield Entry(
                path=path,
                executable=leaf.is_executable,
                symlink=leaf.is_link,
                content=self._source.content(leaf.oid, path),
            )


def _refuse_traps(commit: str, leaves: Mapping[str, Leaf], count: int) -> None:
    """Refuse a tree that git would not check out: a name twice, or one that leads to another folder.

    So no file is written to another place, through a link or by `..`.
    """
    traps = (path for path in leaves if not {"", ".", "..", ".git"}.isdisjoint(path.split("/")))
    below = (path for path in leaves if any(parent in leaves for parent in _parents(path)))
    trap = next(traps, None) or next(below, None)
    if trap is not None or len(leaves) != count:
        raise SourceError(
            f"list the files of commit {commit}",
            f"git refuses to check out {trap or 'a path that the commit holds twice'}",
            "check the commit: git fsck --full",
        )


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def resolve_link(source: Source, commit: str, path: str) -> str | None:
    """Return the path of the file to which a path leads through links; None if there is no file.

    Raises SourceError: a link on the way leads out of the repository, or links go round in a circle.
    """
    found = _followed(
        path,
        lambda name: source.leaf(commit, name),
        lambda leaf: source.content(leaf.oid, leaf.path),
        _REPOSITORY,
    )
    return found.path if found is not None and found.mode.startswith("100") else None


def read_linked(source: Source, commit: str, path: str) -> bytes | None:
    """Return the file to which a path leads through links; None if there is none. Raise SourceError."""
    found = resolve_link(source, commit, path)
    return source.read(commit, found) if found is not None else None


def _followed(
    path: str, look: Callable[[str], Leaf | None], content: Callable[[Leaf], bytes], whole: str
) -> Leaf | None:
    """Return the entry to which a path leads through its links; None if there is none.

    Args:
        path: the path to follow.
        look: returns the entry at a path without links, also a folder.
        content: returns the target of a link.
        whole: name of the folder that no link may leave.

    Raises:
        SourceError: a link leaves the folder, links form a circle, or a link has no target.
    """
    waiting, here, links = path.split("/")[::-1], "", 0
    found: Leaf | None = None
    while waiting:
        name = waiting.pop()
        if name == ".." and not here:
            raise broken_link_error(path, f"a link in its path leads out of {whole}")
        if name in ("", ".", ".."):
            here = posixpath.dirname(here) if name == ".." else here
            found = look(here) if here else None
            continue
        found = look(posixpath.join(here, name))
        if found is None or (waiting and not (found.is_link or found.mode == _FOLDER)):
            return None
        if not found.is_link:
            here = found.path
            continue
        links += 1
        target = content(found)
        if trouble := _trouble(target, links, whole):
            raise broken_link_error(path, f"{trouble}: {found.path} -> {os.fsdecode(target)[:_SHOWN]}")
        waiting += os.fsdecode(target).split("/")[::-1]
    return found


def _trouble(target: bytes, links: int, whole: str) -> str:
    """Return why a link cannot be followed; empty if it can."""
    if links > _MOST_LINKS:
        return "the links form a circle"
    if target.startswith(b"/"):
        return f"a link leads out of {whole}"
    return "a link has a target that no file system takes" if not target or b"\0" in target else ""


def broken_link_error(path: str, found: str) -> SourceError:
    """Return the error for a path whose links do not lead to a committed file."""
    return SourceError(
        f"follow {path} to the committed file",
        found,
        f"commit the file itself as {path}, or correct the link",
    )
