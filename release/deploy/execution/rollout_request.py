"""The request of a plan to its target: a release, its settings, and the current state."""

from __future__ import annotations

from release.deploy.core import watch_time
from release.deploy.core.place import Identity
from release.deploy.core.rollout import RolloutRequest
from release.deploy.planning.prepare import Prepared
from release.deploy.planning.settings import seal_key
from release.reference import Digest


def rollout_request(prepared: Prepared, deployment: str) -> RolloutRequest:
    """Return the rollout request of a plan, for a deployment of this id."""
    live, body = prepared.live, prepared.target.body
    return RolloutRequest(
        place=live.place,
        identity=Identity(
            deployment=deployment,
            version=body.version,
            commit=body.source.commit,
            digest=Digest(body.image.digest),
            record=prepared.target.id,
        ),
        image=body.image,
        spec=prepared.spec,
        secrets=prepared.found.settings.secrets,
        before=prepared.containers.own,
        old=prepared.event.deployment.run_spec if prepared.event is not None else None,
        health_timeout=live.settings.health_timeout,
        health_timeouts=live.settings.health_timeouts,
        watch=watch_time.wanted(prepared.spec, prepared.request.reason),
        reason=prepared.request.reason,
        key=seal_key(live, prepared.found.settings.secrets),
    )
