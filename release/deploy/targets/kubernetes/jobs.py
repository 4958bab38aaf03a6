"""Jobs: pods that run one command once, beside what serves.

A Job stays until it is removed, so that it shows how its command ended. A command is stopped by suspending
its Job: the cluster then ends the pod and keeps the Job.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from lightkube.models.batch_v1 import JobSpec
from lightkube.models.core_v1 import PodTemplateSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job

from release.deploy.core.operations import CommandRequest
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.clock import SYSTEM, Clock
from release.deploy.targets.kubernetes.kinds import meta_of, name_of
from release.deploy.targets.kubernetes.manifests import is_described
from release.deploy.targets.kubernetes.pod import pod_spec
from release.deploy.targets.kubernetes.pods import PodState, state_of
from release.deploy.targets.kubernetes.sealed import Sealed
from release.errors import EngineError, EngineUnreachable, NameTaken, UsageError
from release.programs import owner
from release.programs.cancellation import Cancellation
from release.runspec import RunSpec
from release.targetspec import KubernetesSpec
from release.values import Struct

_JOB: Final = "batch.kubernetes.io/job-name"
"""Label that the cluster gives to the pods of a Job (Kubernetes 1.27 and later)."""
_STOP_SECONDS: Final = 60
"""Time beside the grace of its settings for a pod to end."""


class JobState(Struct, frozen=True, kw_only=True):
    """A Job and its newest pod."""

    found: Job
    pod: PodState | None
    runs: int
    """Number of its pods: more than one if the cluster started the command again."""

    @property
    def is_stopped(self) -> bool:
        """Return whether the Job was suspended."""
        return bool(self.found.spec is not None and self.found.spec.suspend)

    @property
    def status(self) -> str:
        """Return the state in the words of containers: `pending` if it may still start."""
        if self.pod is None:
            return "exited" if self.is_stopped else "pending"
        if self.pod.exit_code is not None:
            return "exited"
        return "running" if self.pod.state == "running" else "pending"

    @property
    def exit_code(self) -> int:
        """Return 0 only if the command succeeded and ran once."""
        code = self.pod.exit_code if self.pod is not None else None
        return code if code is not None and (code or self.runs == 1) else 1


class Jobs(Struct, frozen=True, kw_only=True):
    """The Jobs of a namespace. Every method raises EngineError."""

    cluster: Cluster
    clock: Clock = SYSTEM

    def every(self, labels: Mapping[str, str]) -> tuple[JobState, ...]:
        """Return the Jobs with these labels."""
        return tuple(self._state(job) for job in self.cluster.every(Job, labels))

    def get(self, name: str) -> JobState | None:
        """Return the Job of this name; None if there is none."""
        found = self.cluster.get(Job, name)
        return self._state(found) if found is not None else None

    def _state(self, job: Job) -> JobState:
        pods = [state_of(pod) for pod in self.cluster.pods.list({_JOB: name_of(job)})[0]]
        newest = max(pods, key=lambda pod: (pod.created_at, pod.name)) if pods else None
        return JobState(found=job, pod=newest, runs=len(pods))

    def create(self, request: CommandRequest) -> str:
        """Create the Job of a command; return its name. After a lost answer, look for the Job.

        Raises UsageError if manifests describe the release, because their variables are not in run settings.
        """
        if is_described(request.spec):
            raise UsageError(
                f"run {request.command[0]} in a Job",
                "manifests describe the objects of this environment, so its variables are not known",
                "write the Job as a manifest of its own, and start it with `kubectl create`",
            )
        Sealed(cluster=self.cluster, place=request.place.at("")).write(request.secrets, [request.spec])
        made = job_of(request)
        try:
            self.cluster.create(made)
        except (EngineUnreachable, NameTaken):
            found = self.cluster.get(Job, request.name)
            if found is None or meta_of(found).labels != meta_of(made).labels:
                raise
        return request.name

    def await_start(self, request: CommandRequest, cancellation: Cancellation) -> None:
        """Wait until the command has started. Raises EngineError, Cancelled if it did not run."""
        attempted, deadline = f"start the job {request.name}", self.clock.now() + request.timeout / 1000
        for state in self._watched(request.name, cancellation):
            pod = state.pod
            if state.status in ("running", "exited"):
                return
            if pod is not None and pod.trouble:
                raise EngineError(attempted, f"{pod}: {pod.trouble}", f"kubectl describe job {request.name}")
            if self.clock.now() > deadline:
                why = f"no pod started it within {request.timeout / 1000:g} s"
                raise EngineError(attempted, why, f"kubectl describe job {request.name}")

    def await_end(self, name: str, timeout: int, cancellation: Cancellation) -> int:
        """Return the exit status of a command.

        Raises TimeoutError after the timeout, Cancelled, EngineError if there is no exit status.
        """
        deadline = self.clock.now() + timeout / 1000
        for state in self._watched(name, cancellation):
            if state.status == "exited":
                return state.exit_code
            if self.clock.now() > deadline:
                raise TimeoutError
        raise EngineError(f"wait for the job {name}", "it was removed")

    def follow(
        self, name: str, say: Callable[[str], None], *, timeout: int, cancellation: Cancellation
    ) -> int:
        """Show the output of a command until it ends; return its exit status. A signal does not stop it.

        Raises TimeoutError after the timeout, Cancelled, EngineError.
        """
        deadline, shown = self.clock.now() + timeout / 1000, ""
        for state in self._watched(name, cancellation):
            pod = state.pod
            if pod is not None and state.status in ("running", "exited"):
                shown = self._shown(pod.name, shown, say)
            if state.status == "exited":
                return state.exit_code
            if pod is not None and pod.trouble:
                raise EngineError(f"run the job {name}", f"{pod}: {pod.trouble}")
            if self.clock.now() > deadline:
                raise TimeoutError(f"it still ran after {timeout / 1000:g} s")
        raise EngineError(f"wait for the job {name}", "it was removed")

    def _shown(self, pod: str, last: str, say: Callable[[str], None]) -> str:
        """Show the lines after this time; return the time of the last line."""
        since = owner.parse_label_time(last[:26] + "Z") if last else None
        for line in self.cluster.pods.lines(pod, last=None, since=since, follow=False):
            moment, _, text = line.partition(" ")
            if moment > last:
                say(text)
                last = moment
        return last

    def _watched(self, name: str, cancellation: Cancellation) -> Iterator[JobState]:
        """Yield the state repeatedly, until the Job is gone."""
        while True:
            cancellation.check()
            _, version = self.cluster.pods.list({_JOB: name})
            found = self.get(name)
            if found is None:
                return
            yield found
            self.cluster.pods.await_change({_JOB: name}, version)

    def stop(self, name: str) -> None:
        """Stop the command and wait for its end. Raises EngineError if it may still run."""
        found = self.cluster.get(Job, name)
        if found is None:
            return
        suspended = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}}
        self.cluster.apply({**suspended, "spec": {"suspend": True}}, force=True)  # created, not applied
        deadline = self.clock.now() + _STOP_SECONDS
        for state in self._watched(name, Cancellation()):
            if state.status == "exited":
                return
            if self.clock.now() > deadline:
                found_ = f"its pod still runs after {_STOP_SECONDS} s"
                raise EngineError(f"stop the job {name}", found_, f"kubectl get pods -l {_JOB}={name}")

    def remove(self, name: str) -> None:
        """Remove the Job with its pods."""
        self.cluster.delete("Job", name)

    def output(self, name: str, *, lines: int) -> tuple[str, ...]:
        """Return the last lines of the newest pod; empty without a pod."""
        found = self.get(name)
        return self.cluster.pods.log(found.pod.name, lines=lines) if found and found.pod else ()


def job_of(request: CommandRequest) -> Job:
    """Return the Job of a command: its process's settings, without ports and probes."""
    labels, notes = naming.split(request.place.labels(request.role) | request.identity.labels())
    pod = pod_spec(request.place, request.image, _settings(request))
    pod.restartPolicy = "Never"
    return Job(
        metadata=ObjectMeta(name=request.name, labels=labels | naming.OURS, annotations=notes),
        spec=JobSpec(
            backoffLimit=0,
            completions=1,
            parallelism=1,
            template=PodTemplateSpec(
                metadata=ObjectMeta(labels=dict(labels), annotations=dict(notes)), spec=pod
            ),
        ),
    )


def _settings(request: CommandRequest) -> RunSpec:
    cluster = (request.spec.kubernetes or KubernetesSpec()).model_copy(update={"pre_stop": 0})
    return request.spec.model_copy(
        update={
            "command": request.command,
            "entrypoint": request.entrypoint,
            "publish": (),
            "replicas": 1,
            "probe": None,
            "healthcheck": None,
            "health_tcp": None,
            "health_command": None,
            "kubernetes": cluster,
        }
    )
