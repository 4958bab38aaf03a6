"""Kinds of objects that this library makes or reads, as the client library knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lightkube.core.resource import NamespacedResource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.resources.batch_v1 import Job
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import ConfigMap, Secret, Service, ServiceAccount
from lightkube.resources.networking_v1 import Ingress, NetworkPolicy
from lightkube.resources.policy_v1 import PodDisruptionBudget

Document = dict[str, Any]
"""An object as JSON."""

KINDS: Final[dict[str, type[NamespacedResource]]] = {
    "Deployment": Deployment,
    "Service": Service,
    "PodDisruptionBudget": PodDisruptionBudget,
    "ConfigMap": ConfigMap,
    "Secret": Secret,
    "Lease": Lease,
    "Job": Job,
    "ServiceAccount": ServiceAccount,
    "Ingress": Ingress,
    "NetworkPolicy": NetworkPolicy,
    "HorizontalPodAutoscaler": HorizontalPodAutoscaler,
}

MANIFESTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "ServiceAccount": ("v1", "", "serviceaccounts"),
    "ConfigMap": ("v1", "", "configmaps"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networking.k8s.io", "networkpolicies"),
    "Service": ("v1", "", "services"),
    "PodDisruptionBudget": ("policy/v1", "policy", "poddisruptionbudgets"),
    "Deployment": ("apps/v1", "apps", "deployments"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "autoscaling", "horizontalpodautoscalers"),
    "Ingress": ("networking.k8s.io/v1", "networking.k8s.io", "ingresses"),
}
"""Kinds that manifests may have, in the order of application: API version, group and resource of each."""


def kind_of(document: Document) -> type[NamespacedResource]:
    """Return the class of a document. Raises KeyError if we write no such kind."""
    return KINDS[str(document["kind"])]


def label(kind: type[Any]) -> str:
    """Return the kind's name for messages."""
    return kind.__name__


def meta_of(found: object) -> ObjectMeta:
    """Return the metadata of an object that the client library read."""
    given = getattr(found, "metadata", None)
    return given if isinstance(given, ObjectMeta) else ObjectMeta()


def name_of(found: object) -> str:
    """Return the name of an object that the client library read."""
    return meta_of(found).name or ""


def key_of(document: Document) -> tuple[str, str]:
    """Return kind and name."""
    return str(document["kind"]), str(document["metadata"]["name"])
