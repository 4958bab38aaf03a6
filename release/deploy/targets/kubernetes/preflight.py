"""Needs of a deployment that can be asked of the cluster before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator

from lightkube.resources.core_v1 import Namespace, PersistentVolumeClaim, Secret, ServiceAccount
from lightkube.resources.storage_v1 import StorageClass

from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.faults import Forbidden
from release.deploy.targets.kubernetes.kinds import MANIFESTS
from release.deploy.targets.kubernetes.manifests import kinds_of
from release.deploy.targets.kubernetes.role import FOR_MANIFESTS, NEEDED
from release.records import Image
from release.runspec import RunSpec
from release.targetspec import KubernetesSpec
from release.values import Struct


class Preflight(Struct, frozen=True, kw_only=True):
    """Checks of a cluster before a deployment. Every method raises EngineError."""

    cluster: Cluster

    def problems(self, spec: RunSpec, image: Image | None) -> Iterator[str]:
        """Yield missing objects and permissions, as text."""
        missing = list(self._namespace())
        yield from missing
        if missing:
            return
        yield from self._permissions(spec)
        for each in spec.every.values():
            yield from self._objects(each)
        if image is not None:
            yield from self._platforms(image)

    def _namespace(self) -> Iterator[str]:
        name = self.cluster.namespace
        try:
            if not self.cluster.has(Namespace, name):
                yield f"there is no namespace {name}: kubectl create namespace {name}"
        except Forbidden:
            return  # a role in the namespace does not see the namespace itself

    def _permissions(self, spec: RunSpec) -> Iterator[str]:
        lacking = dict[str, list[str]]()
        rules = self.cluster.rules()
        for group, resource, verb in (*NEEDED, *_for(spec)):
            if any(_covers(rule, group, resource, verb) for rule in rules):
                continue
            plain, _, part = resource.partition("/")
            if not self.cluster.may(verb, group, plain, part):
                lacking.setdefault(f"{resource}{f' ({group})' if group else ''}", []).append(verb)
        for resource, verbs in lacking.items():
            what = f"{', '.join(verbs)} {resource} in {self.cluster.namespace}"
            yield f"the account may not {what}: extend its Role"

    def _objects(self, spec: RunSpec) -> Iterator[str]:
        cluster, where = spec.kubernetes or KubernetesSpec(), self.cluster.namespace
        for mount in spec.volumes:
            if mount.source and not mount.is_bind:
                yield from self._claim(mount.source)
        for name in cluster.pull_secrets:
            if self._lacks(Secret, name):
                yield f"there is no secret {name} for the registry in {where}"
        if cluster.service_account is not None and self._lacks(ServiceAccount, cluster.service_account):
            yield f"there is no service account {cluster.service_account} in {where}"

    def _claim(self, name: str) -> Iterator[str]:
        """Yield why a claim can never be bound: it, its volume or its storage class is missing."""
        called, where = f"PersistentVolumeClaim {name}", self.cluster.namespace
        try:
            found = self.cluster.get(PersistentVolumeClaim, name)
            if found is None:
                yield f"there is no {called} in {where}"
                return
            phase = found.status.phase if found.status is not None else None
            wanted = found.spec.storageClassName if found.spec is not None else None
            if phase == "Lost":
                yield f"the volume of {called} in {where} was removed: kubectl describe pvc {name}"
            elif phase == "Pending" and wanted and not self.cluster.has(StorageClass, wanted):
                yield f"{called} in {where} waits for the storage class {wanted}, which does not exist"
        except Forbidden:
            return

    def _lacks(self, kind: type[Secret | ServiceAccount], name: str) -> bool:
        try:
            return self.cluster.get(kind, name) is None
        except Forbidden:
            return False

    def _platforms(self, image: Image) -> Iterator[str]:
        try:
            nodes = self.cluster.nodes()
        except Forbidden:
            return
        known = {
            f"{each.status.nodeInfo.operatingSystem}/{each.status.nodeInfo.architecture}"
            for each in nodes
            if each.status is not None and each.status.nodeInfo is not None
        }
        wanted = "/".join(image.platform.split("/")[:2])
        if known and wanted not in known:
            yield f"the image is for {wanted}, but the nodes are {', '.join(sorted(known))}"


def _for(spec: RunSpec) -> Iterator[tuple[str, str, str]]:
    """Yield the permissions for the kinds of the manifests."""
    resources = {MANIFESTS[kind][2] for kind in kinds_of(spec)}
    yield from (each for each in FOR_MANIFESTS if each[1] in resources)


def _covers(rule: tuple[set[str], set[str], set[str]], group: str, resource: str, verb: str) -> bool:
    """Return whether a rule of a role allows a request (rbac.authorization.k8s.io)."""
    return all({wanted, "*"} & part for wanted, part in zip((verb, group, resource), rule, strict=True))
