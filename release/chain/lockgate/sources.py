"""Paths out of the service's folder in a project or lockfile: packages, and uv's own cache.

A lock tool would read or write a folder of this machine, which other machines do not have.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from release.chain.lockgate.checking import LockfileCopy
from release.chain.lockgate.outside import local_path
from release.chain.lockgate.results import Unchecked
from release.parsing import tomltext

_TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "pyproject.toml": (
        *("project.dependencies", "project.optional-dependencies", "dependency-groups"),
        *("tool.uv.sources", "tool.uv.dev-dependencies", "tool.uv.workspace", "tool.uv.cache-dir"),
        *("tool.poetry.dependencies", "tool.poetry.group", "tool.poetry.dev-dependencies"),
        *("tool.pdm.dev-dependencies", "tool.pdm.overrides"),
    ),
    "uv.toml": ("sources", "cache-dir"),
    "Pipfile": ("packages", "dev-packages"),
    "pylock.toml": ("packages",),
}
"""Tables that name package sources, by file."""

_PATHS: Final = frozenset({"path", "file", "members"})
"""Keys with paths as values."""
_DIRECT: Final = re.compile(r"(?:^|@)\s*(?:-e\s+)?(?P<address>file:\S+)")
"""Pattern of a requirement with a URL (dependency specifiers, "Direct references")."""


def refuse_outside_sources(lockfile: LockfileCopy) -> Unchecked | None:
    """Return the answer for a project that names a path out of the service's folder; None if none does."""
    for file, tables in _TABLES.items():
        name = lockfile.path if file == "pylock.toml" else lockfile.path_beside(file)
        if file == "pylock.toml" and not posixpath.basename(name).startswith("pylock."):
            continue
        try:
            document = tomltext.read(lockfile.read_file(name), tomltext.LARGEST_LOCK)
        except (OSError, ValueError):
            continue  # the check of the lockfile says what is wrong with it
        for table in tables:
            for place in _find_paths(_value_of_table(document, table), is_path=table.endswith("cache-dir")):
                if _is_outside_folder(lockfile, place):
                    return _outside_path_answer(name, table, place)
    return None


def _value_of_table(document: Mapping[str, Any], table: str) -> Any:
    value: Any = document
    for key in table.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _find_paths(value: Any, *, is_path: bool = False) -> Iterator[str]:
    """Yield the paths and `file:` URLs of a table."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _find_paths(inner, is_path=key in _PATHS)
    elif isinstance(value, list):
        for inner in value:
            yield from _find_paths(inner, is_path=is_path)
    elif isinstance(value, str):
        direct = _DIRECT.search(value)
        if is_path or direct is not None:
            yield direct["address"] if direct is not None else value


def _is_outside_folder(lockfile: LockfileCopy, place: str) -> bool:
    path = local_path(place)
    if path is None:
        return False
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(lockfile.path), path))
    return path.startswith(("/", "~")) or joined.split("/")[0] == ".."


def _outside_path_answer(name: str, table: str, place: str) -> Unchecked:
    return Unchecked(
        reason=f"{name} names {place} in `{table}`, which is not in the service's folder of the commit",
        hint="commit what it needs below that folder (`context` sets it), or use a package index",
    )
