"""Pods as this library sees them: what each runs, and the real reason of one that does not serve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from lightkube.models.core_v1 import ContainerStatus
from lightkube.resources.core_v1 import Pod

from release.deploy.core.place import DEPLOYMENT, process_of
from release.deploy.targets.kubernetes.documents import texts_of
from release.deploy.targets.kubernetes.manifests import CONTAINER_OF
from release.deploy.targets.kubernetes.pod import CONTAINER
from release.images.values import Health
from release.reference import Digest
from release.values import Struct

_HOMELESS: Final = ("False", "Unschedulable")
_FATAL: Final = frozenset(
    {
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
    }
)
"""Reasons of a waiting container that do not pass by themselves (kubelet: images, kuberuntime)."""


class PodState(Struct, frozen=True, kw_only=True):
    """A pod that is not being deleted."""

    name: str
    uid: str
    process: str
    deployment: str
    labels: dict[str, str]
    node: str
    created_at: str
    is_ready: bool
    state: str
    """running, or the cluster's word."""
    restarts: int
    digest: Digest | None
    """Digest of the running image; None if nothing runs yet."""
    trouble: str = ""
    """Reason why the pod does not serve, by the cluster; empty if it serves or only needs time."""
    exit_code: int | None = None
    """Exit status of a container that has ended and is not started again."""
    has_log: bool = False
    """True: its container wrote something that may tell why."""
    is_unschedulable: bool = False

    @property
    def health(self) -> Health:
        """Return the health in the words of containers."""
        return "healthy" if self.is_ready else "starting"

    def __str__(self) -> str:
        """Return the pod as text."""
        return f"{self.name}{f' on {self.node}' if self.node else ''}"


def pod_states(pods: Sequence[Pod]) -> list[PodState]:
    """Return the pods that are not being deleted, oldest first."""
    alive = [pod for pod in pods if pod.metadata is not None and pod.metadata.deletionTimestamp is None]
    return sorted(map(state_of, alive), key=lambda each: (each.created_at, each.name))


def state_of(pod: Pod) -> PodState:
    """Return the state of a pod."""
    meta, status = pod.metadata, pod.status
    assert meta is not None  # noqa: S101 - the API server writes it
    own = texts_of(meta).get(CONTAINER_OF, CONTAINER)
    found = [each for each in (status and status.containerStatuses) or () if each.name == own]
    container = found[0] if found else None
    conditions = {each.type: each for each in (status and status.conditions) or ()}
    ready, scheduled = conditions.get("Ready"), conditions.get("PodScheduled")
    is_homeless = (
        scheduled is not None and scheduled.status == "False" and scheduled.reason == "Unschedulable"
    )
    trouble = next(_troubles(pod, container), "")
    if is_homeless and scheduled is not None:
        trouble = f"cannot be scheduled: {scheduled.message}"
    labels = dict(texts_of(meta))
    return PodState(
        name=meta.name or "",
        uid=meta.uid or "",
        process=process_of(labels),
        deployment=labels.get(DEPLOYMENT, ""),
        labels=labels,
        node=(pod.spec and pod.spec.nodeName) or "",
        created_at=moment_text(meta.creationTimestamp),
        is_ready=ready is not None and ready.status == "True",
        state=_state(pod, container),
        restarts=container.restartCount if container is not None else 0,
        digest=_digest(container),
        exit_code=_exit_code(container),
        trouble=trouble,
        has_log=container is not None and bool(container.restartCount or _ended(container)),
        is_unschedulable=is_homeless,
    )


def _troubles(pod: Pod, container: ContainerStatus | None) -> Iterator[str]:
    status = pod.status
    if status is not None and status.phase == "Failed":
        yield f"{status.reason or 'failed'}: {status.message or 'the cluster gives no reason'}"
    if container is None or container.state is None:
        return
    ended = _ended(container)
    if ended:
        yield ended
    waiting = container.state.waiting
    if waiting is not None and waiting.reason in _FATAL:
        yield f"{waiting.reason}: {waiting.message or 'the cluster gives no reason'}"


def _ended(container: ContainerStatus) -> str:
    """Return how the pod's container ended by itself the last time."""
    for state in (container.state, container.lastState):
        ended = state.terminated if state is not None else None
        if ended is not None:
            again = (
                f", and was started again {container.restartCount} times" if container.restartCount else ""
            )
            kind = (
                "was killed because of its memory limit (OOMKilled)"
                if ended.reason == "OOMKilled"
                else "ended"
            )
            return f"its process {kind} with status {ended.exitCode}{again}"
    return ""


def _exit_code(container: ContainerStatus | None) -> int | None:
    state = container.state if container is not None else None
    return state.terminated.exitCode if state is not None and state.terminated is not None else None


def _state(pod: Pod, container: ContainerStatus | None) -> str:
    state = container.state if container is not None else None
    if state is not None and state.running is not None:
        return "running"
    if state is not None and state.waiting is not None:
        return state.waiting.reason or "waiting"
    if state is not None and state.terminated is not None:
        return state.terminated.reason or "terminated"
    return ((pod.status and pod.status.phase) or "unknown").lower()


def _digest(container: ContainerStatus | None) -> Digest | None:
    """Return the digest after `@` in imageID. Kubelets write a registry or a scheme before it."""
    text = container.imageID if container is not None else ""
    try:
        return Digest(text.rpartition("@")[2]) if text else None
    except ValueError:
        return None


def moment_text(given: datetime | None) -> str:
    """Return a time of the API as text, in UTC; empty if it has none."""
    return given.astimezone(UTC).isoformat().replace("+00:00", "Z") if given is not None else ""
