"""Files of the working copy of a repository, committed or not."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

from release.config.kinds import FILE
from release.files.regular import read_regular
from release.git.source import Source
from release.parsing import jsontext, tomltext

LARGEST: Final = 1024 * 1024
"""Largest size of a file that is read, in bytes."""
MOST_MODULES: Final = 2000
"""Largest number of Python files that are searched for the application."""

_APART: Final = frozenset(
    {
        *("tests", "test", "docs", "doc", "migrations", "node_modules", "build", "dist", "site-packages"),
        *("examples", "scripts", "benchmarks"),
    }
)
"""Folders that are not searched for the application."""


class RepositoryFolder:
    """Files below one folder of a repository, without files that git ignores."""

    def __init__(self, root: Path, files: frozenset[str], environments: Sequence[str] = ()) -> None:
        """Store the folder, its paths, and virtual environments that git does not ignore."""
        self.root, self.files, self.environments = root, files, environments
        self._trees: dict[str, ast.Module | None] = {}

    @classmethod
    def from_working_copy(cls, source: Source, below: str = ".") -> RepositoryFolder:
        """Return the files of the working copy below a folder. Raise SourceError."""
        root = source.root / below
        listed = source.ask("list the files", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard")
        found = set(dict.fromkeys(listed.records))
        virtual = {str(PurePosixPath(path).parent) for path in found if path.endswith("pyvenv.cfg")}
        kept = (path for path in found if virtual.isdisjoint(map(str, PurePosixPath(path).parents)))
        return cls(root, frozenset(path for path in kept if (root / path).exists()), sorted(virtual))

    def has_file(self, path: str) -> bool:
        """Return whether the file exists, ignored by git or not."""
        return (self.root / path).exists()

    def is_missing_or_toml(self, path: str) -> bool:
        """Return whether the file is missing or valid TOML."""
        try:
            tomltext.read(read_regular(self.root / path, tomltext.LARGEST))
        except FileNotFoundError:
            return True
        except (OSError, ValueError):
            return False
        return True

    def read_text(self, path: str, most: int = LARGEST) -> str:
        """Return the text of a file; empty if it is missing, too large, or not a regular file."""
        try:
            return read_regular(self.root / path, most).decode("utf-8", "replace")
        except (OSError, ValueError):
            return ""

    def read_toml(self, path: str, most: int = tomltext.LARGEST) -> dict[str, Any]:
        """Return the table of a TOML file; empty if it is missing or damaged."""
        try:
            return tomltext.read(read_regular(self.root / path, most), most)
        except (OSError, ValueError):
            return {}

    def read_json(self, path: str) -> dict[str, Any]:
        """Return the object of a JSON file; empty if it is missing or damaged."""
        try:
            return jsontext.read_object(self.read_text(path, jsontext.USUAL.size))
        except ValueError:
            return {}

    @cached_property
    def project_file(self) -> dict[str, Any]:
        """Return the content of pyproject.toml."""
        return self.read_toml(FILE)

    def parse_module(self, path: str) -> ast.Module | None:
        """Return the syntax tree of a Python file; None if it cannot be parsed."""
        if path not in self._trees:
            try:
                self._trees[path] = ast.parse(self.read_text(path))
            except (SyntaxError, ValueError, RecursionError):
                self._trees[path] = None
        return self._trees[path]

    def application_modules(self) -> Iterator[tuple[str, ast.Module]]:
        """Yield the Python files of the application with their trees, the shortest paths first."""
        paths = (path for path in self.files if path.endswith(".py") and not _is_not_application(path))
        nearest = sorted(paths, key=lambda path: (path.count("/"), path))
        for path in nearest[:MOST_MODULES]:
            tree = self.parse_module(path)
            if tree is not None:
                yield path, tree

    def first_existing(self, *names: str) -> str | None:
        """Return the first of these files that exists; None if none does."""
        return next((name for name in names if name in self.files), None)

    def paths_below(self, folder: str) -> list[str]:
        """Return the paths below a folder, sorted."""
        return sorted(path for path in self.files if path.startswith(f"{folder}/"))


def _is_not_application(path: str) -> bool:
    parts = PurePosixPath(path).parts
    name = parts[-1]
    tested = name.startswith("test_") or name.endswith("_test.py") or name in ("conftest.py", "tests.py")
    chores = len(parts) == 1 and name in ("noxfile.py", "tasks.py", "setup.py", "fabfile.py")
    return tested or chores or any(part in _APART or part.startswith(".") for part in parts[:-1])
