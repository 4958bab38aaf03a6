"""Commands that change the data, as jobs of a Swarm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from release.deploy.core.instance import CommandInstance
from release.deploy.core.operations import CommandRequest
from release.deploy.core.place import DEPLOYMENT, MIGRATION
from release.deploy.targets.swarm import marks, naming
from release.deploy.targets.swarm.failed_output import SwarmFailedOutput, collect
from release.deploy.targets.swarm.images import SwarmImages
from release.deploy.targets.swarm.jobs import Job, Jobs
from release.deploy.targets.swarm.objects import image_digest
from release.deploy.targets.swarm.service import PlacedService
from release.errors import EngineError
from release.events import Emit
from release.programs.cancellation import Cancellation
from release.records import Image
from release.reference import Digest
from release.secrets.redact import Mask
from release.values import replace


class SwarmCommands(PlacedService, frozen=True, kw_only=True):
    """Jobs with the role of a command. See `release.deploy.core.operations.Commands`."""

    @property
    def jobs(self) -> Jobs:
        """Return the jobs of the Swarm."""
        return Jobs(swarm=self.swarm)

    def refusal(self, image: Image) -> str:
        """Return a refusal if no node can pull the image."""
        found = SwarmImages(engine=self.engine, place=self.place, ways=self.ways).locate(image)
        return f"no node gets its image: {found.problem}" if found.where == "nowhere" else ""

    def name(self, deployment: str, kind: str) -> str:
        """Return the name of the command's service."""
        return naming.command_name(self.place, deployment, kind)

    def advice(self, command: str) -> str:
        """Return the `docker` command for a manager, which stops the task and keeps the service."""
        return (
            f"wait for it: `docker service ps {command}` and `docker service logs {command}` show it; "
            f"`docker service scale {command}=0` stops it in the middle"
        )

    def every(self) -> tuple[CommandInstance, ...]:
        """Return the jobs of commands, by the labels of place and role."""
        return tuple(map(command_instance, self.jobs.every(self.place.labels(MIGRATION))))

    def start(self, request: CommandRequest, emit: Emit, cancellation: Cancellation) -> str:
        """Create the service, and wait until a node has started its task."""
        job = self.jobs.create(request, emit)
        try:
            self.jobs.await_start(job, request, cancellation)
        except BaseException:
            with suppress(EngineError):
                self._give_up(job)
            raise
        return job

    def _give_up(self, job: str) -> None:
        """Stop a command that may have started. One that its node refused did not start."""
        found = self.jobs.get(job)
        if found is not None and found.status != "created":
            self.jobs.stop(job)

    def wait(self, command: str, *, timeout: int, cancellation: Cancellation) -> int:
        """Wait until the task ends; return its exit status."""
        return self.jobs.await_end(command, timeout, cancellation)

    def follow(self, command: str, cancellation: Cancellation) -> Iterator[str]:
        """Yield the lines that the task's node keeps."""
        job = self.jobs.get(command)
        if job is None or job.task is None:
            return
        lines = self.swarm.engine.timed_task_lines(job.task.id, follow=True, cancellation=cancellation)
        for _, text in lines:
            yield text

    def stop(self, command: str) -> None:
        """Set the service to no completions, so that the Swarm ends the task."""
        self.jobs.stop(command)

    def logs(self, command: str, *, lines: int) -> tuple[str, ...]:
        """Return the last lines that the task's node keeps."""
        return self.jobs.output(command, lines=lines)

    def keep_output(self, command: str, kind: str, mask: Mask) -> bool:
        """Keep the lines in a config of the Swarm."""
        job = self.jobs.get(command)
        if job is None or job.task is None:
            return False
        deployment = job.service.labels.get(DEPLOYMENT, "")
        written = [replace(each, process=kind) for each in collect(self.swarm, deployment, [job.task], mask)]
        if written:
            SwarmFailedOutput(swarm=self.swarm, place=self.place).keep(written)
        return bool(written)

    def remove(self, command: str) -> None:
        """Remove the service."""
        self.jobs.remove(command)


def command_instance(job: Job) -> CommandInstance:
    """Return a job as a command instance."""
    service = job.service
    container = marks.container_of(service.spec)
    image = str(container.get("Image") or "")
    return CommandInstance(
        id=service.id,
        name=service.name,
        image=image_digest(image) or Digest.of(image.encode()),
        status=job.status,
        health="none",
        restarts=max(0, job.runs - 1),
        started_at=job.task.created_at if job.task is not None else service.updated_at,
        labels=service.labels,
        exit_code=job.exit_code,
        argv=tuple(container.get("Command") or ()),
    )
