"""File with the configuration: `release.toml`, or `[tool.release]` of `pyproject.toml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from release.config.kinds import FILE, OWN_FILE, ROOT
from release.errors import ConfigError, Problem
from release.parsing import tomltext
from release.values import Struct

Read = Callable[[str], bytes | None]
"""Returns the content of a file by its path below the repository's root; None if missing."""


class ConfigTable(Struct, frozen=True, kw_only=True):
    """Configuration as it is written in its file."""

    file: str
    root: str
    """Path of the configuration's table in the file; empty: the whole file."""
    table: Mapping[str, Any]
    project: Mapping[str, Any]
    """Content of `[project]` in pyproject.toml."""


def find_table(read: Read) -> ConfigTable:
    """Return the configuration. Raise ConfigError if there is none, or two, or if a file is not TOML."""
    return choose_table(_document(FILE, read(FILE)), _document(OWN_FILE, read(OWN_FILE)))


def choose_table(project_file: Mapping[str, Any] | None, own: Mapping[str, Any] | None) -> ConfigTable:
    """Return the document with the configuration. None stands for a missing file. Raise ConfigError."""
    project, table = (
        table_in(project_file or {}, "project"),
        table_in(project_file or {}, "tool").get("release"),
    )
    if own is not None and table is not None:
        message = (
            f"{OWN_FILE} configures the service too: move these tables into it, or remove one of the two"
        )
        raise ConfigError(FILE, [Problem(path=ROOT, message=message)])
    if own is not None:
        _refuse_prefix(own)
        return ConfigTable(file=OWN_FILE, root="", table=own, project=project)
    if isinstance(table, dict):
        return ConfigTable(file=FILE, root=ROOT, table=table, project=project)
    found = "the table is missing" if project_file is not None else "there is no such file"
    message = f"{found}; write [{ROOT}] here, or its tables into {OWN_FILE}"
    raise ConfigError(FILE, [Problem(path=ROOT, message=message)])


def _refuse_prefix(own: Mapping[str, Any]) -> None:
    """Raise ConfigError if release.toml has tables with the prefix of pyproject.toml."""
    if "release" not in table_in(own, "tool"):
        return
    message = f"write the tables without `{ROOT}` in this file: [smoke], not [{ROOT}.smoke]"
    raise ConfigError(OWN_FILE, [Problem(path=ROOT, message=message)])


def files_with_table(read: Read) -> tuple[str, ...]:
    """Return the files that have a configuration, and unreadable files, which may have one."""
    return tuple(file for file in (FILE, OWN_FILE) if _holds(file, read))


def _holds(file: str, read: Read) -> bool:
    try:
        document = _document(file, read(file))
    except ConfigError:
        return True
    if document is None or file == OWN_FILE:
        return document is not None
    return isinstance(table_in(document, "tool").get("release"), dict)


def own_file(read: Read) -> str | None:
    """Return the path of `release.toml` if it has the configuration; else None."""
    if read(OWN_FILE) is None:
        return None
    try:
        project_file = _document(FILE, read(FILE)) or {}
    except ConfigError:
        return None
    return OWN_FILE if "release" not in table_in(project_file, "tool") else None


def table_in(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a table of a document; an empty table if the key is missing or not a table."""
    table = document.get(key)
    return table if isinstance(table, dict) else {}


def _document(file: str, content: bytes | None) -> Mapping[str, Any] | None:
    try:
        return tomltext.read(content) if content is not None else None
    except ValueError as error:
        raise ConfigError(file, [Problem(path=file, message=str(error))]) from error
