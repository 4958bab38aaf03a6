"""Everything that a deployment depends on, found before anything is touched, and refused all at once."""

from __future__ import annotations

from release.deploy.core import lock
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.observe import Observation, look_around
from release.deploy.planning import policy, preflight
from release.deploy.planning.find_image import ImageSource, find_image
from release.deploy.planning.lock_takeover import Takeover, find_takeover
from release.deploy.planning.migrations import MigrationPlan, plan_migrations
from release.deploy.planning.policy import PolicyState
from release.deploy.planning.request import Request
from release.deploy.planning.settings import DesiredSettings, desired_settings
from release.errors import Problem
from release.values import Struct


class Findings(Struct, frozen=True, kw_only=True):
    """Everything that was found out for one request."""

    request: Request
    policy: PolicyState
    settings: DesiredSettings
    image: ImageSource
    observation: Observation
    migrations: MigrationPlan
    takeover: Takeover


def find_out(live: LiveEnvironment, request: Request, observation: Observation | None) -> Findings:
    """Read ledger, secrets, registry and target. The lock is read last."""
    state = policy.read_policy(live.workspace.ledger, live.place, request.target.id)
    settings = desired_settings(live, request)
    image = find_image(live, request)
    observation = observation or look_around(live)
    return Findings(
        request=request,
        policy=state,
        settings=settings,
        image=image,
        observation=observation,
        migrations=plan_migrations(live, request, settings, observation),
        takeover=find_takeover(live, observation, request.allowed),
    )


def refuse_problems(live: LiveEnvironment, found: Findings) -> None:
    """Raise one error with all problems of the request, if there are any."""
    request, holder = found.request, found.takeover.holder
    problems = [
        *policy.freeze_problems(found.policy, live.place, request.reason, request.allowed),
        *found.migrations.problems,
        *found.settings.problems,
        *found.image.problems(request),
        *_target_problems(live, found),
    ]
    preflight.refuse(
        request.attempted(live.place),
        found.image.bytes,
        problems,
        lock.held_error(live.place, holder, lock.task_of(request.reason)) if holder is not None else None,
        barred=policy.quarantine_problems(found.policy, live.place, request.target, request.allowed),
    )


def _target_problems(live: LiveEnvironment, found: Findings) -> list[Problem]:
    """Return requirements that the target lacks. Ports and names are not compared during a deployment."""
    spec, image, target = found.settings.spec, found.request.target.body.image, live.target
    problems = list(target.rollouts.settings_problems(spec, image))
    problems += target.images.platform_problems(image)
    if found.takeover.holder is None:
        problems += target.rollouts.occupation_problems(spec, found.observation.ours)
    return problems
