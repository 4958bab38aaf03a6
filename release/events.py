"""What long work tells while it goes on. One module (`release.console`) renders it; nothing else prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Started:
    """A stage or a step began."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A line of what it is doing now."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """It ended well, after so many milliseconds; `summary` is one short phrase."""

    name: str
    duration_ms: int
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """It ended badly; the error itself is raised and rendered by the door."""

    name: str
    duration_ms: int
    summary: str


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something the reader should know that is no failure."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something the reader should act on, though the work goes on."""

    text: str


Event = Started | Progress | Finished | Failed | Notice | Warned
Emit = Callable[[Event], None]
