"""Replace an object that another program made: stop it, deploy, and start it again if that fails.

The target knows only its own instances. So for it, nothing runs yet. The object is kept when the deployment
is healthy: it may have data in it, and only its owner can tell.
"""

from __future__ import annotations

from collections.abc import Callable

from release.deploy.core.rollout import RolloutContext
from release.deploy.core.steps import reason
from release.deploy.environment.environment import LiveEnvironment
from release.errors import DeploymentFailed, LockHeld, MixedState, ReleaseError, Restored
from release.ledger.query import Event
from release.records import Adoption

Act = Callable[[], str]
"""Carries out a rollout, and returns the evidence that the release serves."""


def replace_adopted(
    live: LiveEnvironment, before: Event | None, context: RolloutContext, attempted: str, act: Act
) -> str:
    """Carry out a rollout, which replaces the adopted object if one ran before; return its evidence.

    Raises:
        Restored: the rollout failed, and the object runs again.
        MixedState: the object could not be started again, or the rollout left a mixed state.
        ReleaseError: as the rollout, if there was no such object.
    """
    adopted = _kept(live, before)
    if adopted is None:
        return act()
    part = live.target.adoptions
    try:
        if part.stops_first:
            context.still_mine()
            part.stop(adopted, context)
        evidence = act()
    except (MixedState, LockHeld):
        raise
    except ReleaseError as error:
        raise _given_back(live, adopted, context, attempted, error) from error
    if not part.stops_first:
        context.still_mine()
        part.stop(adopted, context)
    return evidence


def restore_adopted(
    live: LiveEnvironment, before: Event | None, context: RolloutContext, attempted: str, act: Act
) -> str:
    """Revert a rollout, and start the adopted object again if one ran before; return the evidence.

    Raises MixedState, DeploymentFailed.
    """
    adopted = _kept(live, before)
    if adopted is None:
        return act()
    try:
        return act()
    except MixedState:
        raise
    except DeploymentFailed as error:
        ended = _given_back(live, adopted, context, attempted, error)
        if isinstance(ended, Restored):
            return ended.found
        raise ended from error


def _kept(live: LiveEnvironment, before: Event | None) -> Adoption | None:
    """Return the adopted object that ran before, if the target still has it."""
    adopted = before.deployment.adopted if before is not None else None
    return adopted if adopted is not None and live.target.adoptions.exists(adopted) else None


def _given_back(
    live: LiveEnvironment, adopted: Adoption, context: RolloutContext, attempted: str, error: ReleaseError
) -> DeploymentFailed:
    """Start the object again, and return the error for the failed rollout."""
    why = context.mask(error.found)
    tail = error.tail if isinstance(error, DeploymentFailed) else ()
    try:
        context.still_mine()
        evidence = live.target.adoptions.start(adopted, context, live.settings.longest_health_timeout)
    except ReleaseError as second:
        found = f"{why}; {adopted} ran before and could not be started again: {context.mask(reason(second))}"
        hint = f"start {adopted} yourself; `{live.place.command('status')}` shows what runs"
        return MixedState(attempted, found, hint, tail)
    found = f"{why}; {adopted} runs again ({context.mask(evidence)})"
    return Restored(attempted, found, f"`{live.place.command('status')}` shows what runs", tail)
