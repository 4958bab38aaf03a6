"""Events of long work. One package (`release.console`) renders them; nothing else prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from release.values import Struct


class Planned(Struct, frozen=True, kw_only=True):
    """A run of the chain begins: for which version and commit, and where it leaves its logs."""

    service: str
    version: str
    commit: str
    subject: str
    """The first line of the commit's message."""
    folder: str
    """The run's folder, from where the command runs."""


class Started(Struct, frozen=True, kw_only=True):
    """A stage or a step began."""

    name: str


class Progress(Struct, frozen=True, kw_only=True):
    """A line of what it is doing now."""

    name: str
    text: str
    passing: bool = False
    """One of many, as a line of a test's output: shown in place on a terminal, elsewhere now and then."""


class Finished(Struct, frozen=True, kw_only=True):
    """It ended well, after so many milliseconds; `summary` is one short phrase."""

    name: str
    duration_ms: int
    summary: str = ""
    log: Path | None = None
    """The stage's log, if it has one."""


class Failed(Struct, frozen=True, kw_only=True):
    """It ended badly; the error itself is raised and rendered by the door."""

    name: str
    duration_ms: int
    summary: str
    log: Path | None = None
    """The stage's log, if it has one."""
    stopped: bool = False
    """Another stage's failure, or a signal, ended it."""


class Notice(Struct, frozen=True, kw_only=True):
    """Something the reader should know that is no failure."""

    text: str


class Warned(Struct, frozen=True, kw_only=True):
    """Something the reader should act on, though the work goes on."""

    text: str


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that a gate found in a file of the commit."""

    file: str
    """From the repository's root."""
    line: int | None
    """From 1; None where only the file is known."""
    title: str
    message: str
    column: int | None = None


class Found(Struct, frozen=True, kw_only=True):
    """Findings of a failing gate, file by file. Its log has the same, for people."""

    name: str
    findings: tuple[Finding, ...]


class Released(Struct, frozen=True, kw_only=True):
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


class Deployed(Struct, frozen=True, kw_only=True):
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
