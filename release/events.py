"""Events of long work. The package `release.console` renders them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from release.values import Struct


class Planned(Struct, frozen=True, kw_only=True):
    """Start of a release run, with version, commit and log folder."""

    service: str
    version: str
    commit: str
    subject: str
    """First line of the commit's message."""
    folder: str
    """Folder of the run, relative to the current folder."""


class Started(Struct, frozen=True, kw_only=True):
    """Start of a stage or a step."""

    name: str


class Progress(Struct, frozen=True, kw_only=True):
    """Progress text of a stage or a step."""

    name: str
    text: str
    passing: bool = False
    """True if the text is one of many: a terminal replaces it in place, other outputs show a few."""
    lasting: bool = False
    """True if each text is shown as a line of its own, as the output of a command."""


class Finished(Struct, frozen=True, kw_only=True):
    """Success of a stage after so many milliseconds; `summary` is a short phrase."""

    name: str
    duration_ms: int
    summary: str = ""
    log: Path | None = None
    """Path of the stage's log, if there is one."""


class Failed(Struct, frozen=True, kw_only=True):
    """Failure of a stage. The error itself is raised and rendered later."""

    name: str
    duration_ms: int
    summary: str
    log: Path | None = None
    """Path of the stage's log, if there is one."""
    stopped: bool = False
    """True if the failure of another stage, or a signal, ended the stage."""


class Notice(Struct, frozen=True, kw_only=True):
    """Information on which the reader need not act."""

    text: str


class Warned(Struct, frozen=True, kw_only=True):
    """Warning on which the reader should act, while the work goes on."""

    text: str


class Finding(Struct, frozen=True, kw_only=True):
    """Finding of a gate in a file of the commit."""

    file: str
    """Path from the repository's root."""
    line: int | None
    """Line number from 1; None if only the file is known."""
    title: str
    message: str
    column: int | None = None


class Found(Struct, frozen=True, kw_only=True):
    """Findings of a failed gate, file by file. The gate's log shows them too."""

    name: str
    findings: tuple[Finding, ...]


class Released(Struct, frozen=True, kw_only=True):
    """Result of a release run, also if the release existed already."""

    service: str
    version: str
    digest: str
    reference: str
    """Repository with digest."""
    tag: str | None
    """Git tag."""
    commits: tuple[str, ...] = ()
    """First lines of the commits since the previous release."""


class Deployed(Struct, frozen=True, kw_only=True):
    """Result of a deployment: a verified release; `changed` is whether it did not run before."""

    service: str
    environment: str
    version: str
    digest: str
    reference: str
    deployment: str
    changed: bool


Event = Planned | Started | Progress | Finished | Failed | Notice | Warned | Found | Released | Deployed
Emit = Callable[[Event], None]


def ignore_text(_text: str) -> None:
    """Ignore the text: the default of functions that tell what they wait for."""
