"""One check of a lockfile: the copy of the committed files, and the tools that check the copy."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from release.chain.lockgate.damaged import ReadableVersion, Reads
from release.chain.lockgate.results import Unchecked
from release.config import Lock
from release.git.commit_files import broken_link_error
from release.programs.environment import BASIC
from release.programs.process import Command, Completed
from release.values import Struct


class LockTool(Struct, frozen=True, kw_only=True):
    """A lock tool with its version."""

    program: str
    requirement: str
    """Requirement of the tool, as "poetry==2.1.3"."""


def refuse_outside_link(name: str, outside_links: Mapping[str, str]) -> None:
    """Refuse a path that is, or passes through, a link out of the service's folder. Raises SourceError."""
    path = PurePosixPath(posixpath.normpath(name))
    found = next((str(each) for each in (path, *path.parents) if str(each) in outside_links), None)
    if found is not None:
        raise broken_link_error(name, outside_links[found])


class LockfileCopy(Struct, frozen=True, kw_only=True):
    """A lockfile in a temporary copy of the committed files."""

    folder: Path
    """Copy of the service's folder."""
    home: Path
    """Empty home folder for tools that keep settings and caches there."""
    path: str
    """Path of the lockfile below `folder`."""
    content: str
    config: Lock
    image_python: str | None
    """Python version of the service's image, if the Dockerfile names a version."""
    python: str | None
    """Python version of the service, if its files name a version."""
    requires: str | None
    """`requires-python` of the project beside the lockfile."""
    execute: Callable[[Command], Completed]
    """Run a program for the stage and return its result; the caller checks the exit status."""
    install: Callable[[LockTool], str | Unchecked]
    """Return the path of a tool's program, installed in a separate environment."""
    read_earlier: Callable[[str], bytes | None]
    """Return a file as committed with the lockfile's last change; None if not known."""
    find_readable_version: Callable[[Reads], ReadableVersion | None]
    """Return the newest committed version of the lockfile that can be read; None if not known."""
    outside_links: Mapping[str, str] = {}
    """Reasons by path of committed links that lead out of the service's folder; the copy lacks them."""

    def has_file(self, name: str) -> bool:
        """Return whether the copy has a file, by its path below `folder`.

        Raise SourceError for such a link.
        """
        refuse_outside_link(name, self.outside_links)
        return (self.folder / name).is_file()

    def path_beside(self, name: str) -> str:
        """Return the path of a file in the lockfile's folder."""
        return (PurePosixPath(self.path).parent / name).as_posix()

    def read_file(self, name: str) -> str:
        """Return the text of a file. Raises OSError, ValueError, or SourceError as `has`."""
        refuse_outside_link(name, self.outside_links)
        return (self.folder / name).read_text(encoding="utf-8-sig")

    def run_tool(
        self, tool: LockTool, words: tuple[str, ...], env: Mapping[str, str]
    ) -> Completed | Unchecked:
        """Run a tool in the lockfile's folder, without the operator's own settings of the tool."""
        program = self.install(tool)
        if isinstance(program, Unchecked):
            return program
        command = Command(
            argv=(program, *words),
            cwd=(self.folder / self.path).parent,
            env={**self._isolated_environment(), **env},
            inherits=(*BASIC, *self.config.pass_env),
        )
        return self.execute(command)

    def _isolated_environment(self) -> dict[str, str]:
        folders = {name: str(self.home / name) for name in _FOLDERS}
        return {**folders, "HOME": str(self.home), "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}


_FOLDERS: Final = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")

_OTHER_THAN_NAME: Final = re.compile(r"[^A-Za-z0-9._-].*")


def choose_lock_tool(config: Lock, program: str, default_requirement: str) -> LockTool:
    """Return the tool of `lock.tool` if it names this program, else the other requirement."""
    named = config.tool is not None and _OTHER_THAN_NAME.sub("", config.tool).lower() == program
    return LockTool(program=program, requirement=str(config.tool) if named else default_requirement)
