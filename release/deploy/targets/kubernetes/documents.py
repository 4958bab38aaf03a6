"""Documents that a rollout applies: Deployments, Services and disruption budgets. Pure: nothing is asked."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lightkube.models.apps_v1 import DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment
from lightkube.models.core_v1 import PodTemplateSpec, ServicePort, ServiceSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.models.policy_v1 import PodDisruptionBudgetSpec
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Secret, Service
from lightkube.resources.policy_v1 import PodDisruptionBudget

from release.deploy.core.place import DEPLOYMENT, PROCESS, SERVING, Place
from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.kinds import Document
from release.deploy.targets.kubernetes.manifests import own_documents
from release.deploy.targets.kubernetes.pod import KEY, is_replaced_first, pod_spec, port_names
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from release.targetspec import KubernetesSpec

OBJECTS: Final = "release.objects"
"""Annotation of a Deployment: the inventory of the deployment that applied it, as "name@sha256"."""
BEFORE: Final = "release.before"
"""Annotation of a Deployment: the inventory of what ran before; empty if nothing did."""
_HISTORY: Final = 3


def documents(order: RolloutRequest) -> list[Document]:
    """Return the documents of the order, in the order of application."""
    cluster = order.spec.kubernetes
    if cluster is not None and cluster.documents is not None:
        return own_documents(order, cluster.documents)
    found = list[Document]()
    for process, spec in order.spec.every.items():
        place = order.place.at(process) if process else order.place
        found += _service(order, place, spec)
        found += _budget(order, place, spec)
        found.append(_deployment(order, place, spec, exclusive=process in order.spec.exclusive))
    return found


def workloads(written: Sequence[Document]) -> list[Document]:
    """Return the Deployments among these documents."""
    return [each for each in written if each["kind"] == "Deployment"]


def _meta(order: RolloutRequest, place: Place) -> ObjectMeta:
    labels, notes = naming.split(place.labels(SERVING) | order.identity.labels())
    return ObjectMeta(
        name=naming.workload(place),
        labels=labels | {PROCESS: place.process} | naming.OURS,
        annotations=notes,
    )


def _deployment(order: RolloutRequest, place: Place, spec: RunSpec, *, exclusive: bool) -> Document:
    cluster = spec.kubernetes or KubernetesSpec()
    meta = _meta(order, place)
    template = ObjectMeta(
        labels=dict(meta.labels or {}), annotations=dict(spec.labels) | (meta.annotations or {})
    )
    rolling = DeploymentStrategy(
        type="RollingUpdate",
        rollingUpdate=RollingUpdateDeployment(
            maxSurge=cluster.max_surge, maxUnavailable=cluster.max_unavailable
        ),
    )
    first = is_replaced_first(spec, exclusive=exclusive)
    return Deployment(
        metadata=meta,
        spec=DeploymentSpec(
            replicas=spec.replicas,
            revisionHistoryLimit=_HISTORY,
            progressDeadlineSeconds=deadline(order, place.process),
            selector=LabelSelector(matchLabels=naming.pod_selector(place, SERVING)),
            strategy=DeploymentStrategy(type="Recreate") if first else rolling,
            template=PodTemplateSpec(metadata=template, spec=pod_spec(place, order.image, spec)),
        ),
    ).to_dict()


def deadline(order: RolloutRequest, process: str) -> int:
    """Return the seconds without progress after which a rollout counts as failed."""
    return max(1, -(-order.health_timeouts.get(process, order.health_timeout) // 1000))


def _service(order: RolloutRequest, place: Place, spec: RunSpec) -> Iterator[Document]:
    if not spec.publish:
        return
    ports = [
        ServicePort(
            name=f"{port.protocol}-{port.host}",
            port=port.host,
            targetPort=port_names(spec).get((port.container, port.protocol), port.container),
            protocol=port.protocol.upper(),
        )
        for port in spec.publish
    ]
    kind = (spec.kubernetes or KubernetesSpec()).service_type
    chosen = naming.pod_selector(place, SERVING)
    written = ServiceSpec(type=kind, ports=ports, selector=chosen)
    yield Service(metadata=_meta(order, place), spec=written).to_dict()


def _budget(order: RolloutRequest, place: Place, spec: RunSpec) -> Iterator[Document]:
    if spec.replicas > 1:
        chosen = LabelSelector(matchLabels=naming.pod_selector(place, SERVING))
        written = PodDisruptionBudgetSpec(maxUnavailable=1, selector=chosen)
        yield PodDisruptionBudget(metadata=_meta(order, place), spec=written).to_dict()


def _sealed_meta(place: Place, role: str, name: str) -> ObjectMeta:
    labels, notes = naming.split(place.labels(role))
    return ObjectMeta(name=name, labels=labels, annotations=notes or None)


def secret(place: Place, name: str, fingerprint: str, value: Redacted) -> Secret:
    """Return an immutable Secret. Another value has another Secret."""
    return Secret(
        metadata=_sealed_meta(place, naming.SECRET, naming.secret_name(place, name, fingerprint)),
        data={KEY: base64.b64encode(value.reveal().encode()).decode()},
        immutable=True,
        type="Opaque",
    )


def file(place: Place, path: str, sha256: str, content: str) -> ConfigMap:
    """Return an immutable ConfigMap of a file."""
    meta = _sealed_meta(place, naming.FILE, naming.file_name(place, path, sha256))
    return ConfigMap(metadata=meta, data={KEY: content}, immutable=True)


def inventory(place: Place, deployment: str, written: Sequence[Document]) -> ConfigMap:
    """Return the ConfigMap with all documents of a deployment, so that they can be applied again."""
    content = json.dumps(list(written), sort_keys=True, separators=(",", ":"))
    meta = _sealed_meta(place, naming.BEFORE, naming.inventory_name(place, _sha256(content)))
    meta.labels = {**(meta.labels or {}), DEPLOYMENT: deployment}
    return ConfigMap(metadata=meta, data={KEY: content}, immutable=True)


def reference_to(name: str, content: str) -> str:
    """Return the name of an inventory and the hash of its content."""
    return f"{name}@{_sha256(content)}"


def marked(written: Document, own: str, before: str) -> Document:
    """Return a Deployment with references to its own inventory and to the one before."""
    meta = written["metadata"]
    notes = {**(meta.get("annotations") or {}), OBJECTS: own, BEFORE: before}
    return {**written, "metadata": {**meta, "annotations": notes}}


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def texts_of(metadata: ObjectMeta | None) -> Mapping[str, str]:
    """Return our labels and annotations as one mapping."""
    if metadata is None:
        return {}
    both = {**(metadata.annotations or {}), **(metadata.labels or {})}
    return {key: value for key, value in both.items() if key.startswith("release.")}
