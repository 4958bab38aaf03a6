"""Text parts that plans, states and records share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from release.text.control_characters import inert_line, inert_lines

if TYPE_CHECKING:
    from release.ledger.release_diff import Change

Row = tuple[str, str]
LISTED: Final = 15
"""Largest number of lines of one kind in a plan."""


def message_suffix(message: str) -> str:
    """Return ": " and the message, for the end of a line; empty without a message."""
    return f": {inert_line(message)}" if message else ""


def age_text(moment: str) -> str:
    """Return the time since a moment in its largest unit, as "2 h ago"."""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now" if seconds < 5 else f"{seconds} s ago"


def change_text(change: Change) -> str:
    """Return one difference as "memory: 1 → 2"."""
    if change.old is None:
        return f"{change.key}: + {_value_text(change.new)}"
    if change.new is None:
        return f"{change.key}: - {_value_text(change.old)}"
    return f"{change.key}: {_value_text(change.old)} → {_value_text(change.new)}"


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def first_lines(lines: Iterable[str], count: int | None = None) -> str:
    """Return the first lines, and the number of further lines; `count` replaces the number of all."""
    every = list(lines)
    rest = [f"… and {(count or len(every)) - LISTED} more"] if len(every) > LISTED else []
    return inert_lines([*every[:LISTED], *rest])
