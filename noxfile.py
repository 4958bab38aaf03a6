"""This project's chores, and the release chain registered for examples/api."""

from __future__ import annotations

import nox

import release

nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = True

release.register()


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Style, types and every test: unit, engine and lab."""
    session.run("ruff", "check", ".", "dev", external=True)
    session.run("ruff", "format", "--check", ".", "dev", external=True)
    session.run("mypy", "release", "tests", "noxfile.py", "tasks.py", external=True)
    session.run("python", "-m", "pytest", "-n", "2", "--dist", "loadgroup", *session.posargs, external=True)
