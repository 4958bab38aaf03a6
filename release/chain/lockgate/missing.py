"""Errors for a commit without a known lockfile: the hint names the command of the project's own tool."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from release.chain.lockgate.deciding import Read
from release.chain.lockgate.detect import KINDS
from release.errors import GateFailed
from release.parsing import tomltext


def unknown_kind_error(path: str) -> GateFailed:
    """Return the error for a file whose name shows no kind."""
    kinds = ", ".join(KINDS)
    return GateFailed(
        "lock",
        f"the name of {path} is not that of a known kind of lockfile",
        f"set lock.kind to one of: {kinds}",
    )


def no_lockfile_error(path: str | None, names: Collection[str], read: Read) -> GateFailed:
    """Return the error for a commit that has no lockfile."""
    if path is not None:
        hint = f"commit {path}, or change `lock.path`"
        return GateFailed("lock", f"lock.path is {path}, and the commit has no such file", hint)
    found = f"the commit has no lockfile in the service's folder ({', '.join(KINDS)})"
    return GateFailed("lock", found, _suggest_lock_command(names, read))


def _suggest_lock_command(names: Collection[str], read: Read) -> str:
    tables = _tool_tables(read)
    if "Pipfile" in names:
        return "run `pipenv lock` and commit Pipfile.lock"
    if "poetry" in tables:
        return "run `poetry lock` and commit poetry.lock (it must not be in .gitignore)"
    if "pdm" in tables:
        return "run `pdm lock` and commit pdm.lock (it must not be in .gitignore)"
    if "requirements.in" in names:
        return "run `uv pip compile requirements.in -o requirements.txt` and commit the result"
    if "project" in tables:
        return "run `uv lock` and commit uv.lock"
    others = sorted(name for name in names if "requirements" in name and name.endswith(".txt"))
    if others:
        return f'name the file that the image installs, as `lock.path = "{others[0]}"` in the settings'
    return (
        "write the packages that the service imports into requirements.in (it may be empty), run "
        "`uv pip compile requirements.in -o requirements.txt`, and commit both"
    )


def _tool_tables(read: Read) -> set[str]:
    """Return the tools with a table in pyproject.toml, and "project" if there is a `[project]`."""
    try:
        document: dict[str, Any] = tomltext.read(read("pyproject.toml") or b"")
        return {*document.get("tool", {}), *(["project"] if "project" in document else [])}
    except (ValueError, AttributeError, TypeError):
        return set()
