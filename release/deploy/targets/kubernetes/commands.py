"""Commands that change the data, as Jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from release.deploy.core.instance import CommandInstance
from release.deploy.core.operations import CommandRequest
from release.deploy.core.place import DIGEST, MIGRATION
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.documents import texts_of
from release.deploy.targets.kubernetes.failed_output import KubernetesFailedOutput, collect
from release.deploy.targets.kubernetes.images import KubernetesImages, Missing
from release.deploy.targets.kubernetes.jobs import Jobs, JobState
from release.deploy.targets.kubernetes.kinds import meta_of, name_of
from release.deploy.targets.kubernetes.placed import PlacedWorkloads
from release.deploy.targets.kubernetes.pods import moment_text
from release.errors import EngineError
from release.events import Emit
from release.programs.cancellation import Cancellation
from release.records import Image
from release.reference import Digest
from release.secrets.redact import Mask
from release.values import replace


class KubernetesCommands(PlacedWorkloads, frozen=True, kw_only=True):
    """Jobs with the role of a command. See `release.deploy.core.operations.Commands`."""

    missing: Missing

    @property
    def jobs(self) -> Jobs:
        """Return the Jobs of the namespace."""
        return Jobs(cluster=self.cluster, clock=self.clock)

    def refusal(self, image: Image) -> str:
        """Return a refusal if no node can pull the image."""
        found = KubernetesImages(cluster=self.cluster, missing=self.missing).locate(image)
        return f"no node gets its image: {found.problem}" if found.where == "nowhere" else ""

    def name(self, deployment: str, kind: str) -> str:
        """Return the name of the command's Job."""
        return naming.command_name(self.place, deployment, kind)

    def advice(self, command: str) -> str:
        """Return the kubectl command that stops the Job, but keeps it to show its end."""
        kubectl = f"kubectl -n {self.cluster.namespace}"
        return (
            f"wait for it: `{kubectl} logs -f job/{command}` shows it; "
            f'`{kubectl} patch job {command} -p \'{{"spec":{{"suspend":true}}}}\'` stops it in the middle'
        )

    def every(self) -> tuple[CommandInstance, ...]:
        """Return the Jobs of commands, by the labels of place and role."""
        return tuple(map(command_instance, self.jobs.every(naming.selector(self.place, MIGRATION))))

    def start(self, request: CommandRequest, emit: Emit, cancellation: Cancellation) -> str:  # noqa: ARG002 - the protocol's
        """Create the Job, and wait until its pod has started."""
        job = self.jobs.create(request)
        try:
            self.jobs.await_start(request, cancellation)
        except BaseException:
            with suppress(EngineError):
                self.jobs.stop(job)
            raise
        return job

    def wait(self, command: str, *, timeout: int, cancellation: Cancellation) -> int:
        """Wait until the pod ends; return its exit status."""
        return self.jobs.await_end(command, timeout, cancellation)

    def follow(self, command: str, cancellation: Cancellation) -> Iterator[str]:
        """Yield the lines of the pod, which end with it."""
        job = self.jobs.get(command)
        if job is None or job.pod is None:
            return
        for line in self.cluster.pods.lines(job.pod.name, last=None, since=None, follow=True):
            cancellation.check()
            yield line.partition(" ")[2]

    def stop(self, command: str) -> None:
        """Suspend the Job."""
        self.jobs.stop(command)

    def logs(self, command: str, *, lines: int) -> tuple[str, ...]:
        """Return the last lines that the pod's node keeps."""
        return self.jobs.output(command, lines=lines)

    def keep_output(self, command: str, kind: str, mask: Mask) -> bool:
        """Keep the lines in a ConfigMap of the namespace."""
        job = self.jobs.get(command)
        if job is None or job.pod is None:
            return False
        found = list(collect(self.cluster, job.pod.deployment, [job.pod], mask))
        written = [replace(each, process=kind) for each in found]
        if written:
            KubernetesFailedOutput(cluster=self.cluster, place=self.place).keep(written)
        return bool(written)

    def remove(self, command: str) -> None:
        """Remove the Job."""
        self.jobs.remove(command)


def command_instance(job: JobState) -> CommandInstance:
    """Return a Job as a command instance."""
    meta, texts = meta_of(job.found), dict(texts_of(meta_of(job.found)))
    container = job.found.spec.template.spec if job.found.spec is not None else None
    words = container.containers[0].command if container is not None else None
    return CommandInstance(
        id=name_of(job.found),
        name=name_of(job.found),
        image=Digest(texts[DIGEST]),
        status=job.status,
        health="none",
        restarts=max(0, job.runs - 1),
        started_at=job.pod.created_at if job.pod is not None else moment_text(meta.creationTimestamp),
        labels=texts,
        exit_code=job.exit_code,
        argv=tuple(words or ()),
    )
