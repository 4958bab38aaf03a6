"""Secrets, files and inventories: objects that never change and are named by their content.

A name is a claim: whoever may write to the namespace can take it first. So an object that is there already
is read and compared; one with another content is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lightkube.resources.core_v1 import ConfigMap, Secret

from release.deploy.core.place import Place
from release.deploy.targets.kubernetes import documents
from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.kinds import KINDS, Document, name_of
from release.deploy.targets.kubernetes.pod import KEY
from release.errors import EngineError, NameTaken
from release.parsing import jsontext
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from release.values import Struct

_BOUNDS: Final = jsontext.Bounds(size=1024 * 1024)
"""A ConfigMap has at most 1 MiB."""


class Sealed(Struct, frozen=True, kw_only=True):
    """Immutable objects of a place. Every method raises EngineError."""

    cluster: Cluster
    place: Place

    def write(self, secrets: Mapping[str, Redacted], specs: Sequence[RunSpec]) -> None:
        """Create the secrets and files of these settings that are missing."""
        for name, value in secrets.items():
            for mark in {spec.secrets[name] for spec in specs if name in spec.secrets}:
                self._made(documents.secret(self.place, name, mark, value))
        for spec in specs:
            for path, file in (spec.files or {}).items():
                self._made(documents.file(self.place, path, file.sha256, file.content))

    def _made(self, made: Secret | ConfigMap) -> None:
        """Create the object. An existing one with the same name and content is accepted."""
        name = name_of(made)
        try:
            self.cluster.create(made)
        except NameTaken as error:
            there = self.cluster.get(type(made), name)
            if there is None or there.data != made.data or not there.immutable:
                raise self._foreign(type(made).__name__.lower(), name) from error

    def keep(self, deployment: str, written: list[Document]) -> str:
        """Store all documents of a deployment; return the reference for its Deployments."""
        made = documents.inventory(self.place, deployment, written)
        self._made(made)
        name = name_of(made)
        return documents.reference_to(name, (made.data or {})[KEY])

    def kept(self, reference: str) -> list[Document]:
        """Return the documents of an inventory, checked by the hash in its reference."""
        name, _, _ = reference.partition("@")
        attempted = f"read what ran before from the configmap {name}"
        hint = "restore the last healthy release: invoke rollback"
        found = self.cluster.get(ConfigMap, name)
        if found is None:
            raise EngineError(attempted, "it is missing", hint)
        content = (found.data or {}).get(KEY, "")
        if documents.reference_to(name, content) != reference:
            raise EngineError(attempted, "its content is not the one that was kept", hint)
        try:
            return _documents(content)
        except ValueError as error:
            raise EngineError(attempted, str(error), hint) from error

    def _foreign(self, kind: str, name: str) -> EngineError:
        return EngineError(
            f"create the {kind} {name}",
            "one of that name exists with another content, so no deployment made it",
            f"find out who made it, then remove it: kubectl -n {self.cluster.namespace} delete {kind} {name}",
        )


def _documents(content: str) -> list[Document]:
    found = jsontext.read(content, _BOUNDS)
    if not isinstance(found, list) or not all(_is_document(each) for each in found):
        raise ValueError("it is not a list of objects that this library applies")
    return found


def _is_document(each: object) -> bool:
    return (
        isinstance(each, dict)
        and each.get("kind") in KINDS
        and isinstance(each.get("metadata"), dict)
        and isinstance(each["metadata"].get("name"), str)
    )


def names_in(written: list[Document]) -> set[str]:
    """Return the names of the Secrets and ConfigMaps that the pods of these documents use."""
    pods = [each["spec"]["template"]["spec"] for each in written if each["kind"] == "Deployment"]
    return {name for pod in pods for name in _names(pod) if name}


def _names(pod: dict[str, Any]) -> Iterator[str | None]:
    for volume in pod.get("volumes") or ():
        yield (volume.get("secret") or {}).get("secretName")
        yield (volume.get("configMap") or {}).get("name")
    for variable in (each for one in pod["containers"] for each in one.get("env") or ()):
        yield ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
