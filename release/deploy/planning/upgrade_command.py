"""The command that migrates the data forward, before or after a deployment replaces what runs.

It runs for each deployment that is not a rollback: tools that migrate data do nothing the second time.
"""

from __future__ import annotations

from typing import Literal

from release.deploy.environment.environment import LiveEnvironment
from release.deploy.planning.data_command import DataCommand, data_command
from release.deploy.planning.request import Request
from release.deploy.planning.settings import DesiredSettings
from release.migrations import Crossing
from release.records import Upgrade
from release.values import replace


def decide(
    live: LiveEnvironment, request: Request, settings: DesiredSettings, crossing: Crossing | None
) -> DataCommand[Upgrade] | None:
    """Return the migration command of this deployment; None if there is none.

    It does not run for a rollback, for a release without some migrations of what runs, and with `--up done`.
    """
    configured = live.workspace.service.migrations
    goes_back = request.reason == "rollback" or (crossing is not None and bool(crossing.undone))
    if configured is None or configured.up is None or goes_back or request.allowed.up:
        return None
    when: Literal["after"] | None = "after" if configured.when == "after" else None
    upgrade = Upgrade(command=configured.up, version=request.version, status="planned", when=when)
    command = data_command(live, configured, "up", upgrade, request.target, settings.spec, settings.secrets)
    return replace(command, again=request.allowed.again)
