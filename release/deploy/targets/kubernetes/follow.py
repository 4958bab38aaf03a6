"""Following a rollout until it is complete, or until the cluster gives a reason why it never will be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Event

from release.deploy.core.outage import until_back
from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.clock import Clock
from release.deploy.targets.kubernetes.faults import Forbidden
from release.deploy.targets.kubernetes.pods import PodState, pod_states
from release.errors import DeploymentFailed, EngineError
from release.events import Emit
from release.redact import Mask
from release.values import Struct

_TAIL_LINES: Final = 20
_HINT: Final = "read the lines above before the next attempt"


class DeploymentState(Struct, frozen=True, kw_only=True):
    """A Deployment and its pods at one time."""

    found: Deployment | None
    pods: tuple[PodState, ...]
    """Pods of the deployment that is followed."""
    others: tuple[PodState, ...]
    """Pods of another deployment that are not yet being deleted."""
    leaving: int
    """Number of pods that are being deleted."""
    version: str
    """Version of the list of pods."""

    @property
    def wanted(self) -> int:
        """Return the wanted number of pods."""
        spec = self.found.spec if self.found is not None else None
        return (spec.replicas or 0) if spec is not None else 0

    @property
    def is_complete(self) -> bool:
        """Return whether all pods have this spec and are ready, also by the status."""
        if self.found is None or self.found.status is None or self.found.metadata is None:
            return False
        status = self.found.status
        is_seen = (status.observedGeneration or 0) >= (self.found.metadata.generation or 0)
        counts = {
            status.updatedReplicas or 0,
            status.readyReplicas or 0,
            status.replicas or 0,
            len(self.pods),
        }
        return (
            is_seen and counts == {self.wanted} and not self.others and all(pod.is_ready for pod in self.pods)
        )

    def __str__(self) -> str:
        """Return the state as text."""
        ready = sum(pod.is_ready for pod in self.pods)
        nodes = len({pod.node for pod in self.pods if pod.node})
        return f"{ready} of {self.wanted} pods are ready on {nodes} {'node' if nodes == 1 else 'nodes'}"


class Follow(Struct, frozen=True, kw_only=True):
    """A Deployment during its rollout, and what is expected of it."""

    cluster: Cluster
    name: str
    labels: dict[str, str]
    """Labels of the Deployment's pods."""
    deployment: str
    attempted: str
    patience: int
    """Milliseconds without progress."""
    watch: int
    """Milliseconds that the Deployment must stay complete."""
    emit: Emit
    mask: Mask
    check: Callable[[], None]
    """Function that raises an error to stop the wait."""
    clock: Clock
    is_strict: bool = True
    """True: the first end of a process is a failure."""

    def look(self) -> DeploymentState:
        """Return the current state."""
        found = self.cluster.get(Deployment, self.name)
        pods, version = self.cluster.pods.list(self.labels)
        states = pod_states(pods)
        return DeploymentState(
            found=found,
            pods=tuple(pod for pod in states if pod.deployment == self.deployment),
            others=tuple(pod for pod in states if pod.deployment != self.deployment),
            leaving=len(pods) - len(states),
            version=version,
        )

    def await_complete(self) -> DeploymentState:
        """Return the state after it was complete for the watch's time. Raises DeploymentFailed."""
        progress, since, complete_at = "", self.clock.now(), None
        while True:
            self.check()
            seen = until_back(self.look, milliseconds=self.patience, emit=self.emit)
            self._raise_trouble(seen)
            now = self.clock.now()
            if seen.is_complete:
                complete_at = complete_at if complete_at is not None else now
                if now - complete_at >= self.watch / 1000:
                    return seen
            else:
                complete_at = None
            if (told := _progress(seen)) != progress:
                progress, since = told, now
            elif not seen.is_complete and now - since > self.patience / 1000:
                raise self._late(seen)
            self._wait(seen)

    def _wait(self, seen: DeploymentState) -> None:
        until_back(
            lambda: self.cluster.pods.await_change(self.labels, seen.version),
            milliseconds=self.patience,
            emit=self.emit,
        )

    def _raise_trouble(self, seen: DeploymentState) -> None:
        refused = _refusal(seen.found)
        if refused:
            raise self._failed(f"the cluster creates no pod: {refused}", ())
        for pod in seen.pods:
            if self._is_final(pod, seen):
                raise self._failed(f"{pod}: {pod.trouble}", self._tail(pod))
        if _is_too_late(seen.found):
            raise self._late(seen)

    def _is_final(self, pod: PodState, seen: DeploymentState) -> bool:
        """Return whether waiting cannot help. A pod without a node may still get a leaving pod's place."""
        if not pod.trouble or (not self.is_strict and pod.is_ready):
            return False
        return not (pod.is_unschedulable and (seen.leaving or seen.others))

    def _late(self, seen: DeploymentState) -> DeploymentFailed:
        """Return the error of a rollout without progress, with the cluster's account of its pods."""
        waiting = [pod for pod in seen.pods if not pod.is_ready]
        said = [f"{pod}: {pod.trouble or self._event(pod) or pod.state}" for pod in waiting[:3]]
        found = f"no progress for {self.patience / 1000:g} s; {seen}"
        return self._failed("; ".join([found, *said]), self._tail(waiting[0]) if waiting else ())

    def _event(self, pod: PodState) -> str:
        """Return the newest warning event of a pod; empty if there is none, or events are forbidden."""
        try:
            events = self.cluster.every(Event, {}, fields={"involvedObject.uid": pod.uid, "type": "Warning"})
        except Forbidden:
            return ""
        newest = sorted(events, key=lambda each: str(each.lastTimestamp or each.eventTime or ""))[-1:]
        return "".join(f"{each.reason}: {each.message}" for each in newest)

    def _tail(self, pod: PodState) -> tuple[str, ...]:
        """Return the pod's last lines; empty if there are none, or logs are forbidden."""
        if not pod.has_log and pod.state != "running":
            return ()
        try:
            return tuple(self.mask(line) for line in self.cluster.pods.log(pod.name, lines=_TAIL_LINES))
        except EngineError as error:
            return (self.mask(f"{error.attempted}: {error.found}"),)

    def _failed(self, found: str, tail: Sequence[str]) -> DeploymentFailed:
        return DeploymentFailed(self.attempted, self.mask(found), _HINT, tuple(tail))


def _progress(seen: DeploymentState) -> str:
    return "; ".join(f"{pod.uid} {pod.state} {pod.is_ready}" for pod in (*seen.pods, *seen.others))


def _conditions(found: Deployment | None) -> Iterator[tuple[str, str, str, str]]:
    for each in (found.status.conditions if found is not None and found.status is not None else None) or ():
        yield each.type or "", each.status or "", each.reason or "", each.message or ""


def _is_current(found: Deployment | None) -> bool:
    """Return whether the status belongs to the current spec."""
    if found is None or found.status is None or found.metadata is None:
        return False
    return (found.status.observedGeneration or 0) >= (found.metadata.generation or 0)


def _refusal(found: Deployment | None) -> str:
    """Return why the cluster refuses to create pods: quota, PodSecurity, an admission webhook."""
    if not _is_current(found):
        return ""
    told = (
        text for kind, status, _, text in _conditions(found) if (kind, status) == ("ReplicaFailure", "True")
    )
    return next(told, "")


def _is_too_late(found: Deployment | None) -> bool:
    return _is_current(found) and any(
        (kind, status, reason) == ("Progressing", "False", "ProgressDeadlineExceeded")
        for kind, status, reason, _ in _conditions(found)
    )
