"""Time that new containers must stay healthy while what ran before is kept."""

from __future__ import annotations

from typing import Final

from release.runspec import RunSpec
from release.scalars import duration_text

DEFAULT: Final = 10_000
"""Milliseconds: a process that ends again and again mostly does so within seconds."""


def wanted(spec: RunSpec, reason: str) -> int:
    """Milliseconds that a deployment watches. A rollback tells its result at once."""
    if reason == "rollback":
        return 0
    return DEFAULT if spec.watch is None else spec.watch


def longest(spec: RunSpec) -> int:
    """The same for whatever the reason is, for how long a lock is held."""
    return wanted(spec, "promote")


def words(milliseconds: int, *, replaces: bool = True) -> str:
    """The line of a plan; empty where nothing is watched."""
    if not milliseconds:
        return ""
    kept = "; what ran before is kept until then" if replaces else ""
    return f"{duration_text(milliseconds)} after it is healthy{kept}"
