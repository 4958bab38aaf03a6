"""Deployments that kubectl, Helm or kustomize made, and how they are taken over."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Pod, Secret, Service

from release.deploy.core.adopted_image import AdoptedImage, describe_image
from release.deploy.core.adoption import Candidate, Reading
from release.deploy.core.image_location import Tell
from release.deploy.core.instance import Instance
from release.deploy.core.place import SERVICE
from release.deploy.core.rollout import RolloutContext
from release.deploy.core.steps import step
from release.deploy.targets.kubernetes import naming, ownership
from release.deploy.targets.kubernetes.faults import Forbidden
from release.deploy.targets.kubernetes.kinds import Document, meta_of, name_of
from release.deploy.targets.kubernetes.placed import PlacedWorkloads
from release.deploy.targets.kubernetes.pods import moment_text
from release.deploy.targets.kubernetes.workload_settings import read_workload
from release.errors import DeploymentFailed, EngineError
from release.records import Adoption
from release.reference import Digest, Reference, Repository

_MANAGER: Final = "release-adopt"
"""Field manager of the number of pods of an adopted Deployment."""
_PAUSE_SECONDS: Final = 0.5
_BEFORE: Final = "release.adopted"
"""Annotation of a stopped Deployment: the number of pods that it had."""


class KubernetesAdoptions(PlacedWorkloads, frozen=True, kw_only=True):
    """See `release.deploy.core.adoption.Adoptions`."""

    @property
    def kind(self) -> str:
        """Return "Deployment"."""
        return "Deployment"

    @property
    def stops_first(self) -> bool:
        """Return False: both Deployments can run side by side."""
        return False

    def candidates(self) -> Sequence[Candidate]:
        """Return the Deployments without our labels that want pods."""
        services = self.cluster.every(Service, {})
        found = [
            each for each in self.cluster.every(Deployment, {}) if not _is_ours(each) and _replicas(each)
        ]
        return [_candidate(each, services) for each in found]

    def read(self, candidate: Candidate) -> Reading:
        """Return image and settings of a Deployment."""
        found = self.cluster.get(Deployment, candidate.name)
        if found is None:
            raise EngineError(f"read the settings of {candidate.name}", "the Deployment was removed")
        document = found.to_dict()
        services = _services_of(document, self.cluster.every(Service, {}))
        written = read_workload(document, [each.to_dict() for each in services], self._texts)
        pods = self._pods(document)
        digests = {_digest(pod, document) for pod in pods}
        image = next(iter(digests)) if len(digests) == 1 else None
        named = Reference.parse(str(_container(document)["image"])).repository
        return Reading(
            image=image,
            references=_references(named, pods, image),
            platform=self._platform(pods),
            spec=written.spec,
            secrets=written.secrets,
            unexpressed=written.unexpressed,
            dropped=written.dropped,
            notes=tuple(self._notes(found, services)),
            trouble=self._trouble(document, pods),
        )

    def _texts(self, kind: str, name: str) -> Mapping[str, str] | None:
        """Return the texts of a ConfigMap or a Secret."""
        if kind == "ConfigMap":
            told = self.cluster.get(ConfigMap, name)
            return dict(told.data or {}) if told is not None else None
        found = self.cluster.get(Secret, name)
        if found is None:
            return None
        return {
            key: base64.b64decode(text).decode(errors="replace") for key, text in (found.data or {}).items()
        }

    def _platform(self, pods: Sequence[Pod]) -> str:
        """Return the platform of the nodes of these pods; empty if the account may not list nodes."""
        names = {pod.spec.nodeName for pod in pods if pod.spec is not None}
        with suppress(Forbidden):
            for node in self.cluster.nodes():
                info = node.status.nodeInfo if node.status is not None else None
                if info is not None and name_of(node) in names:
                    return f"{info.operatingSystem}/{info.architecture}"
        return ""

    def _notes(self, found: Deployment, services: Sequence[Service]) -> list[str]:
        own = naming.workload(self.place)
        notes = [
            f"the Service {name_of(each)} selects its pods, and none after the next deployment: point "
            f"Ingresses and clients to the Service {own}"
            for each in services
        ]
        if ownership.is_autoscaled(found.metadata):
            notes.append("an autoscaler sets its number of pods: point it to the new Deployment")
        return notes

    def _trouble(self, document: Document, pods: Sequence[Pod]) -> str:
        """Return why the Deployment cannot be taken over now; empty if it can."""
        own = naming.workload(self.place)
        if document["metadata"]["name"] == own:
            return (
                f"a deployment needs the name {own} itself, and the selector of a Deployment cannot be "
                "changed: give the environment or the service another name in the configuration"
            )
        return _sick(document, pods)

    def _pods(self, document: Document) -> list[Pod]:
        labels = document["spec"]["selector"].get("matchLabels") or {}
        pods, _ = self.cluster.pods.list(labels)
        return [pod for pod in pods if meta_of(pod).deletionTimestamp is None]

    def describe(self, reading: Reading, attempted: str, tell: Tell) -> AdoptedImage:
        """Return the image as a registry has it."""
        return describe_image(reading.references, reading.platform, None, attempted, tell)

    def instances(self, adopted: Adoption) -> Sequence[Instance]:
        """Return the pods of the Deployment."""
        found = self._same(adopted)
        if found is None or not _replicas(found):
            return ()
        document = found.to_dict()
        return tuple(
            _instance(adopted, slot, pod, document) for slot, pod in enumerate(self._pods(document), 1)
        )

    def _same(self, adopted: Adoption) -> Deployment | None:
        found = self.cluster.get(Deployment, adopted.name)
        return found if found is not None and meta_of(found).uid == adopted.id else None

    def exists(self, adopted: Adoption) -> bool:
        """Return whether the namespace has the same Deployment."""
        return self._same(adopted) is not None

    def stop(self, adopted: Adoption, context: RolloutContext) -> None:
        """Set the Deployment to 0 pods. An annotation keeps their number."""
        found = self._same(adopted)
        if found is None or not _replicas(found):
            return
        with step(context.emit, "stop") as say:
            self._scale(adopted, 0, {_BEFORE: str(_replicas(found))})
            say(f"{adopted}; it is kept with 0 pods")

    def _scale(self, adopted: Adoption, replicas: int, notes: Mapping[str, str]) -> None:
        self.cluster.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": adopted.name, "annotations": dict(notes)},
                "spec": {"replicas": replicas},
            },
            manager=_MANAGER,
            force=True,  # the operator agreed to the adoption
        )

    def start(self, adopted: Adoption, context: RolloutContext, timeout: int) -> str:
        """Give the Deployment its pods again, and wait until all are ready."""
        found = self._same(adopted)
        if found is None:
            raise EngineError(
                f"start {adopted}", "the Deployment was removed", "make it again with its program"
            )
        before = (meta_of(found).annotations or {}).get(_BEFORE)
        with step(context.emit, "restore") as say:
            if before is not None and not _replicas(found):
                self._scale(adopted, int(before), {})
            say(evidence := self._await_ready(adopted, timeout))
        return evidence

    def _await_ready(self, adopted: Adoption, timeout: int) -> str:
        deadline = self.clock.now() + timeout / 1000
        while True:
            found = self._same(adopted)
            ready = (found.status.readyReplicas or 0) if found is not None and found.status is not None else 0
            wanted = _replicas(found) if found is not None else 0
            if wanted and ready >= wanted:
                return f"{ready} of {wanted} pods are ready"
            if self.clock.now() > deadline:
                said = f"{ready} of {wanted} pods are ready after {timeout / 1000:g} s"
                raise DeploymentFailed(f"start {adopted}", said)
            self.clock.pause(_PAUSE_SECONDS)


def _is_ours(found: Deployment) -> bool:
    return SERVICE in (meta_of(found).labels or {})


def _replicas(found: Deployment) -> int:
    return (found.spec and found.spec.replicas) or 0


def _container(document: Document) -> Mapping[str, Any]:
    container: Mapping[str, Any] = document["spec"]["template"]["spec"]["containers"][0]
    return container


def _services_of(document: Document, services: Sequence[Service]) -> list[Service]:
    """Return the Services whose selector matches the pods of a Deployment."""
    labels = (document["spec"]["template"].get("metadata") or {}).get("labels") or {}
    return [
        each
        for each in services
        if each.spec is not None and each.spec.selector and each.spec.selector.items() <= labels.items()
    ]


def _candidate(found: Deployment, services: Sequence[Service]) -> Candidate:
    document = found.to_dict()
    mine = _services_of(document, services)
    ports = frozenset(port.port for each in mine for port in (each.spec.ports if each.spec else None) or ())
    return Candidate(
        id=meta_of(found).uid or "",
        name=name_of(found),
        image=str(_container(document).get("image") or ""),
        ports=ports,
        detail=", ".join(f"Service {name_of(each)}" for each in mine),
    )


def _status(pod: Pod, document: Document) -> Any:
    name = _container(document)["name"]
    every = (pod.status and pod.status.containerStatuses) or ()
    return next((each for each in every if each.name == name), None)


def _digest(pod: Pod, document: Document) -> Digest | None:
    told = _status(pod, document)
    text = told.imageID.rpartition("@")[2] if told is not None and told.imageID else ""
    return Digest(text) if text.startswith("sha256:") else None


def _references(named: Repository, pods: Sequence[Pod], image: Digest | None) -> tuple[Reference, ...]:
    return (named.at(image),) if image is not None and pods else ()


def _instance(adopted: Adoption, slot: int, pod: Pod, document: Document) -> Instance:
    told = _status(pod, document)
    is_running = told is not None and told.state is not None and told.state.running is not None
    return Instance(
        id=f"{adopted.id}.{slot}",
        name=name_of(pod),
        image=_digest(pod, document) or Digest.of(b""),
        status="running" if is_running else "starting",
        health="healthy" if told is not None and told.ready else "starting",
        restarts=told.restartCount if told is not None else 0,
        started_at=moment_text(meta_of(pod).creationTimestamp),
        labels={},
    )


def _sick(document: Document, pods: Sequence[Pod]) -> str:
    """Return why the pods do not serve; empty if they do."""
    count = len(document["spec"]["template"]["spec"]["containers"])
    if count > 1:
        return f"its pods have {count} containers, and a deployment makes pods of one"
    wanted = document["spec"].get("replicas") or 0
    ready = sum(bool(told is not None and told.ready) for told in (_status(pod, document) for pod in pods))
    return f"{ready} of {wanted} pods are ready" if ready < wanted else ""
