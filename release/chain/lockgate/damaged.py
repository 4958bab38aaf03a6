"""A damaged lockfile: its last good version in the history, and the commands that mend the file.

The lock tools refuse to read a damaged lockfile, so the file has to go before a tool writes it again.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Final

from release.chain.lockgate.results import Unchecked
from release.chain.stage_context import StageContext
from release.errors import SourceError
from release.values import Struct

ANY_TROUBLE: Final = (ValueError, LookupError, TypeError, AttributeError)
"""Exceptions from reading a file of an unknown shape."""
_SEARCHED: Final = 20
"""Most changes of the lockfile that are read."""

Reads = Callable[[str], object]
"""Read the content of a lockfile. Raises one of `ANY_TROUBLE` for a damaged file."""


class ReadableVersion(Struct, frozen=True, kw_only=True):
    """The newest version of a lockfile that can be read."""

    commit: str
    content: str


class LockfileHistory(Struct, frozen=True, kw_only=True):
    """The committed versions of a lockfile."""

    ctx: StageContext
    path: str
    """Path of the lockfile below the service's folder."""

    def read_file_beside(self, name: str) -> bytes | None:
        """Return a file beside the lockfile, as of the commit that changed the lockfile last."""
        commits = self._commits_with_changes(1)
        path = self._repository_path.parent / name
        return self.ctx.source.read(commits[0], path.as_posix()) if commits else None

    def find_readable_version(self, is_readable: Reads) -> ReadableVersion | None:
        """Return the newest version that can be read; None if this clone's history has none."""
        for commit in self._commits_with_changes(_SEARCHED):
            try:
                content = (self.ctx.source.read(commit, self._repository_path.as_posix()) or b"").decode(
                    "utf-8-sig"
                )
                is_readable(content)
            except (SourceError, *ANY_TROUBLE):
                continue
            return ReadableVersion(commit=commit, content=content)
        return None

    @property
    def _repository_path(self) -> PurePosixPath:
        return PurePosixPath(self.ctx.plan.service.context) / self.path

    def _commits_with_changes(self, most: int) -> list[str]:
        """Return the commits that changed the lockfile, newest first."""
        words = (f"--max-count={most}", self.ctx.plan.commit.id, "--", self._repository_path.as_posix())
        answer = self.ctx.source.git.run("rev-list", *words)
        return answer.text.split() if answer.status == 0 else []


def unchecked_because_damaged(
    path: str, error: Exception, readable: ReadableVersion | None, update_command: str
) -> Unchecked:
    """Return the answer for a lockfile that cannot be read.

    Args:
        path: path of the lockfile.
        error: the exception of its reader.
        good: the newest version that can be read.
        mend: shell command that makes the lockfile again; empty if no such command is known.
    """
    name = shlex.quote(PurePosixPath(path).name)
    if readable is not None:
        first, limit = (
            f"git checkout {readable.commit[:12]} -- {name}",
            "it keeps the versions of that commit",
        )
    else:
        first = f"rm {name}"
        limit = "it may change versions, because this clone's history has no readable one"
    line = (
        f"run `{first} && {update_command}`"
        if update_command
        else f"run `{first}`, make the file again with its tool,"
    )
    hint = f"{line} in the lockfile's folder ({limit}), and commit the result"
    return Unchecked(reason=f"it is damaged: {_describe_parse_error(error)}"[:300], hint=hint)


def _describe_parse_error(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)
