"""The pods of a place: what runs, and how it differs from what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from lightkube.resources.apps_v1 import Deployment as Workloads

from release.deploy.core.fingerprints import FingerprintKey
from release.deploy.core.instance import Difference, Instance, InstanceSet, Placed, Report
from release.deploy.core.place import DEPLOYMENT, DIGEST, REPLICA, VERSION, Identity
from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.kubernetes import naming, ownership
from release.deploy.targets.kubernetes.compared import differing, leaves
from release.deploy.targets.kubernetes.documents import documents, texts_of, workloads
from release.deploy.targets.kubernetes.kinds import Document, key_of, kind_of, meta_of
from release.deploy.targets.kubernetes.placed import PlacedWorkloads, Workload
from release.deploy.targets.kubernetes.pods import PodState, moment_text
from release.records import Deployment, Release
from release.reference import Digest
from release.secrets.redact import Redacted

_UNNAMED = "sha256:" + "0" * 64
_NO_SETTINGS: Final = {"apiVersion", "kind", "metadata", "status"}
"""Parts of an object that a team does not set, or that are compared by other means."""


class KubernetesInstances(PlacedWorkloads, frozen=True, kw_only=True):
    """See `release.deploy.core.target.Instances`."""

    @property
    def inherit_labels(self) -> bool:
        """Return False: a Deployment inherits no labels of its image."""
        return False

    @property
    def clock_ahead(self) -> int:
        """Return the milliseconds that the API server's clock is ahead."""
        return self.cluster.clock_ahead

    def look(self) -> InstanceSet:
        """Return an instance for each wanted pod. A Deployment without pods is stopped."""
        found = self.workloads()
        running = [each for one in found if one.replicas for each in _instances(one)]
        stopped = [_stopped(one) for one in found if not one.replicas]
        scaled = {one.process: one.replicas for one in found if ownership.is_autoscaled(one.found.metadata)}
        return InstanceSet(running=tuple(running), stopped=tuple(stopped), scaled=scaled)

    def stranger(self) -> Instance | None:
        """Return a Deployment with our name that no deployment made."""
        name = naming.workload(self.place)
        found = self.cluster.get(Workloads, name)
        if found is None:
            return None
        one = Workload(found=found, pods=())
        return None if one.deployment else _stopped(one)

    def report(self) -> Report | None:
        """Return the pods as a report; None if the place has none."""
        found = self.workloads()
        if not found:
            return None
        tasks = tuple(_placed(pod) for one in found for pod in one.pods)
        ended = tuple(f"{pod}: {pod.trouble}" for one in found for pod in one.pods if pod.trouble)
        unfinished = next((one.name for one in found if _is_rolling(one)), None)
        update = f"{unfinished} is being replaced" if unfinished is not None else None
        return Report(tasks=tasks, update=update, ended=ended)

    def drift(
        self,
        deployment: Deployment,
        release: Release | None,
        instances: Iterable[Instance],  # noqa: ARG002 - their Deployments are compared
        key: FingerprintKey | None,  # noqa: ARG002 - names of secrets have their fingerprints
    ) -> Iterator[Difference]:
        """Compare each object with the record, and name who changed each field."""
        if release is None:
            return
        recorded = documents(self._recorded(deployment, release))
        wanted = {each["metadata"]["name"]: each for each in workloads(recorded)}
        for one in self.workloads():
            if one.deployment != deployment.deployment:
                continue
            if one.name not in wanted:
                yield Difference(name=one.name, setting="processes", found="is not recorded, but it runs")
                continue
            yield from _changed(one, wanted[one.name])
        for document in recorded if deployment.adopted is None else ():
            if document["kind"] != "Deployment":
                yield from self._changed_object(document, deployment.deployment)

    def _changed_object(self, document: Document, deployment: str) -> Iterator[Difference]:
        """Compare a Service, a disruption budget or an object of the manifests with the record."""
        kind, name = key_of(document)
        found = self.cluster.get(kind_of(document), name)
        if found is None:
            yield Difference(name=f"{kind} {name}", setting="the object", found="is missing: it was removed")
            return
        meta = meta_of(found)
        if texts_of(meta).get(DEPLOYMENT) != deployment:
            return
        there = found.to_dict()  # type: ignore[attr-defined]
        for part in document.keys() - _NO_SETTINGS:
            for path, ours, now in differing(document[part], there.get(part), (part,)):
                by = f" (changed by {manager})" if (manager := ownership.manager_of(meta, path)) else ""
                words = f"is {_shown(now)}, but {ours!r} was applied{by}"
                yield Difference(name=f"{kind} {name}", setting=ownership.written(path), found=words)

    def _recorded(self, deployment: Deployment, release: Release) -> RolloutRequest:
        return RolloutRequest(
            place=self.place,
            identity=Identity(
                deployment=deployment.deployment,
                version=release.version,
                commit=release.source.commit,
                digest=Digest(release.image.digest),
                record=deployment.release,
            ),
            image=release.image,
            spec=deployment.run_spec,
            secrets={},
            before=InstanceSet(running=(), stopped=()),
            old=None,
            health_timeout=0,
        )

    def secrets(self, instance: Instance, names: Iterable[str]) -> Iterator[Redacted]:  # noqa: ARG002
        """Return nothing: output is masked with the operator's values."""
        return iter(())


def _changed(one: Workload, wanted: dict[str, Any]) -> Iterator[Difference]:
    found = one.found.to_dict()["spec"]
    applied = dict(wanted["spec"])
    applied.pop("progressDeadlineSeconds", None)  # a time limit of the command, no recorded setting
    if ownership.is_autoscaled(one.found.metadata) or _is_stopped_by_us(one):
        applied.pop("replicas", None)
    told = {ownership.written(path) for path in leaves(applied, ("spec",))}
    for path, ours, now in differing(applied, found, ("spec",)):
        setting = ownership.written(path)
        manager = ownership.manager_of(one.found.metadata, path)
        by = f" (changed by {manager})" if manager else ""
        words = f"is {_shown(now)}, but {ours!r} was applied{by}"
        yield Difference(name=one.name, setting=setting, found=words)
    for text in ownership.added_by_others(one.found.metadata):
        setting, _, who = text.partition(" is managed by ")
        if setting not in told:
            yield Difference(name=one.name, setting=setting, found=f"was added by {who}")


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)


def _is_stopped_by_us(one: Workload) -> bool:
    """Return whether `invoke stop` set the number of pods to 0, which is no drift."""
    return not one.replicas and not ownership.manager_of(one.found.metadata, ownership.REPLICAS)


def _instances(one: Workload) -> Iterator[Instance]:
    """Return an instance for each wanted pod, pods of the current spec first. Others are missing."""
    ordered = sorted(one.pods, key=lambda pod: pod.deployment != one.deployment)
    for slot, identity in enumerate(one.identities):
        pod = ordered[slot] if slot < len(ordered) else None
        yield _instance(one, identity, slot + 1, pod)


def _instance(one: Workload, identity: str, slot: int, pod: PodState | None) -> Instance:
    texts = one.texts | (pod.labels if pod is not None else {}) | {REPLICA: str(slot)}
    digest = pod.digest if pod is not None and pod.digest is not None else None
    meta = meta_of(one.found)
    return Instance(
        id=identity,
        name=pod.name if pod is not None else f"{one.name}.{slot}",
        image=digest or Digest(texts.get(DIGEST, _UNNAMED)),
        status=pod.state if pod is not None else "missing",
        health=pod.health if pod is not None else "none",
        restarts=pod.restarts if pod is not None else 0,
        started_at=pod.created_at if pod is not None else moment_text(meta.creationTimestamp),
        labels=texts,
        process=one.process,
    )


def _stopped(one: Workload) -> Instance:
    meta = meta_of(one.found)
    return Instance(
        id=meta.uid or one.name,
        name=one.name,
        image=Digest(one.texts.get(DIGEST, _UNNAMED)),
        status="exited",
        health="none",
        restarts=0,
        started_at=moment_text(meta.creationTimestamp),
        labels=one.texts,
        process=one.process,
    )


def _placed(pod: PodState) -> Placed:
    return Placed(
        name=pod.name,
        node=pod.node,
        answers=True,
        version=pod.labels.get(VERSION),
        state=pod.state if pod.is_ready or pod.state != "running" else "running, not ready",
        error="" if pod.restarts else pod.trouble,
        ended=pod.restarts,
        last=pod.trouble if pod.restarts else "",
    )


def _is_rolling(one: Workload) -> bool:
    status, meta = one.found.status, one.found.metadata
    if status is None or meta is None:
        return True
    return (status.observedGeneration or 0) < (meta.generation or 0) or (
        status.updatedReplicas or 0
    ) < one.replicas
