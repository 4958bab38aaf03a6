"""Running release before a plan is carried out, as the plan needs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from semver import Version

from release.deploy.core.instance import Instance, InstanceSet
from release.deploy.core.place import COMMIT, DEPLOYMENT, DIGEST, VERSION, describe
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.observe import Observation
from release.deploy.planning.plan import Side
from release.ledger.query import Event
from release.records import Record, Release
from release.reference import Digest
from release.runspec import RunSpec
from release.values import Struct


class Current(Struct, frozen=True, kw_only=True):
    """The running containers of a place, and their deployment in the ledger."""

    containers: InstanceSet
    event: Event | None
    """Last event of the deployment that put `release` there, if the ledger knows it."""
    release: Record[Release] | None
    """Release that runs, proven; if nothing runs, the release that ran or was tried last."""
    runs_event: bool
    """True: the engine runs that deployment, and the ledger has it as healthy."""
    expected: str = ""
    """Version that the ledger says should be running."""
    drift: tuple[str, ...] = ()
    """Settings that somebody changed since, if the requested release runs already."""

    @property
    def spec(self) -> RunSpec | None:
        """Return the settings of the running deployment, as recorded."""
        return self.event.deployment.run_spec if self.event is not None else None

    @property
    def version(self) -> str:
        """Return the version of the running release; empty if unknown."""
        return self.release.body.version if self.release is not None else ""

    def side(self) -> Side | None:
        """Return the running deployment as the first side of a change; None if unknown."""
        if self.release is None or self.event is None:
            return self._unrecorded_side()
        body, event = self.release.body, self.event
        return Side(
            version=body.version,
            digest=body.image.digest,
            commit=body.source.commit,
            moment=event.recorded_at,
            who=event.actor.name,
            message=event.deployment.message,
            deployment=event.deployment.deployment,
            status=event.deployment.status,
            recovered=body.is_recovered,
        )

    def _unrecorded_side(self) -> Side | None:
        """Return the labels' account of a deployment that the ledger lacks; None without labels."""
        running = sorted(
            self.containers.running, key=lambda each: each.labels.get(VERSION, "") != self.version
        )
        labels = running[0].labels if running else {}
        if not all(labels.get(name) for name in (VERSION, DIGEST, COMMIT)):
            return None
        return Side(
            version=labels[VERSION],
            digest=labels[DIGEST],
            commit=labels[COMMIT],
            moment=running[0].started_at,
            who="",
            deployment=labels.get(DEPLOYMENT, ""),
            status="unknown",
        )

    def is_as_asked(self, release: Record[Release], spec: RunSpec, image: Digest) -> bool:
        """Return whether the requested release runs with these settings and secrets, and is not unhealthy.

        Args:
            release: the target.
            spec: its settings, with the fingerprints of today's secrets.
            image: id that a container reports if it runs the target's image.
        """
        containers, event = self.containers, self.event
        counts = Counter(each.process for each in containers.running)
        wanted = {name: one.replicas for name, one in spec.every.items()}
        if counts != wanted or containers.unclear or containers.adopted or not self.runs_event:
            return False
        if event is None or (event.deployment.release, event.deployment.run_spec) != (release.id, spec):
            return False
        return all(_serves(container, image) for container in containers.running)

    def is_newer_than(self, version: str) -> bool:
        """Return whether a container runs a later version than the target."""
        running = [container.labels.get(VERSION, "") for container in self.containers.running]
        known = [Version.parse(text) for text in running if Version.is_valid(text)]
        return any(Version.parse(version) < other for other in known)

    def notes(self) -> Iterator[str]:
        """Return differences between the running containers and the ledger."""
        yield from (f"changed since its deployment: {each}" for each in self.drift)
        if (adopted := self.containers.adopted) is not None:
            yield f"{adopted} was adopted: this deployment stops it, and keeps it"
        real, running = describe(self.containers.running), bool(self.containers.running)
        if self.expected and (self.expected != self.version or not self.runs_event):
            yield f"the ledger has {self.expected}, but the engine runs: {real}"
        elif self.event is None and running:
            yield f"the ledger has no record of what runs: {real}"
        if self.event is None and self.release is not None:
            yield (
                "this clone's ledger lacks the deployment that runs; to publish it, run "
                "`invoke sync` in the clone that made it"
            )
        elif self.release is None and running:
            yield ("this clone does not know the release that runs: it is neither compared nor quarantined")

    def container_notes(self) -> Iterator[str]:
        """Return notes on containers without requests, and on those of earlier deployments."""
        if self.containers.unclear:
            yield f"it is unknown which containers get requests: {self.containers.unclear}"
        if leftovers := (*self.containers.waiting, *self.containers.stopped):
            yield (
                f"left by an earlier deployment, and removed when this one is healthy: {describe(leftovers)}"
            )


def _serves(container: Instance, image: Digest) -> bool:
    """Return whether the container may serve. A first health check is awaited when it is verified."""
    is_new = container.health == "starting" and container.restarts == 0
    is_well = container.health in ("none", "healthy") or is_new
    return container.status == "running" and is_well and container.image == image


def current_state(live: LiveEnvironment, observation: Observation) -> Current:
    """Return the observation in the form that a plan needs."""
    return Current(
        containers=observation.ours,
        event=observation.running_deployment,
        release=observation.left,
        runs_event=observation.event is not None,
        expected=_expected(live, observation.previous),
    )


def _expected(live: LiveEnvironment, previous: Event | None) -> str:
    if previous is None:
        return ""
    release = live.release_of(previous)
    return release.body.version if release is not None else "an unknown release"
