"""Comparison of what runs with the recorded settings of its deployment."""

from __future__ import annotations

from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.instance import InstanceSet
from release.deploy.environment.environment import LiveEnvironment
from release.ledger.query import Event


def recorded_settings_drift(live: LiveEnvironment, ours: InstanceSet, event: Event | None) -> tuple[str, ...]:
    """Return each setting of the deployment's instances that differs from the record. Raises EngineError."""
    if event is None:
        return ()
    deployment, release = event.deployment, live.release_of(event)
    git_dir, environ = live.workspace.source.git_dir, live.workspace.environ
    key = FingerprintKey.load(git_dir, environ) if deployment.run_spec.secrets else None
    body = release.body if release is not None else None
    return tuple(map(str, live.target.instances.drift(deployment, body, ours.own.running, key)))
