"""The command that undoes migrations before an older release goes in, and what prevents it."""

from __future__ import annotations

from typing import Final

from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.observe import Observation
from release.deploy.planning import migration_containers
from release.deploy.planning.data_changes import EarlierChange, earlier_observed
from release.deploy.planning.data_command import DataCommand, data_command
from release.deploy.planning.policy import Allowance
from release.deploy.planning.settings import read_secrets
from release.errors import LockHeld, Problem
from release.ledger.query import Event
from release.migrations import HEAD, Crossing
from release.records import Record, Release, Undoing

_PATH: Final = "migrations.down"


def decide(
    live: LiveEnvironment,
    observation: Observation,
    left: Record[Release] | None,
    found: Crossing | None,
    allowed: Allowance,
    earlier: EarlierChange | None,
) -> tuple[DataCommand[Undoing] | None, list[Problem]]:
    """Return the command that runs before the rollout, and the problems that prevent it.

    It runs with the settings that the release to be replaced was deployed with, however that ended.

    Args:
        live: the environment.
        observation: the current state.
        left: the release that is to be replaced: its image can undo its own migrations.
        found: the migrations between it and the target.
        allowed: the exceptions of the command line.
        earlier: the attempt that undid migrations already.
    """
    settings = live.workspace.service.migrations
    if settings is None or settings.down is None or left is None or found is None or not found.undone:
        return None, []
    if allowed.down == "done":
        return None, []
    command = found.command(settings.down, settings.base)
    event = _deployed(observation, left)
    wrong = _against(live, command, left, event)
    wrong += _repeats(command, earlier) if allowed.down != "again" else []
    if event is None or wrong:
        return None, [Problem(path=_PATH, message=message) for message in wrong]
    secrets, unread = read_secrets(live, event.deployment.run_spec)
    undoing = Undoing(migrations=found.undone, command=command, version=left.body.version, status="planned")
    spec = event.deployment.run_spec
    return data_command(live, settings, "down", undoing, left, spec, secrets), unread


def _deployed(observation: Observation, left: Record[Release]) -> Event | None:
    """Return the release's deployment or attempt here; None if its settings are unknown."""
    event = observation.running_deployment
    return event if event is not None and event.deployment.release == left.id else None


def ensure(
    live: LiveEnvironment, observation: Observation, own: str, before: EarlierChange | None, *, answers: bool
) -> None:
    """Raise LockHeld if migrations were undone since the plan. Call it under the lock.

    An attempt that failed after that left what runs as it was, so the containers that serve do not show it.

    Args:
        live: the environment.
        observation: the state that the plan was made for.
        own: this deployment.
        before: the attempt that undid some before the plan was made.
        answers: whether the ledger's remote answered a moment ago.

    Raises:
        LockHeld, EngineError.
    """
    if answers:
        live.workspace.refresh()
    containers = migration_containers.find_own(live)
    found = earlier_observed(live, containers, observation, own)
    busy = "; ".join(problem.message for problem in migration_containers.still_running(live, containers))
    if busy or found != before:
        raise LockHeld(
            f"undo migrations of {live.place}",
            f"the plan is out of date: {busy or found or 'another release was verified healthy'}",
            "nothing was changed; run the command again",
        )


def _against(
    live: LiveEnvironment, command: tuple[str, ...], left: Record[Release], event: Event | None
) -> list[str]:
    """Return why the command cannot run here, and what to do."""
    text, done = " ".join(command), "--down done confirms that the data already fits the older release"
    wrong = []
    if event is None:
        wrong.append(
            f"`{text}` cannot run: the ledger does not have the running deployment, so its "
            f"settings are not known; {done}"
        )
    if refusal := live.target.commands.refusal(left.body.image):
        wrong.append(f"`{text}` of {left.body.version} cannot run: {refusal}")
    if any(HEAD in part for part in command):
        wrong.append(
            f"`{text}` needs a migration to go to, but the target has none. Set migrations.base "
            f'to the command\'s name for that, as "base" for Alembic or "zero" for Django; {done}'
        )
    return wrong


def _repeats(command: tuple[str, ...], earlier: EarlierChange | None) -> list[str]:
    if earlier is None:
        return []
    text = " ".join(command)
    options = f"--down done rolls back without `{text}`, --down again runs it once more"
    return [f"{earlier}. Check the data first: {options}"]


def notes(
    live: LiveEnvironment, found: Crossing | None, allowed: Allowance, earlier: EarlierChange | None
) -> tuple[str, ...]:
    """Return the plan's notes on the command."""
    settings = live.workspace.service.migrations
    found_notes = [str(earlier)] if earlier is not None else []
    if (
        allowed.down == "done"
        and found is not None
        and found.undone
        and settings is not None
        and settings.down
    ):
        command = " ".join(found.command(settings.down, settings.base))
        found_notes.append(
            f"`{command}` is skipped: --down done confirms that the data already fits the older release"
        )
    return tuple(found_notes)
