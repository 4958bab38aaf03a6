"""`invoke doctor`: check the requirements of releases and deployments."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from release.commands.command_line import CommandContext
from release.commands.text import states
from release.deploy.environment.environment import Workspace
from release.errors import ConfigError, ReleaseError, UsageError

if TYPE_CHECKING:
    from release.deploy.core.finding import Finding

AREAS = ("releases", "deployments")


def doctor(cmd: CommandContext) -> int:
    """Print a finding for each requirement, and return the exit code: 1 if a requirement is not met."""
    only = cmd.options.only
    if only is not None and only not in AREAS:
        raise UsageError(
            f"check only {only!r}", "there is no such area", f"use --only {AREAS[0]} or {AREAS[1]}"
        )
    found = list(_collect_findings(cmd, (only,) if only is not None else AREAS))
    if cmd.options.json:
        names = ("name", "state", "well", "found", "hint")
        cmd.console.print_json([{name: getattr(item, name) for name in names} for item in found])
    else:
        cmd.console.print_sheet("doctor", [states.finding_row(item) for item in found])
    return 0 if all(item.well for item in found) else 1


def _collect_findings(cmd: CommandContext, areas: tuple[str, ...]) -> Iterator[Finding]:
    from release.deploy.inspection.doctor import examine, shared
    from release.doctor.releases import examine_releases

    try:
        workspace = Workspace.open(Path.cwd(), cmd.options.service, environ=os.environ, emit=cmd.console.emit)
    except ReleaseError as error:
        yield _unreadable_configuration_finding(error)
        return
    with workspace:
        yield from shared(workspace)
        if AREAS[0] in areas:
            yield from examine_releases(workspace)
        if AREAS[1] in areas:
            yield from examine(workspace)


def _unreadable_configuration_finding(error: ReleaseError) -> Finding:
    """Return the finding for a configuration that cannot be read, or is missing."""
    from release.config.place import files_with_table
    from release.config.reading import folder_reader
    from release.deploy.core.finding import ill
    from release.git.source import Source
    from release.values import replace

    found = ill("configuration", error)
    if isinstance(error, ConfigError):
        source = Source.open(Path.cwd())
        source.close()
        if not files_with_table(folder_reader(source.root)):
            return replace(found, hint="python -m release init --yes")
    return found
