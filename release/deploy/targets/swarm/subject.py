"""A service that is to settle: what is waited for, and what is asked then."""

from __future__ import annotations

from collections.abc import Mapping

from release.deploy.core.place import Place
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.follow import Watch
from release.deploy.targets.swarm.gates import TaskGates
from release.deploy.targets.swarm.nodes import Route
from release.deploy.targets.swarm.part import longest
from release.deploy.targets.swarm.probe import ServiceProbe, ask_tasks
from release.deploy.targets.swarm.tasks import View
from release.events import Emit
from release.programs.cancellation import Cancellation
from release.runspec import RunSpec
from release.secrets.redact import Mask
from release.targetspec import SwarmSpec
from release.values import Struct, field


class Subject(Struct, frozen=True, kw_only=True):
    """A service, and the settings of its tasks."""

    swarm: Swarm
    place: Place
    service: str
    """Name of the service."""
    deployment: str
    """Deployment whose tasks should run."""
    spec: RunSpec
    health_timeout: int
    """Milliseconds."""
    emit: Emit
    mask: Mask
    ways: Mapping[str, Route] = field(default_factory=dict)
    """Addresses of the engines of nodes."""

    def watch(self, milliseconds: int = 0) -> Watch:
        """Return the watch of the service. All tasks must stay well for at least this time."""
        settings = self.spec.swarm or SwarmSpec()
        monitor = max(settings.monitor, milliseconds)
        return Watch(
            swarm=self.swarm,
            place=self.place,
            name=self.service,
            deployment=self.deployment,
            monitor=monitor,
            pause=monitor + settings.delay + self.spec.stop_grace,
            patience=self.health_timeout,
            longest=longest(self.spec, self.health_timeout),
            emit=self.emit,
            mask=self.mask,
        )

    def evidence(self, seen: View, cancellation: Cancellation) -> str:
        """Probe the service; return the evidence in a few words. Raises DeploymentFailed."""
        host, patience = self.swarm.engine.host, self.health_timeout
        asking = ServiceProbe(host=host, patience=patience, emit=self.emit, check=cancellation.check)
        gates = TaskGates(swarm=self.swarm, ways=self.ways, patience=patience, cancellation=cancellation)
        said = [*ask_tasks(asking, self.spec, seen), *gates.ask(self.spec, seen)]
        return "; ".join([running(seen), *said])


def running(seen: View) -> str:
    """Return a text with the numbers of running tasks and of their nodes."""
    count = len({task.node for task in seen.good})
    where = f"{count} {'node' if count == 1 else 'nodes'}"
    return f"{len(seen.good)} of {seen.wanted} tasks run on {where}"
