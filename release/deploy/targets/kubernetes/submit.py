"""Applying documents, and removing objects of ours that are not among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from lightkube.core.resource import NamespacedResource
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod, Service
from lightkube.resources.policy_v1 import PodDisruptionBudget

from release.deploy.core.place import SERVING, Place
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.documents import texts_of, workloads
from release.deploy.targets.kubernetes.faults import Conflicts, Forbidden
from release.deploy.targets.kubernetes.kinds import KINDS, Document, key_of, kind_of, meta_of, name_of
from release.deploy.targets.kubernetes.ownership import added_by_others, is_autoscaled
from release.errors import EngineError
from release.values import Struct

_APPLIED = (Deployment, Service, PodDisruptionBudget)


class Submit(Struct, frozen=True, kw_only=True):
    """Application of documents to a namespace. Every method raises EngineError."""

    cluster: Cluster
    place: Place
    force: bool = False
    kinds: frozenset[str] = frozenset()
    """Kinds of objects that the manifests of the old and the new release have."""

    def rehearse(self, written: Sequence[Document]) -> None:
        """Let the server check the documents without a change: schema, admission, permissions, conflicts.

        Raises Conflicts, Forbidden, EngineError: also for an object of that name that is not ours.
        """
        for document in written:
            self._own(document)
            would = self._applied(document, is_trial=True)
            added = list(added_by_others(meta_of(would)))
            if added and document["kind"] == "Deployment":
                raise Conflicts(f"apply {_called(document)}", tuple(added), _ADDED)
        self._rehearse_pods(written)

    def _rehearse_pods(self, written: Sequence[Document]) -> None:
        """Let the server check the first new pod of each Deployment: quota, PodSecurity, admission webhooks.

        A dry run of a Deployment checks none of these. If old pods end first, their quota becomes free, so
        those Deployments are left to the rollout. Needs the optional permission to create pods.
        """
        first = [each for each in workloads(written) if self._begins_with_new_pod(each)]
        if first and self.cluster.may("create", "", "pods"):
            coming = {key_of(each)[1] for each in written if each["kind"] == "ServiceAccount"}
            for each in first:
                self._rehearse_pod(each, coming)

    def _begins_with_new_pod(self, document: Document) -> bool:
        rolling = (document["spec"].get("strategy") or {}).get("rollingUpdate") or {"maxSurge": 1}
        if rolling.get("maxSurge"):
            return True
        found = self.cluster.get(Deployment, key_of(document)[1])
        return found is None or not (found.spec and found.spec.replicas)

    def _rehearse_pod(self, document: Document, coming: Set[str]) -> None:
        """Let the server check a pod; with the default account, if the manifests bring its account."""
        name, template = key_of(document)[1], document["spec"]["template"]
        metadata = {**template["metadata"], "generateName": f"{name}-"}
        spec = dict(template["spec"])
        if spec.get("serviceAccountName") in coming:
            del spec["serviceAccountName"]
            spec.pop("serviceAccount", None)
        pod = Pod.from_dict({"metadata": metadata, "spec": spec})
        assert isinstance(pod, Pod)  # noqa: S101 - `from_dict` is typed for its base class
        try:
            self.cluster.create(pod, is_trial=True)
        except Forbidden as error:
            raise Forbidden(f"create a pod of the Deployment {name}", error.found, _POD_REFUSED) from error

    def apply(self, document: Document) -> None:
        """Apply one document."""
        self._applied(document, is_trial=False)

    def _applied(self, document: Document, *, is_trial: bool) -> object:
        try:
            return self.cluster.apply(self._without_replicas(document), is_trial=is_trial, force=self.force)
        except Conflicts as error:
            raise Conflicts(error.attempted, error.fields, _CONFLICTS) from error

    def _without_replicas(self, document: Document) -> Document:
        """Remove the number of pods if an autoscaler set it."""
        if document["kind"] != "Deployment":
            return document
        found = self.cluster.get(Deployment, key_of(document)[1])
        if found is None or not is_autoscaled(found.metadata):
            return document
        spec = {key: value for key, value in document["spec"].items() if key != "replicas"}
        return {**document, "spec": spec}

    def _own(self, document: Document) -> None:
        """Raise EngineError if no deployment to this place made the object."""
        kind, name = key_of(document)
        found = self.cluster.get(kind_of(document), name)
        if found is None:
            return
        if not self.place.at("").labels(SERVING).items() <= texts_of(meta_of(found)).items():
            raise EngineError(
                f"apply {_called(document)}",
                "it exists, and no deployment made it",
                f"remove it, or use another name: kubectl -n {self.cluster.namespace} get {kind} {name}",
            )

    def prune(self, written: Sequence[Document]) -> list[str]:
        """Delete objects of this place that are not among these; return the deleted ones."""
        kept = {key_of(each) for each in written}
        gone = [each for each in self._there() if each not in kept]
        for kind, name in gone:
            self.cluster.delete(kind, name)
        return [f"{kind} {name}" for kind, name in gone]

    def _there(self) -> Iterator[tuple[str, str]]:
        """Return kinds and names of this place's objects. Labels alone are no proof: the name must match."""
        labels = naming.selector(self.place, SERVING)
        more = [KINDS[name] for name in sorted(self.kinds) if KINDS[name] not in _APPLIED]
        kinds: list[type[NamespacedResource]] = [*_APPLIED, *more]
        for kind in kinds:
            for each in self.cluster.every(kind, labels):
                process = texts_of(meta_of(each)).get("release.process", "")
                name = name_of(each)
                if naming.is_own(self.place, process, name):
                    yield kind.__name__, name


def _called(document: Document) -> str:
    return " ".join(key_of(document))


_CONFLICTS = (
    "undo the change with the program that made it, or take the fields over: set "
    '`kubernetes.conflicts = "force"` for one deployment'
)
_POD_REFUSED = (
    "change the settings of the release, or the quota, Pod Security level or rules of the namespace"
)
_ADDED = "remove these fields with the program that added them: only the recorded settings run"
