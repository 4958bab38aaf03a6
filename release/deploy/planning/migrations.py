"""The migrations between what runs and the target, and the command that a plan runs on the data."""

from __future__ import annotations

from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.migration_difference import crossing_between
from release.deploy.environment.observe import Observation
from release.deploy.planning import downgrade_command, migration_containers, migration_gate, upgrade_command
from release.deploy.planning.data_changes import EarlierChange, earlier_observed
from release.deploy.planning.data_command import DataCommand
from release.deploy.planning.request import Request
from release.deploy.planning.settings import DesiredSettings
from release.errors import Problem
from release.migrations import Crossing
from release.records import Record, Release, Undoing, Upgrade
from release.values import Struct


class MigrationPlan(Struct, frozen=True, kw_only=True):
    """Planned commands on the data. Empty if no migrations are configured."""

    crossing: Crossing | None = None
    down: DataCommand[Undoing] | None = None
    """Command that undoes migrations before anything is replaced."""
    up: DataCommand[Upgrade] | None = None
    """Command that migrates the data forward."""
    earlier: EarlierChange | None = None
    """Earlier attempt that undid some, so that the data may be older than what runs."""
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def plan_migrations(
    live: LiveEnvironment, request: Request, settings: DesiredSettings, observation: Observation
) -> MigrationPlan:
    """Decide which command changes the data first, and its problems. Raises EngineError."""
    if live.workspace.service.migrations is None:
        return MigrationPlan()
    target, allowed, left = request.target, request.allowed, _baseline(live, observation)
    crossing, containers = crossing_between(live, left, target), migration_containers.find_own(live)
    earlier, upgraded = (
        earlier_observed(live, containers, observation, kind=kind) for kind in ("down", "up")
    )
    down, against = downgrade_command.decide(live, observation, left, crossing, allowed, earlier)
    up = upgrade_command.decide(live, request, settings, crossing)
    gate = migration_gate.gate_problems(live, crossing, allowed)
    return MigrationPlan(
        crossing=crossing,
        down=down,
        up=up,
        earlier=earlier,
        problems=(*gate, *against, *migration_containers.still_running(live, containers)),
        notes=(
            *migration_gate.unmatched_patterns(live, left, target),
            *downgrade_command.notes(live, crossing, allowed, earlier),
            *([str(upgraded)] if upgraded is not None else []),
        ),
    )


def _baseline(live: LiveEnvironment, observation: Observation) -> Record[Release] | None:
    """Return the release whose migrations the data has: the running one, or the last healthy one."""
    return observation.left if observation.left is not None else live.release_of(observation.previous)
