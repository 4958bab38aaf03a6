"""Release a Python service as one image digest, record it, and put any earlier environment back exactly.

A service's repository uses two functions: `release.register()` in its noxfile.py and
`release.namespace()` in its tasks.py. Both import what they need when they are called, and the heavy parts
only when a session or a task runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from invoke.collection import Collection

__all__ = ["namespace", "register"]

__version__ = "0.1.0"


def register() -> None:
    """Define the nox sessions: lock, lint, build, test, smoke, push, check and release."""
    from release.sessions import register

    register()


def namespace() -> Collection:
    """Return the invoke tasks: deploy, rollback, status, history, show and others."""
    from release.tasks import namespace

    return namespace()
