"""Record an adoption: the release, and a deployment that was never carried out."""

from __future__ import annotations

import secrets as randomness
from typing import Any

from release.deploy.core import image_location
from release.deploy.execution import recording
from release.deploy.planning.adopt import AdoptionPlan
from release.errors import TargetUnavailable, UsageError
from release.ledger.releases import as_release
from release.records import Body, Deployment, Draft, Record, Release, TargetState
from release.secrets.redact import Mask


def carry_out(plan: AdoptionPlan, *, message: str) -> dict[str, Any]:
    """Keep the image, record release and deployment, and return the healthy event as JSON data.

    What runs is not changed. A run that was killed between the two records can be repeated.

    Raises:
        TargetUnavailable: no place has the image any more.
        UsageError: the object was replaced since it was read.
        LedgerError: the records cannot be added, or the git server does not answer.
    """
    live = plan.live
    _refuse_changed(plan)
    _keep_image(plan)
    deployment = randomness.token_hex(6)
    release = plan.known or _recorded(plan, deployment)
    mask = Mask(plan.settings.hidden)
    started = _event(plan, release, deployment, mask(message))
    healthy = started.model_copy(update={"status": "healthy", "targets": (_state(plan),), "duration_ms": 0})
    bodies: list[Body] = [started, healthy]
    drafts: list[Draft[Body]] = [recording.draft(live, deployment, body) for body in bodies]
    record = live.workspace.ledger.append(drafts)[-1]
    return {"id": record.id, **record.to_json()}


def _refuse_changed(plan: AdoptionPlan) -> None:
    adoptions = plan.live.target.adoptions
    if any(each.id == plan.candidate.id for each in adoptions.candidates()):
        return
    found = f"the {plan.kind} {plan.candidate.name} was replaced or stopped since it was read"
    raise UsageError(plan.title, found, "run the command again")


def _keep_image(plan: AdoptionPlan) -> None:
    """Bring the image by its digest to where a rollback looks for it, and protect it from cleanup."""
    images, emit = plan.live.target.images, plan.live.workspace.emit
    found = images.locate(plan.body.image, image_location.as_progress(emit))
    if found.where == "nowhere":
        raise TargetUnavailable(plan.title, found.problem, found.hint or "push the image to its registry")
    images.fetch(plan.body, plan.settings.spec, found, emit)


def _recorded(plan: AdoptionPlan, run: str) -> Record[Release]:
    draft: Draft[Body] = recording.draft(plan.live, run, plan.body)
    return as_release(plan.live.workspace.ledger.append([draft])[0])


def _event(plan: AdoptionPlan, release: Record[Release], deployment: str, message: str) -> Deployment:
    return Deployment(
        deployment=deployment,
        environment=plan.live.place.environment,
        release=release.id,
        digest=release.body.image.digest,
        run_spec=plan.settings.spec,
        reason="promote",
        message=message,
        status="started",
        adopted=plan.adopted,
    )


def _state(plan: AdoptionPlan) -> TargetState:
    detail = f"the {plan.kind} {plan.candidate.name} was running; nothing was changed"
    return TargetState(
        name=plan.live.target.name, status="healthy", digest=plan.body.image.digest, detail=detail
    )
