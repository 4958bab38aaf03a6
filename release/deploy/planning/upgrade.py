"""The command that migrates the data forward before a deployment replaces anything, and what prevents it.

It runs for each deployment that is not a rollback: tools that migrate data do nothing the second time.
"""

from __future__ import annotations

from typing import Final

from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.data_command import DataCommand, data_command
from release.deploy.planning.request import Request
from release.deploy.planning.settings import DesiredSettings
from release.errors import Problem
from release.migrations import Crossing
from release.records import Upgrade

_PATH: Final = "migrations.up"


def decide(
    live: LiveEnvironment, request: Request, settings: DesiredSettings, crossing: Crossing | None
) -> tuple[DataCommand[Upgrade] | None, list[Problem]]:
    """Return the command that runs before anything is replaced, and the problems that prevent it.

    It does not run for a rollback, for a release without some migrations of what runs, and with `--up done`.
    """
    configured = live.workspace.service.migrations
    goes_back = request.reason == "rollback" or (crossing is not None and bool(crossing.undone))
    if configured is None or configured.up is None or goes_back or request.allowed.up:
        return None, []
    if refusal := live.target.commands.refusal("up"):
        text = f"run `{' '.join(configured.up)}` by hand in the new image, then deploy with --up done"
        return None, [Problem(path=_PATH, message=f"{refusal}: {text}")]
    upgrade = Upgrade(command=configured.up, version=request.version, status="planned")
    command = data_command(live, configured, "up", upgrade, request.target, settings.spec, settings.secrets)
    return command, []
