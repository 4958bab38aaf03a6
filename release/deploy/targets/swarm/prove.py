"""Proof that a service runs what was submitted: its tasks settle, with the spec and image of the order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from release.deploy.core.steps import step
from release.deploy.targets.swarm import marks
from release.deploy.targets.swarm.drift import changed
from release.deploy.targets.swarm.follow import Watch, await_settled
from release.deploy.targets.swarm.part import Part, longest, patient
from release.deploy.targets.swarm.probe import Asking, ask_tasks
from release.deploy.targets.swarm.tasks import View
from release.errors import DeploymentFailed, MixedState
from release.events import Warned
from release.reference import Digest
from release.runspec import RunSpec
from release.targetspec import SwarmSpec
from release.values import replace


def prove(part: Part, milliseconds: int) -> str:
    """Wait until the service runs as submitted, and stays so; the evidence.

    Raises:
        DeploymentFailed: it does not.
        MixedState: another command changed it.
    """
    check = part.means.cancellation.check
    with step(part.means.emit, "health") as say:
        watch = watch_of(part, part.order.spec, part.order.identity.deployment, milliseconds)
        seen = await_settled(replace(watch, check=check))
        _check_spec(part, seen)
        _check_images(part, seen)
        say(said := part.told(evidence(part, part.order.spec, seen, check)))
    for text in lost(seen):
        part.means.emit(Warned(text=text))
    return said


def verify(part: Part, deployment: str) -> str:
    """Look, and ask; nothing is changed. Raises DeploymentFailed."""
    check = part.means.cancellation.check
    watch = replace(watch_of(part, part.order.spec, deployment), monitor=0, strict=False)
    seen = await_settled(replace(watch, check=check))
    _check_images(part, seen)
    return part.told(evidence(part, part.order.spec, seen, check))


def watch_of(part: Part, spec: RunSpec, deployment: str, milliseconds: int = 0) -> Watch:
    """Return what to wait for: tasks of a deployment, with these settings."""
    swarm, order = spec.swarm or SwarmSpec(), part.order
    monitor = max(swarm.monitor, milliseconds)
    return Watch(
        swarm=part.swarm,
        place=order.place,
        name=part.service,
        deployment=deployment,
        monitor=monitor,
        pause=monitor + swarm.delay + spec.stop_grace,
        patience=order.health_timeout,
        longest=longest(spec, order.health_timeout),
        emit=part.means.emit,
        mask=part.means.mask,
    )


def evidence(part: Part, spec: RunSpec, seen: View, check: Callable[[], None]) -> str:
    """Return what was seen, in a few words, after asking."""
    host, patience = part.swarm.engine.host, part.order.health_timeout
    asking = Asking(host=host, patience=patience, emit=part.means.emit, check=check)
    return "; ".join([running(seen), *ask_tasks(asking, spec, seen)])


def running(seen: View) -> str:
    """Return how many tasks run, and on how many nodes."""
    count = len({task.node for task in seen.good})
    where = f"{count} {'node' if count == 1 else 'nodes'}"
    return f"{len(seen.good)} of {seen.wanted} tasks run on {where}"


def lost(seen: View) -> Iterator[str]:
    """Return what nobody can see: said, for it may still run."""
    for task in seen.lost:
        yield (
            f"{seen.describe(task)}, as far as the Swarm knows: it ends when its node answers "
            "again or is switched off"
        )


def _check_spec(part: Part, seen: View) -> None:
    """Nobody changed it in the middle: it would carry our labels all the same. Raises MixedState."""
    spec, order = seen.service.spec, part.order
    if marks.is_as_written(spec):
        return
    told = patient(lambda: list(changed(part.swarm, spec, order)), order.health_timeout)
    what = "; ".join(f"{name} {text}" for name, text in told)
    raise MixedState(
        f"prove that {order} runs",
        part.means.mask(
            "the service was changed by hand during the deployment, and was not changed "
            f"back: {what}. {seen.all()}"
        ),
        "find out who changed it; the next deployment or rollback restores the recorded settings",
    )


def _check_images(part: Part, seen: View) -> None:
    """Every task runs the digest of the record."""
    wanted = Digest(part.order.image.digest)
    wrong = [task for task in seen.good if task.image != wanted]
    if wrong:
        found = f"{seen.describe(wrong[0])} runs {wrong[0].image}, not {wanted}"
        raise DeploymentFailed(
            f"prove that {part.order} runs",
            found,
            f"`docker service ps --no-trunc {part.service}` on a manager shows what each task runs",
        )
