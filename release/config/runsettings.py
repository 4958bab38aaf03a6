"""Run settings of an environment, and of each process of one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from release.config.kinds import Arguments, RelativePath
from release.config.proxy import Proxy
from release.gatespec import HealthGates
from release.runspec import Healthcheck, Mount, Publish
from release.scalars import (
    AbsolutePath,
    Cpus,
    Duration,
    Entrypoint,
    FileMode,
    Items,
    Memory,
    Name,
    Pause,
    SignalName,
    Value,
    VariableName,
)
from release.secrets.detection import secret_suspicion
from release.tmpfs import Tmpfs


def _public(options: dict[str, str]) -> dict[str, str]:
    """Return the options. Raise ValueError for one that looks like a secret, because options are recorded."""
    found = {name: secret_suspicion(name, value) for name, value in options.items()}
    problems = [f"{name} looks like a secret ({why})" for name, why in found.items() if why is not None]
    if problems:
        raise ValueError(
            f"{'; '.join(problems)}: settings are recorded. "
            "Set it in the engine itself: log-opts in daemon.json"
        )
    return options


class File(Value):
    """`[tool.release.environments.<name>.files."<path>"]`: a small text in the container, recorded whole."""

    source: RelativePath
    """A regular file of the repository, below its root; a link may not lead out of it."""
    mode: FileMode = 0o444
    """Mode of the file in the container; it belongs to root."""
    not_secret: bool = False
    """Accept this file although it seems to contain a secret."""


class HealthcheckSettings(Value):
    """`[tool.release.environments.<name>.healthcheck]`: a health check in the place of the image's own."""

    disable: Literal[True] | None = None
    """Switch off the health check of the image."""
    command: Arguments | None = None
    """Program in the container; status 0 is healthy. Absent: the image's program, with these times."""
    interval: Duration | None = None
    """Time from one check to the next."""
    timeout: Duration | None = None
    """Time after which a check counts as failed."""
    start_period: Duration | None = None
    """Time from the start of the container in which failed checks do not count."""
    start_interval: Duration | None = None
    """Time from one check to the next within `start_period` (Engine 25 and later)."""
    retries: Annotated[int, Field(ge=1)] | None = None
    """Number of checks in a row that must fail."""

    @model_validator(mode="after")
    def _not_both(self) -> HealthcheckSettings:
        others = sorted(self.model_fields_set - {"disable"})
        if self.disable and others:
            raise ValueError(f"remove disable, or {', '.join(others)}: they exclude each other")
        return self

    @property
    def recorded(self) -> Healthcheck:
        """Return the health check as deployments record it."""
        return Healthcheck(**self.model_dump())


class RunSettings(HealthGates):
    """Settings that a container runs with."""

    command: Arguments | None = None
    """Command of the container, in place of the image's ENTRYPOINT and CMD."""
    entrypoint: Entrypoint = "replace"
    """"keep": `command` replaces only the CMD, and the image's ENTRYPOINT gets it as arguments."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Environment values."""
    publish: Items[Publish] = ()
    """Ports, as "127.0.0.1:8080:8000"."""
    networks: Items[Name] = ()
    """Existing networks to join; absent: the engine's default."""
    volumes: Items[Mount] = ()
    """Existing volumes or folders, as "data:/var/lib/api" or "/etc/ssl:/etc/ssl:ro"."""
    memory: Memory | None = None
    """Memory limit of the container, without swap."""
    cpus: Cpus | None = None
    """Limit of processors."""
    pids: Annotated[int, Field(ge=1)] | None = None
    """Limit of processes and threads."""
    user: str | None = None
    """User of the container, in place of the image's user."""
    read_only: bool = False
    """Make the root file system read-only."""
    tmpfs: Items[Tmpfs] = ()
    """Folders in memory, with owner, mode and size if need be: "/run/app:uid=10001,gid=10001,mode=0750"."""
    cap_add: Items[Name] = ()
    """Capabilities added."""
    cap_drop: Items[Name] = ()
    """Capabilities dropped, as ["ALL"]."""
    restart: Literal["no", "on-failure", "always", "unless-stopped"] = "unless-stopped"
    """Reaction of the engine when the process ends."""
    stop_grace: Duration = 10_000
    """Time from the stop signal to SIGKILL."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels beside those that name service, environment, version, commit, digest and deployment."""
    files: dict[AbsolutePath, File] = Field(default_factory=dict)
    """Small texts put into the container, by their path there."""
    init: bool | None = None
    """Run a small process 1 of the engine before the service, which collects processes that ended."""
    stop_signal: SignalName | None = None
    """Signal that asks the service to stop; absent: the image's signal, or else SIGTERM."""
    log_driver: Name | None = None
    """The engine's logging driver for this service, as "json-file"; absent: the engine's default."""
    log_options: Annotated[dict[str, str], AfterValidator(_public)] | None = None
    """Options of the logging driver, as { max-size = "10m", max-file = "3" }."""
    healthcheck: HealthcheckSettings | None = None
    health_timeout: Duration = 60_000
    """Limit for a new container to become healthy; in a Swarm: limit for a time without progress."""
    watch: Pause | None = None
    """Time for which a new container must stay healthy, without an end or a restart, before the old one
    stops. Absent: 10 s; "0s": one more check. A rollback does not wait."""
    proxy: Proxy | None = None
    """The proxy in front: with one, a new container is healthy before it takes the traffic of the old one."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of containers that serve, in a Swarm or behind a proxy; there they are replaced one by one."""
