"""The team's own manifests as documents of a deployment: checked, and with the released image. Pure."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from release.deploy.core.image_location import image_reference
from release.deploy.core.place import PROCESS, SERVING
from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.foreign_probes import read_probes
from release.deploy.targets.kubernetes.kinds import MANIFESTS, Document, key_of
from release.parsing.jsontext import read
from release.records import Image
from release.reference import Reference
from release.runspec import ProcessSpec, RunSpec
from release.secrets.detection import recognised_secret, secret_suspicion
from release.targetspec import KubernetesSpec

CONTAINER_OF: Final = "release.container"
"""Annotation of a pod: name of the container with the released image."""
_ELSEWHERE: Final = "[]"
"""Documents of a single process: those of the environment have it. It shows that manifests describe it."""
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
"""Key of a ConfigMap that pods get as a variable; other keys are names of files."""
_CLUSTER: Final = frozenset(
    {
        *("Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PersistentVolume"),
        *("StorageClass", "IngressClass", "PriorityClass", "Node", "APIService"),
        *("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"),
    }
)
"""Kinds that belong to no namespace."""
_INSTEAD: Final[Mapping[str, str]] = {
    "Secret": "a record must not hold its value: create it in the cluster, and name it in the manifests",
    "Job": "a hook of the configuration can start it with `kubectl create`",
    "StatefulSet": "a deployment follows only Deployments",
    "DaemonSet": "a deployment follows only Deployments",
    "Pod": "make it a Deployment",
}


def problems_of(found: Sequence[Document], image: Image, namespace: str) -> list[str]:
    """Return why objects cannot be deployed, each with its kind and name; empty if they can."""
    problems = [problem for each in found for problem in _wrong(each, namespace)]
    if problems:
        return problems
    twice = [key for key in map(key_of, found) if list(map(key_of, found)).count(key) > 1]
    problems = [f"{' '.join(key)} comes twice" for key in dict.fromkeys(twice)]
    deployments = [each for each in found if each["kind"] == "Deployment"]
    if not any(_released(each, image) for each in deployments):
        named = sorted({text for each in deployments for text in _images(each)})
        problems.append(
            f"no Deployment names an image of {image.repository}, so nothing would be released; named: "
            f"{', '.join(named) or 'none'}"
        )
        return problems
    return [*problems, *(problem for each in deployments for problem in _wrong_deployment(each, image))]


def _wrong(document: Document, namespace: str) -> Iterator[str]:
    kind, meta = str(document.get("kind")), document.get("metadata")
    name = meta.get("name") if isinstance(meta, dict) else None
    called = f"{kind} {name}"
    if not isinstance(name, str) or not isinstance(meta, dict):
        yield f"an object of kind {kind} has no metadata.name"
        return
    if kind in _CLUSTER:
        yield f"{called} belongs to no namespace: ask an administrator of the cluster to apply it"
    elif kind not in MANIFESTS or MANIFESTS[kind][0] != document.get("apiVersion"):
        known = ", ".join(f"{name} ({version})" for name, (version, _, _) in MANIFESTS.items())
        instead = _INSTEAD.get(kind, f"a deployment applies {known}")
        yield f"{called} ({document.get('apiVersion')}) is not applied: {instead}"
    elif not _NAME.fullmatch(name):
        yield f"{called}: names have at most 63 small letters, digits, - and ."
    if meta.get("namespace") not in (None, namespace):
        yield f"{called} is for the namespace {meta['namespace']}, but the environment is {namespace}"
    if kind == "ConfigMap":
        for key, text in (document.get("data") or {}).items():
            is_variable = _VARIABLE.fullmatch(key) is not None
            why = secret_suspicion(key, str(text)) if is_variable else recognised_secret(str(text))
            if why is not None and text:
                yield f"{called}: {key} looks like a secret ({why}), and records hold it: use a Secret"


def _wrong_deployment(document: Document, image: Image) -> Iterator[str]:
    called, containers = f"Deployment {key_of(document)[1]}", _containers(document)
    if not _released(document, image):
        yield f"{called} runs no image of {image.repository}: deploy it by itself"
    elif len(containers) > 1:
        yield f"{called} has {len(containers)} containers in each pod: a deployment proves pods of one"
    pod = ((document.get("spec") or {}).get("template") or {}).get("spec") or {}
    for key, value in (
        ("spec.replicas", document["spec"].get("replicas")),
        ("terminationGracePeriodSeconds", pod.get("terminationGracePeriodSeconds")),
    ):
        if value is not None and (type(value) is not int or value < 0):
            yield f"{called}: {key} is {value!r}, not a whole number"
    for variable in (each for one in _all_containers(document) for each in one.get("env") or ()):
        why = secret_suspicion(str(variable.get("name")), str(variable.get("value") or ""))
        if why is not None and variable.get("value"):
            yield (
                f"{called}: the variable {variable['name']} looks like a secret ({why}), and records hold "
                "it: use secretKeyRef"
            )


def _containers(document: Document) -> list[dict[str, Any]]:
    try:
        return list(document["spec"]["template"]["spec"]["containers"])
    except (KeyError, TypeError):
        return []


def _all_containers(document: Document) -> list[dict[str, Any]]:
    """Return the containers and the init containers of a Deployment's pods."""
    if not (containers := _containers(document)):
        return []
    return [*containers, *(document["spec"]["template"]["spec"].get("initContainers") or ())]


def _images(document: Document) -> list[str]:
    return [str(each.get("image")) for each in _containers(document)]


def _released(document: Document, image: Image) -> bool:
    return any(_is_of(text, image) for text in _images(document))


def _is_of(text: str, image: Image) -> bool:
    """Return whether a container's image is one of the service's repository, whatever its tag."""
    try:
        return str(Reference.parse(text).repository) == image.repository
    except ValueError:
        return False


def settings_of(found: Sequence[Document], image: Image, spec: RunSpec) -> RunSpec:
    """Return the settings to record: documents with the released image, and a process for each Deployment.

    Args:
        found: objects without problems.
        image: the released image.
        spec: today's settings, of which only those of the deployment are kept.
    """
    written = [_with_image(each, image) for each in sorted(found, key=_order)]
    kept = RunSpec(watch=spec.watch, kubernetes=KubernetesSpec(documents=_as_text(written)))
    processes = [_process(each, spec) for each in written if each["kind"] == "Deployment"]
    return kept.model_copy(update={"processes": tuple(processes)})


def _order(document: Document) -> int:
    return list(MANIFESTS).index(document["kind"])


def _as_text(written: Sequence[Document]) -> str:
    """Return the documents as JSON text. YAML knows times, which the API has only as text."""
    return json.dumps(list(written), sort_keys=True, separators=(",", ":"), default=str)


def _with_image(document: Document, image: Image) -> Document:
    made = copy.deepcopy(document)
    made["metadata"].pop("namespace", None)
    made.pop("status", None)
    for container in _all_containers(made) if made["kind"] == "Deployment" else ():
        if _is_of(str(container.get("image")), image):
            container["image"] = str(image_reference(image))
    return made


def _process(document: Document, spec: RunSpec) -> ProcessSpec:
    """Return number of pods, time to stop, and the request that proves a Deployment."""
    (container,) = _containers(document)
    pod = document["spec"]["template"]["spec"]
    replicas = document["spec"].get("replicas")
    settings = RunSpec(
        watch=spec.watch,
        replicas=1 if replicas is None else replicas,
        stop_grace=(pod.get("terminationGracePeriodSeconds") or 30) * 1000,
        probe=read_probes(container).settings.get("probe"),
        kubernetes=KubernetesSpec(documents=_ELSEWHERE),
    )
    return ProcessSpec(name=key_of(document)[1], settings=settings)


def own_documents(order: RolloutRequest, text: str) -> list[Document]:
    """Return recorded documents with the labels and annotations of a deployment."""
    return [_marked(order, each) for each in read(text)]


def _marked(order: RolloutRequest, document: Document) -> Document:
    made = copy.deepcopy(document)
    name = key_of(document)[1]
    labels, notes = naming.split(order.place.at(name).labels(SERVING) | order.identity.labels())
    labels |= {PROCESS: name} | naming.OURS
    _mark(made["metadata"], labels, notes)
    if document["kind"] == "Deployment":
        template = made["spec"]["template"]
        (container,) = _containers(made)
        _mark(template.setdefault("metadata", {}), labels, notes | {CONTAINER_OF: container["name"]})
    return made


def _mark(meta: dict[str, Any], labels: Mapping[str, str], notes: Mapping[str, str]) -> None:
    meta["labels"] = {**(meta.get("labels") or {}), **labels}
    meta["annotations"] = {**(meta.get("annotations") or {}), **notes}


def is_described(spec: RunSpec) -> bool:
    """Return whether manifests describe the objects of these settings, or of this process."""
    return spec.kubernetes is not None and spec.kubernetes.documents is not None


def kinds_of(*specs: RunSpec | None) -> set[str]:
    """Return the kinds of objects in the recorded documents of these settings."""
    texts = [spec.kubernetes.documents for spec in specs if spec is not None and spec.kubernetes is not None]
    return {str(each["kind"]) for text in texts if text is not None for each in read(text)}
