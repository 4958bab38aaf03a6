"""Output of a deployment that failed, kept in a ConfigMap of the namespace until the next deployment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap

from release.deploy.core import failed_output
from release.deploy.core.failed_output import CapturedOutput, FailedOutputStore, shortened
from release.deploy.core.operations import FailedOutput
from release.deploy.core.place import VERSION, Place
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.documents import texts_of
from release.deploy.targets.kubernetes.kinds import meta_of
from release.deploy.targets.kubernetes.pod import KEY
from release.deploy.targets.kubernetes.pods import PodState
from release.errors import EngineError
from release.secrets.redact import Mask
from release.values import Struct

_ROLE: Final = "failed-output"
"""Role of the ConfigMap in its labels."""
_LINES: Final = 500
"""Last lines of one pod."""
_PODS: Final = 6
"""Pods whose output is kept: all of one release write much the same."""
_BYTES: Final = 900 * 1024
"""Bytes of all output: a ConfigMap holds at most 1 MiB."""


class KubernetesFailedOutput(Struct, frozen=True, kw_only=True):
    """Store of the output of a failed deployment: a ConfigMap. Every method raises EngineError."""

    cluster: Cluster
    place: Place

    @property
    def shelf(self) -> FailedOutputStore:
        """Return the functions for `release.deploy.core.failed_output.keep_on_failure`."""
        return FailedOutputStore(place=self.place, keep=self.keep, forget=self.forget)

    @property
    def _name(self) -> str:
        return naming.failed_name(self.place)

    def _found(self) -> ConfigMap | None:
        """Return the ConfigMap, if its labels are ours."""
        found = self.cluster.get(ConfigMap, self._name)
        labels = naming.selector(self.place, _ROLE)
        is_ours = found is not None and labels.items() <= texts_of(meta_of(found)).items()
        return found if is_ours else None

    def forget(self) -> None:
        """Remove the stored output, if there is any."""
        if self._found() is not None:
            self.cluster.delete("ConfigMap", self._name)

    def keep(self, written: Sequence[CapturedOutput]) -> None:
        """Store the output instead of an earlier one."""
        self.forget()
        if not written:
            return
        content = failed_output.to_text(shortened(written, _BYTES))
        labels, notes = naming.split(self.place.labels(_ROLE))
        meta = ObjectMeta(name=self._name, labels=labels, annotations=notes or None)
        self.cluster.create(ConfigMap(metadata=meta, data={KEY: content}, immutable=True))

    def read(self) -> FailedOutput | None:
        """Return the stored output; None if there is none."""
        found = self._found()
        if found is None:
            return None
        remedy = f"remove it: kubectl -n {self.cluster.namespace} delete configmap {self._name}"
        return failed_output.parsed(self.place, (found.data or {}).get(KEY, ""), remedy)


def collect(
    cluster: Cluster, deployment: str, pods: Sequence[PodState], mask: Mask
) -> Iterator[CapturedOutput]:
    """Yield the last lines of a deployment's pods without secrets, if their nodes return them."""
    mine = [pod for pod in pods if pod.deployment == deployment and pod.node]
    for number, pod in enumerate(mine[:_PODS], start=1):
        with suppress(EngineError):
            found = [line.partition(" ") for line in cluster.pods.last_lines(pod.name, _LINES)]
            texts = mask.lines([text for _, _, text in found])
            if texts:
                yield CapturedOutput(
                    deployment=deployment,
                    version=pod.labels.get(VERSION, ""),
                    process=pod.process,
                    replica=str(number),
                    lines=tuple((moment, text) for (moment, _, _), text in zip(found, texts, strict=True)),
                )
