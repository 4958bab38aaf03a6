"""Values for shell completion: releases for `--to`, environments, services. No request leaves the clone."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

from release.deploy.environment.environment import Workspace
from release.errors import ReleaseError
from release.events import Event
from release.ledger import query
from release.text.control_characters import inert_line

MOST: Final = 200
"""Largest number of offered versions, newest first."""

_RELEASES: Final = ("--to", "--before", "--after", "--target")
_ALL: Final = (*_RELEASES, "--environment", "--service")


def option_to_complete(line: str) -> str | None:
    """Return the option whose value is typed at the end of a command line; None if none is."""
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    return next((word for word in words[:-3:-1] if word in _ALL), None)


def completion_values(line: str, folder: Path) -> Sequence[str]:
    """Return values for the option at the end of the line; none if there is no repository."""
    option = option_to_complete(line)
    words = shlex.split(line)
    named = next((after for word, after in pairwise(words) if word == "--service"), None)
    service = named if option != "--service" else None
    try:
        return _known_values(option, folder, service)
    except (ReleaseError, OSError):
        return ()


def _known_values(option: str | None, folder: Path, service: str | None) -> Sequence[str]:
    if option == "--service":
        from release import config
        from release.git.source import Source

        source = Source.open(folder)
        source.close()
        return tuple(config.load(source.root).services)
    with Workspace.open(folder, service, environ={}, emit=_ignore_event) as workspace:
        if option == "--environment":
            return tuple(workspace.service.environments)
        name = workspace.service.service
        found = islice(query.releases(workspace.ledger, name), MOST)
        return ("previous", *(inert_line(record.body.version) for record in found))


def _ignore_event(_event: Event) -> None:
    """Ignore the event: nothing is printed during completion."""
