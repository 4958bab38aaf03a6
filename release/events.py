"""What long work tells while it goes on. One room (`release.console`) renders it; nothing else prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A run of the chain begins: for which version and commit, and where it leaves its logs."""

    service: str
    version: str
    commit: str
    subject: str
    """The first line of the commit's message."""
    folder: str
    """The run's folder, from where the command runs."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A stage or a step began."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A line of what it is doing now."""

    name: str
    text: str
    passing: bool = False
    """One of many, as a line of a test's output: shown in place on a terminal, elsewhere now and then."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """It ended well, after so many milliseconds; `summary` is one short phrase."""

    name: str
    duration_ms: int
    summary: str = ""
    log: Path | None = None
    """The stage's log, if it has one."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """It ended badly; the error itself is raised and rendered by the door."""

    name: str
    duration_ms: int
    summary: str
    log: Path | None = None
    """The stage's log, if it has one."""
    stopped: bool = False
    """Another stage's failure, or a signal, ended it."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something the reader should know that is no failure."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something the reader should act on, though the work goes on."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a gate found in a file of the commit."""

    file: str
    """From the repository's root."""
    line: int | None
    """From 1; None where only the file is known."""
    title: str
    message: str
    column: int | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a failing gate found, file by file. Its log says the same, for people."""

    name: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class Released:
    """A release exists: the result of a run, also of one that found it made already."""

    service: str
    version: str
    digest: str
    reference: str
    """Repository and digest."""
    tag: str | None
    """The git tag."""
    commits: tuple[str, ...] = ()
    """First lines of the commits since the release before."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """An environment runs a release, verified; `changed` is whether it did not before."""

    service: str
    environment: str
    version: str
    digest: str
    reference: str
    deployment: str
    changed: bool


Event = Planned | Started | Progress | Finished | Failed | Notice | Warned | Found | Released | Deployed
Emit = Callable[[Event], None]
