"""Writing the spec of a service, over the spec that was planned for and over no other.

A write whose answer was lost is looked for before it is sent again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from release.deploy.core.image_location import image_reference
from release.deploy.core.place import DEPLOYMENT
from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.swarm import marks
from release.deploy.targets.swarm.objects import Service
from release.deploy.targets.swarm.part import PAUSE_SECONDS, Part, spec_of
from release.deploy.targets.swarm.scaling import is_paused
from release.errors import EngineError, EngineUnreachable, LockHeld, NameTaken
from release.reference import Reference

TRIES: Final = 20
"""Attempts of an update while only the Swarm itself changes the version."""


def submit(part: Part, before: Service | None, written: Mapping[str, Any]) -> None:
    """Create or update the service.

    Raises:
        LockHeld: another command changed the service since `before` was read.
        EngineError.
    """
    now = before
    for attempt in range(TRIES):
        try:
            if _sent(part, now, written):
                return
        except NameTaken:
            pass  # somebody's, or ours, whose answer was lost
        except EngineUnreachable:
            if attempt == TRIES - 1:
                raise
        now = part.found_patiently()
        if part.made(now):
            return
        if spec_of(now) != spec_of(before):
            raise overtaken(part.order)
    raise moving(part, f"update the service {part.service}")


def _sent(part: Part, now: Service | None, written: Mapping[str, Any]) -> bool:
    image = image_reference(part.order.image)
    if now is None:
        return bool(part.swarm.create(written, image))
    return part.swarm.update(now, written, image)


def resubmit(part: Part, before: Service, now: Service | None, written: Mapping[str, Any]) -> None:
    """Write a previous spec over ours or the Swarm's own rollback, but over no other change.

    A Swarm leaves out what is empty, so a spec that was not read from it is compared by its mark.

    Raises EngineError if another command changed the service, or it changes repeatedly.
    """
    attempted = f"restore the service {part.service}"
    allowed = (part.order.identity.deployment, before.labels.get(DEPLOYMENT))
    for _ in range(TRIES):
        if now is not None and now.labels.get(DEPLOYMENT) not in allowed:
            raise overruled(part, attempted)
        _send_back(part, written, now)
        now = part.found_patiently()
        if now is not None and is_written(now, written):
            return
    raise moving(part, attempted)


def is_written(service: Service, written: Mapping[str, Any]) -> bool:
    """Return whether a service has this spec. A service with tasks must have exactly this one."""
    if is_paused(written):
        return marks.mark(service.spec) == marks.mark(written)
    return service.spec == written


def _send_back(part: Part, written: Mapping[str, Any], now: Service | None) -> None:
    """Submit the previous spec, which is verified later."""
    text = str(marks.container_of(written).get("Image") or "")
    image = Reference.parse(text) if text else image_reference(part.order.image)
    try:
        if now is None:
            part.swarm.create(written, image)
        else:
            part.swarm.update(now, written, image)
    except (EngineUnreachable, NameTaken):
        time.sleep(PAUSE_SECONDS)


def overtaken(order: RolloutRequest) -> LockHeld:
    """Return the error of a rollout whose plan is out of date."""
    return LockHeld(
        order.attempt,
        "another command changed the service at the same time; nothing was changed",
        f"`{order.place.at('').command('status')}` shows what runs; then run the command again",
    )


def overruled(part: Part, attempted: str) -> EngineError:
    """Return the error of a service that another command changed meanwhile."""
    return EngineError(
        attempted,
        "another command changed it at the same time",
        f"`{part.order.place.command('status')}` shows what runs; agree with the other "
        "operator, then deploy or roll back",
    )


def moving(part: Part, attempted: str) -> EngineError:
    """Return the error of a service that something changes again and again."""
    return EngineError(
        attempted,
        f"its version changed {TRIES} times",
        f"another program updates it again and again: `docker service inspect {part.service}`",
    )
