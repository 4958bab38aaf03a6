"""Time that new containers must stay healthy while what ran before is kept."""

from __future__ import annotations

from typing import Final

from release.runspec import RunSpec
from release.scalars import duration_text

DEFAULT: Final = 10_000
"""Milliseconds: a process that ends again and again mostly does so within seconds."""


def wanted(spec: RunSpec, reason: str) -> int:
    """Return the milliseconds that a deployment watches its processes. A rollback watches nothing."""
    if reason == "rollback":
        return 0
    return max(DEFAULT if each.watch is None else each.watch for each in spec.every.values())


def longest(spec: RunSpec) -> int:
    """Return the milliseconds of the longest watch for any reason, to bound the time of a lock."""
    return wanted(spec, "promote")


def words(milliseconds: int, *, replaces: bool = True) -> str:
    """Return the plan's line about the watch; empty if there is none."""
    if not milliseconds:
        return ""
    kept = "; what ran before is kept until then" if replaces else ""
    return f"{duration_text(milliseconds)} after it is healthy{kept}"
