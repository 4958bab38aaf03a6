"""Proof that a service runs what was submitted: its tasks settle, with the spec and image of the order."""

from __future__ import annotations

from collections.abc import Iterator

from release.deploy.core.steps import step
from release.deploy.targets.swarm import marks
from release.deploy.targets.swarm.drift import changed
from release.deploy.targets.swarm.follow import await_settled
from release.deploy.targets.swarm.part import Part, patient
from release.deploy.targets.swarm.subject import Subject
from release.deploy.targets.swarm.tasks import View
from release.errors import DeploymentFailed, MixedState
from release.events import Warned
from release.reference import Digest
from release.runspec import RunSpec
from release.values import replace


def prove(part: Part, milliseconds: int) -> str:
    """Wait until the service runs as submitted and stays so; return the evidence.

    Raises:
        DeploymentFailed: the service does not run or stay so.
        MixedState: another command changed the service.
    """
    cancellation = part.means.cancellation
    with step(part.means.emit, "health") as say:
        subject = subject_of(part, part.order.spec, part.order.identity.deployment)
        seen = await_settled(replace(subject.watch(milliseconds), check=cancellation.check))
        _check_spec(part, seen)
        _check_images(part, seen)
        say(said := part.with_process(subject.evidence(seen, cancellation)))
    for text in lost_tasks(seen):
        part.means.emit(Warned(text=text))
    return said


def verify(part: Part, deployment: str) -> str:
    """Check the service without a change; return the evidence. Raises DeploymentFailed."""
    cancellation = part.means.cancellation
    subject = subject_of(part, part.order.spec, deployment)
    seen = await_settled(replace(subject.watch(), monitor=0, strict=False, check=cancellation.check))
    _check_images(part, seen)
    return part.with_process(subject.evidence(seen, cancellation))


def subject_of(part: Part, spec: RunSpec, deployment: str) -> Subject:
    """Return the service of a part with its deployment and settings."""
    return Subject(
        swarm=part.swarm,
        place=part.order.place,
        service=part.service,
        deployment=deployment,
        spec=spec,
        health_timeout=part.order.health_timeout,
        emit=part.means.emit,
        mask=part.means.mask,
        ways=part.ways,
    )


def lost_tasks(seen: View) -> Iterator[str]:
    """Yield notes on tasks of silent nodes, which may still run."""
    for task in seen.lost:
        yield (
            f"{seen.describe(task)}, as far as the Swarm knows: it ends when its node answers "
            "again or is switched off"
        )


def _check_spec(part: Part, seen: View) -> None:
    """Raise MixedState if somebody changed the spec during the rollout."""
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
    """Raise DeploymentFailed if a task does not run the recorded digest."""
    wanted = Digest(part.order.image.digest)
    wrong = [task for task in seen.good if task.image != wanted]
    if wrong:
        found = f"{seen.describe(wrong[0])} runs {wrong[0].image}, not {wanted}"
        raise DeploymentFailed(
            f"prove that {part.order} runs",
            found,
            f"`docker service ps --no-trunc {part.service}` on a manager shows what each task runs",
        )
