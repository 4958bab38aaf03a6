"""The folder `.release/` of a repository, which only this clone may write."""

from __future__ import annotations

from release.errors import SourceError
from release.files.private import HOME
from release.git.source import Source

__all__ = ["HOME", "refuse_committed_release_folder"]


def refuse_committed_release_folder(source: Source, commit: str) -> None:
    """Refuse a commit that brings a `.release/` of its own. Raises SourceError.

    Committed files would lie where runs keep results and tools. Names are compared without case, because some
    file systems ignore case.
    """
    listed = source.git.run("ls-tree", "-z", "--full-tree", "--name-only", commit)
    names = listed.out.split(b"\0") if listed.status == 0 else []
    found = [name.decode("utf-8", "replace") for name in names if name.lower() == HOME.encode()]
    if found:
        raise SourceError(
            f"use commit {commit[:12]}",
            f"the commit contains {found[0]}, in the folder of run results: its files could be "
            "taken for results",
            f"git rm -r --cached {found[0]}, add {HOME}/ to .gitignore, and commit",
        )
