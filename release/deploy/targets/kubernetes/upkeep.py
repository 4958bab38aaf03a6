"""Upkeep of a namespace: its API server and nodes, and secrets, files and inventories that nothing needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Literal

from lightkube.resources.core_v1 import ConfigMap, Secret

from release.deploy.core.finding import Finding, finding
from release.deploy.core.instance import Instance
from release.deploy.core.place import DEPLOYMENT
from release.deploy.core.upkeep import ImageStore, Needs, Unneeded
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.documents import BEFORE, OBJECTS, texts_of
from release.deploy.targets.kubernetes.faults import Forbidden
from release.deploy.targets.kubernetes.kinds import name_of
from release.deploy.targets.kubernetes.placed import PlacedWorkloads
from release.deploy.targets.kubernetes.preflight import Preflight
from release.deploy.targets.kubernetes.sealed import Sealed, names_in
from release.errors import EngineError
from release.events import Emit
from release.images.engine import StoredImage
from release.reference import Digest, Repository
from release.runspec import RunSpec
from release.values import Struct

_ROLES: tuple[tuple[Literal["secrets", "configs"], type[Secret | ConfigMap], str], ...] = (
    ("secrets", Secret, naming.SECRET),
    ("configs", ConfigMap, naming.FILE),
    ("configs", ConfigMap, naming.BEFORE),
)


class NoStore(Struct, frozen=True, kw_only=True):
    """The images of nodes: kubelets remove what is unused. See `release.deploy.core.upkeep.ImageStore`."""

    host: str
    node: str = ""
    names_by_manifest: bool = True

    def images(self, repository: Repository | None) -> Sequence[StoredImage]:  # noqa: ARG002 - the protocol's
        """Return no images: none can be removed from here."""
        return ()

    def used(self) -> Mapping[Digest, str]:
        """Return no images."""
        return {}

    def untag(self, name: str) -> None:
        """Raise EngineError: there is no image."""
        raise ValueError(f"a cluster has no image {name}")


class KubernetesUpkeep(PlacedWorkloads, frozen=True, kw_only=True):
    """See `release.deploy.core.target.Upkeep`."""

    def machine_findings(self, name: str) -> Iterator[Finding]:
        """Return findings on the API server, its clock and the account's permissions."""
        yield finding(f"{name}: cluster", self._permissions)
        yield finding(
            f"{name}: clock", lambda: f"{self.cluster.clock_ahead / 1000:.0f} s ahead of this machine's"
        )

    def _clock(self) -> str:
        return f"{self.cluster.clock_ahead / 1000:.0f} s ahead of this machine's"

    def _permissions(self) -> str:
        lacking = list(Preflight(cluster=self.cluster).problems(RunSpec(), None))
        if lacking:
            raise EngineError(f"deploy to {self.cluster.name}", "; ".join(lacking), "extend the Role")
        return f"{self.cluster.name}: the account may do what deployments need"

    def cluster_findings(self, name: str) -> Iterator[Finding]:
        """Return findings on the nodes, if the role may list them."""
        yield finding(f"{name}: nodes", self._nodes)

    def _nodes(self) -> str:
        try:
            nodes = self.cluster.nodes()
        except Forbidden:
            return "the account does not see nodes, which no deployment needs"
        ready = [
            each
            for each in nodes
            for one in (each.status.conditions if each.status is not None else None) or ()
            if (one.type, one.status) == ("Ready", "True")
        ]
        if not ready:
            raise EngineError("run pods", f"none of {len(nodes)} nodes is ready", "kubectl get nodes")
        return f"{len(ready)} of {len(nodes)} nodes are ready"

    def stores(self, stack: ExitStack, emit: Emit) -> Sequence[ImageStore]:  # noqa: ARG002 - the protocol's
        """Return a store without images."""
        return (NoStore(host=self.cluster.name),)

    def remove(self, instance: Instance) -> None:
        """Raise EngineError: a cluster removes pods itself."""
        raise ValueError(f"a cluster leaves no {instance.name}")

    def unneeded(self, needs: Needs) -> tuple[Unneeded, ...]:
        """Return objects that neither run nor belong to settings of a possible rollback."""
        there = self.workloads()
        references = {one.texts.get(key, "") for one in there for key in (OBJECTS, BEFORE)} - {""}
        kept = self._named(needs.specs) | {text.partition("@")[0] for text in references}
        for reference in references:
            kept |= names_in(Sealed(cluster=self.cluster, place=self.place).kept(reference))
        found = [
            Unneeded(kind=kind, id=name, name=name)
            for kind, kube, role in _ROLES
            for name, texts in self._there(kube, role)
            if name not in kept and not self._is_open(texts, role, needs)
        ]
        return tuple(sorted(found, key=lambda each: (each.kind, each.name)))

    def _there(self, kube: type[Secret | ConfigMap], role: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Return this place's objects. Labels alone are no proof: the name must match."""
        begins = self.place.container[:_SURE]
        for each in self.cluster.every(kube, naming.selector(self.place, role)):
            name = name_of(each)
            if name.startswith(begins):
                yield name, texts_of(each.metadata)

    @staticmethod
    def _is_open(texts: Mapping[str, str], role: str, needs: Needs) -> bool:
        """Return whether the inventory's deployment has no end yet."""
        return role == naming.BEFORE and texts.get(DEPLOYMENT, "") not in needs.ended

    def _named(self, known: Sequence[RunSpec]) -> set[str]:
        found = set[str]()
        for spec in (each for one in known for each in one.every.values()):
            found |= {naming.secret_name(self.place, name, mark) for name, mark in spec.secrets.items()}
            found |= {
                naming.file_name(self.place, path, file.sha256) for path, file in (spec.files or {}).items()
            }
        return found

    def drop(self, unneeded: Unneeded) -> None:
        """Remove the object."""
        self.cluster.delete("Secret" if unneeded.kind == "secrets" else "ConfigMap", unneeded.id)


_SURE = 24
"""Characters of a place's name that are in every name of its objects, however long the rest is."""
