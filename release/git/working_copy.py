"""Files of the working copy that differ from the commit."""

from __future__ import annotations

import os
from collections.abc import Iterator

from release.git.source import EXECUTABLE, SUBMODULE, SYMLINK, Source, repository_path


def changed_files(source: Source) -> tuple[str, ...]:
    """Return tracked files with another content or mode than the commit, also files git was told to skip."""
    answer = source.ask(
        "compare the working tree with the commit",
        *("-c", "core.fsmonitor=false", "status", "--porcelain=v2", "-z", "--untracked-files=no"),
        *("--no-renames", "--ignore-submodules=none"),
    )
    seen = {_status_path(line) for line in answer.records if line[0] in "1u"}
    return tuple(sorted(seen | set(_hidden_changes(source))))


def _hidden_changes(source: Source) -> Iterator[str]:
    """Return changed files that are marked assume-unchanged or skip-worktree."""
    answer = source.ask("list the tracked files", "ls-files", "-v", "-s", "-z")
    flagged = [line for line in answer.records if line[0] == "S" or line[0].islower()]
    for line in flagged:
        facts, _, path = line.partition("\t")
        _, mode, oid, _ = facts.split()
        if mode != SUBMODULE and _differs(source, path, mode, oid):
            yield path


def _differs(source: Source, path: str, mode: str, oid: str) -> bool:
    """Return if a file here has other content, kind or mode; one left out by sparse checkout has not."""
    file = source.root / path
    if not file.is_symlink() and not file.exists():
        return False
    if file.is_symlink() or mode == SYMLINK:
        found = source.git.object(oid)
        return not file.is_symlink() or found is None or os.fsencode(file.readlink()) != found[1]
    if (mode == EXECUTABLE) != os.access(file, os.X_OK):
        return True
    return source.git.run("hash-object", "--path", path, "--", path).text != oid


def untracked_files(source: Source, folder: str) -> tuple[str, ...]:
    """Return files below a folder that git neither tracks nor ignores, by paths from the root."""
    answer = source.ask(
        f"list the untracked files in {folder}",
        *("ls-files", "-z", "--others", "--exclude-standard", "--", repository_path(folder) or "."),
    )
    return tuple(answer.records)


def _status_path(line: str) -> str:
    """Return the path in a line of `git status --porcelain=v2`: after 8 fields, 10 if unmerged."""
    return line.split(" ", 8 if line[0] == "1" else 10)[-1]
