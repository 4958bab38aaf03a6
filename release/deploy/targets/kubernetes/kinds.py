"""Kinds of objects that this library makes or reads, as the client library knows them."""

from __future__ import annotations

from typing import Any, Final

from lightkube.core.resource import NamespacedResource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.batch_v1 import Job
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import ConfigMap, Secret, Service
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
}


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
