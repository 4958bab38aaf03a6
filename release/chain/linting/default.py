"""The default linter: ruff with its default rules, for a service without lint settings."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Final

from release.config import RUFF, Lint, Service
from release.errors import SourceError
from release.git.commit_files import Committed, read_linked
from release.git.source import Source

DEFAULT_LINT: Final = Lint(tools=(RUFF,), commands=("ruff check .",))
"""Settings of a service that has no `lint` table."""

_SETTINGS: Final = frozenset(
    {
        *("ruff.toml", ".ruff.toml", ".flake8"),
        *("pylintrc", ".pylintrc", "pylintrc.toml", ".pylintrc.toml"),
    }
)
"""Files that configure a linter by their presence."""
_LINTERS: Final = frozenset({"ruff", "flake8", "pylint"})
"""Tables `[tool.<name>]` of a pyproject.toml."""
_SECTION: Final = re.compile(rb"^\[(?:flake8|pylint)\b", re.MULTILINE)
"""A section of a setup.cfg or tox.ini (flake8, "Configuration Locations"; Pylint, "Command line options")."""
_PYTHON: Final = (".py", ".pyi", ".ipynb")


def with_default_lint(service: Service, source: Source, commit: str) -> Service:
    """Return the service with ruff as its linter, if nothing says how it is linted.

    That is: the service has no `lint` table, its folder has Python files, and neither this folder nor a
    parent folder configures ruff, flake8 or Pylint.
    """
    if "lint" in service.model_fields_set or not _has_python_files(service, source, commit):
        return service
    context = PurePosixPath(service.context)
    if any(_has_lint_settings(source, commit, folder) for folder in (context, *context.parents)):
        return service
    return service.model_copy(update={"lint": DEFAULT_LINT})


def is_default_lint(lint: Lint) -> bool:
    """Return whether these settings are the default, not configured ones."""
    return lint is DEFAULT_LINT


def _has_python_files(service: Service, source: Source, commit: str) -> bool:
    with suppress(SourceError):  # the build tells it
        return any(path.endswith(_PYTHON) for path in Committed(source, commit, service.context).files)
    return False


def _has_lint_settings(source: Source, commit: str, folder: PurePosixPath) -> bool:
    if any(source.leaf(commit, (folder / name).as_posix()) is not None for name in sorted(_SETTINGS)):
        return True
    sections = (_read_committed_file(source, commit, folder / name) for name in ("setup.cfg", "tox.ini"))
    if any(_SECTION.search(text) for text in sections):
        return True
    with suppress(ValueError):  # not TOML, or not UTF-8
        project = tomllib.loads(_read_committed_file(source, commit, folder / "pyproject.toml").decode())
        tools = project.get("tool")
        return isinstance(tools, dict) and not _LINTERS.isdisjoint(tools)
    return False


def _read_committed_file(source: Source, commit: str, path: PurePosixPath) -> bytes:
    """Return a file of the commit; empty if there is none, or a link leads out of the repository."""
    with suppress(SourceError):
        return read_linked(source, commit, path.as_posix()) or b""
    return b""
