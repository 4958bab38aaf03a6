"""Following a rollout until it is complete, or until the cluster gives a reason why it never will be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Event

from release.deploy.core.retry_unreachable import until_back
from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.clock import Clock
from release.deploy.targets.kubernetes.faults import Forbidden
from release.deploy.targets.kubernetes.pods import PodState, pod_states
from release.errors import DeploymentFailed, EngineError
from release.events import Emit
from release.secrets.redact import Mask
from release.values import Struct

_TAIL_LINES: Final = 20
_CALM_SECONDS: Final = 5.0
"""Time without progress after which a pod without a node, or a refused pod, is no passing state."""
_STATUS_SECONDS: Final = 0.05
"""Pause until the controller has counted pods that are ready."""
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
        return is_seen and counts == {self.wanted} and self.has_ready_pods

    @property
    def has_ready_pods(self) -> bool:
        """Return whether all pods are there and ready, and no others."""
        return len(self.pods) == self.wanted and not self.others and all(pod.is_ready for pod in self.pods)

    @property
    def lacks_pods(self) -> bool:
        """Return whether pods are missing and none ends. A pod that ends still counts for a quota."""
        return len(self.pods) < self.wanted and not self.leaving

    @property
    def frees_place(self) -> bool:
        """Return whether old pods end now, or next: more pods are ready than the strategy keeps ready."""
        if self.leaving or not self.others:
            return bool(self.leaving)
        spec = self.found.spec if self.found is not None else None
        rolling = spec.strategy.rollingUpdate if spec is not None and spec.strategy is not None else None
        if rolling is None or not isinstance(rolling.maxUnavailable, int):
            return True
        ready = sum(pod.is_ready for pod in (*self.pods, *self.others))
        return ready > self.wanted - rolling.maxUnavailable

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
        """Return the state after it was complete for the watch's time. Raises DeploymentFailed.

        The controller's own deadline does not count: its condition "ProgressDeadlineExceeded" may be that of
        an earlier spec, and stays until a pod makes progress. A restoration may need no progress.
        """
        progress, since, complete_at = "", self.clock.now(), None
        while True:
            self.check()
            seen = until_back(self.look, milliseconds=self.patience, emit=self.emit)
            now = self.clock.now()
            if (told := _progress(seen)) != progress:
                progress, since = told, now
            self._raise_trouble(seen, is_calm=now - since > _CALM_SECONDS)
            if seen.is_complete:
                complete_at = complete_at if complete_at is not None else now
                if now - complete_at >= self.watch / 1000:
                    return seen
            else:
                complete_at = None
            if not seen.is_complete and now - since > self.patience / 1000:
                raise self._late(seen)
            self._wait(seen)

    def _wait(self, seen: DeploymentState) -> None:
        """Wait for a change of a pod, or shortly for the status of the Deployment, which follows its pods."""
        if seen.has_ready_pods and not seen.is_complete:
            self.clock.pause(_STATUS_SECONDS)
            return
        until_back(
            lambda: self.cluster.pods.await_change(self.labels, seen.version),
            milliseconds=self.patience,
            emit=self.emit,
        )

    def _raise_trouble(self, seen: DeploymentState, *, is_calm: bool) -> None:
        refused = _refusal(seen.found)
        if refused and is_calm and seen.lacks_pods:
            raise self._failed(f"the cluster creates no pod: {refused}", ())
        for pod in seen.pods:
            if self._is_final(pod, seen, is_calm=is_calm):
                raise self._failed(f"{pod}: {pod.trouble}", self._tail(pod))

    def _is_final(self, pod: PodState, seen: DeploymentState, *, is_calm: bool) -> bool:
        """Return whether waiting cannot help. A pod without a node may still get a leaving pod's place.

        The scheduler learns of a free place a little later than the pod list.
        """
        if not pod.trouble or (not self.is_strict and pod.is_ready):
            return False
        return not pod.is_unschedulable or (is_calm and not seen.frees_place)

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
    pods = (f"{pod.uid} {pod.state} {pod.is_ready}" for pod in (*seen.pods, *seen.others))
    return "; ".join([*pods, f"{seen.leaving} end"])


def _conditions(found: Deployment | None) -> Iterator[tuple[str, str, str, str]]:
    for each in (found.status.conditions if found is not None and found.status is not None else None) or ():
        yield each.type or "", each.status or "", each.reason or "", each.message or ""


def _is_current(found: Deployment | None) -> bool:
    """Return whether the status belongs to the current spec."""
    if found is None or found.status is None or found.metadata is None:
        return False
    return (found.status.observedGeneration or 0) >= (found.metadata.generation or 0)


def _refusal(found: Deployment | None) -> str:
    """Return why the cluster refuses to create pods: quota, PodSecurity, an admission webhook.

    It may be the refusal of an earlier spec: the controller reports that of any ReplicaSet.
    """
    if not _is_current(found):
        return ""
    told = (
        text for kind, status, _, text in _conditions(found) if (kind, status) == ("ReplicaFailure", "True")
    )
    return next(told, "")
