"""The files of a commit: listed first, and read only if they are asked for."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from release.errors import SourceError
from release.source import Entry, Leaf, Source

_FOLDER: Final = "040000"
_MOST_LINKS: Final = 40
"""Most links to a file, as on Linux (path_resolution(7))."""


class Committed:
    """Files of a commit below a folder."""

    def __init__(self, source: Source, commit: str, folder: str) -> None:
        """List it. Raises SourceError: the commit has no such folder."""
        self._source = source
        found = source.leaves(commit, folder)
        self.leaves: Final[Mapping[str, Leaf]] = {leaf.path: leaf for leaf in found}
        """By path, sorted."""
        _refuse_traps(commit, self.leaves, len(found))

    @property
    def files(self) -> list[str]:
        """The paths of files and links, sorted."""
        return [path for path, leaf in self.leaves.items() if not leaf.is_submodule]

    @property
    def submodules(self) -> list[str]:
        """The paths of submodules, sorted. Their content is in another repository."""
        return [path for path, leaf in self.leaves.items() if leaf.is_submodule]

    def entries(self, paths: Iterable[str] | None = None) -> Iterator[Entry]:
        """Read these files, or all. Raises SourceError: an object is missing."""
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

    So nothing that is written by its path is written elsewhere, through a link or by `..`.
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


def linked(source: Source, commit: str, path: str) -> str | None:
    """The path of the file that a path of the commit leads to; None: it leads to no file of the commit.

    Raises SourceError: a link on the way leads out of the repository, or links go round in a circle.
    """
    waiting, here, links = path.split("/")[::-1], "", 0
    while waiting:
        name = waiting.pop()
        if name in ("", "."):
            continue
        if name == "..":
            if not here:
                raise _lost(path, "a link in its path leads out of the repository")
            here = posixpath.dirname(here)
            continue
        found = source.leaf(commit, posixpath.join(here, name))
        if found is None or (waiting and not (found.is_link or found.mode == _FOLDER)):
            return None
        if not found.is_link:
            here = found.path
            continue
        links += 1
        target = os.fsdecode(source.content(found.oid, found.path))
        if links > _MOST_LINKS or target.startswith("/"):
            why = "the links form a circle" if links > _MOST_LINKS else "a link leads out of the repository"
            raise _lost(path, f"{why}: {found.path} -> {target}")
        waiting += target.split("/")[::-1]
    found = source.leaf(commit, here) if here else None
    return here if found is not None and found.mode.startswith("100") else None


def read_linked(source: Source, commit: str, path: str) -> bytes | None:
    """The file that a path of the commit leads to; None: it leads to no file. Raises SourceError."""
    found = linked(source, commit, path)
    return source.read(commit, found) if found is not None else None


def _lost(path: str, found: str) -> SourceError:
    return SourceError(
        f"follow {path} to the committed file",
        found,
        f"commit the file itself as {path}, or correct the link",
    )
