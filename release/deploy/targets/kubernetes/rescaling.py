"""Stop, start and restart of the pods of a process. Its release stays the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from release.deploy.core.operations import OperationContext
from release.deploy.core.place import DIGEST, SERVING
from release.deploy.core.steps import step
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.documents import BEFORE, OBJECTS, marked, workloads
from release.deploy.targets.kubernetes.follow import Follow
from release.deploy.targets.kubernetes.kinds import Document
from release.deploy.targets.kubernetes.ownership import RESTARTED, is_autoscaled
from release.deploy.targets.kubernetes.placed import PlacedWorkloads, Workload
from release.deploy.targets.kubernetes.sealed import Sealed
from release.deploy.targets.kubernetes.submit import Submit
from release.errors import DeploymentFailed, EngineError, UsageError
from release.reference import Digest

_RESTARTER: Final = "release-restart"
"""Field manager of the annotation that lets a cluster replace all pods, as `kubectl rollout restart` does."""


class Rescaling(PlacedWorkloads, frozen=True, kw_only=True):
    """Stop, start or restart of one Deployment. Every method raises EngineError, Cancelled."""

    workload: Workload
    context: OperationContext

    def refuse_autoscaled(self) -> None:
        """Raise UsageError if an autoscaler would start the pods again."""
        if is_autoscaled(self.workload.found.metadata):
            found = "an autoscaler sets its number of pods, and would start them again"
            hint = "delete its HorizontalPodAutoscaler first"
            raise UsageError(f"stop {self.workload.name}", f"{found}; nothing was stopped", hint)

    def stop(self) -> str:
        """Set the Deployment to 0 pods, and wait until all have ended."""
        name = self.workload.name
        with step(self.context.emit, "stop") as say:
            document = self._document()
            self._apply({**document, "spec": {**document["spec"], "replicas": 0}})
            self._await_no_pod()
            say(name)
        return name

    def _await_no_pod(self) -> None:
        labels = naming.pod_selector(self.place.at(self.workload.process), SERVING)
        deadline = self.clock.now() + self._patience / 1000
        while True:
            self.context.cancellation.check()
            pods, version = self.cluster.pods.list(labels)
            if not pods:
                return
            if self.clock.now() > deadline:
                found = f"{len(pods)} pods are left after {self._patience / 1000:g} s"
                raise EngineError(f"stop {self.workload.name}", found, "kubectl get pods shows them")
            self.cluster.pods.await_change(labels, version)

    def start(self) -> str:
        """Set the recorded number of pods, and prove them. Raises DeploymentFailed."""
        with step(self.context.emit, "start") as say:
            self._apply(self._document())
            say(self.workload.name)
        return self._proven("start")

    def restart(self) -> str:
        """Let the cluster replace every pod, by the recorded strategy, and prove them."""
        moment = datetime.now(UTC).isoformat(timespec="microseconds")
        template = {"metadata": {"annotations": {RESTARTED: moment}}}
        self.context.still_mine()
        with step(self.context.emit, "restart") as say:
            self.cluster.apply(
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "metadata": {"name": self.workload.name},
                    "spec": {"template": template},
                },
                manager=_RESTARTER,
                force=True,  # of the last restart, whoever asked for it
            )
            say(self.workload.name)
        return self._proven("restart")

    def _document(self) -> Document:
        """Return the Deployment's document, as it was applied."""
        reference = self.workload.texts.get(OBJECTS, "")
        written = workloads(Sealed(cluster=self.cluster, place=self.place).kept(reference))
        return next(each for each in written if each["metadata"]["name"] == self.workload.name)

    def _apply(self, document: Document) -> None:
        self.context.still_mine()
        texts = self.workload.texts
        submit = Submit(cluster=self.cluster, place=self.place, force=self.force)
        submit.apply(marked(document, texts.get(OBJECTS, ""), texts.get(BEFORE, "")))

    @property
    def _patience(self) -> int:
        spec = self.context.spec.every.get(self.workload.process)
        return self.context.health_timeout + (spec.stop_grace if spec is not None else 0)

    def _proven(self, verb: str) -> str:
        attempted = f"{verb} {self.workload.name}"
        with step(self.context.emit, "health") as say:
            seen = Follow(
                cluster=self.cluster,
                name=self.workload.name,
                labels=naming.pod_selector(self.place.at(self.workload.process), SERVING),
                deployment=self.workload.deployment,
                attempted=attempted,
                patience=self._patience,
                watch=0,
                emit=self.context.emit,
                mask=self.context.mask,
                check=self.context.cancellation.check,
                clock=self.clock,
            ).await_complete()
            wanted = Digest(self.workload.texts[DIGEST])
            for pod in seen.pods:
                if pod.digest != wanted:
                    raise DeploymentFailed(attempted, f"{pod} runs {pod.digest}, not {wanted}")
            say(str(seen))
        return f"{self.workload.name}: {seen}"
