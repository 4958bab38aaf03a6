"""Run settings of a container, which a deployment records and a rollback restores.

Units are fixed here, once: memory in bytes, time in milliseconds, processors in thousandths, so that a
record holds whole numbers only. The text forms ("256m", "30s", "127.0.0.1:8080:8000") are those of the
Docker command line and of Compose.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    model_validator,
)

from release.gatespec import HealthGates
from release.scalars import (
    AbsolutePath,
    Entrypoint,
    HeaderName,
    HeaderValue,
    HostName,
    Items,
    Name,
    Port,
    RequestPath,
    SignalName,
    Value,
    VariableName,
    own_headers,
)
from release.targetspec import KubernetesSpec, SwarmSpec


class Publish(Value):
    """Published port: `[address:]host:container[/tcp|udp]`."""

    address: str = "0.0.0.0"  # noqa: S104 - the engine's own default, made visible
    host: Port
    container: Port
    protocol: Literal["tcp", "udp"] = "tcp"

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        return value if isinstance(value, Mapping | Publish) else _parse_publish(value)

    def __str__(self) -> str:
        """Return the port as the Docker command line writes it."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        suffix = "" if self.protocol == "tcp" else f"/{self.protocol}"
        return f"{address}:{self.host}:{self.container}{suffix}"


_PUBLISH = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?([0-9]{1,9}):([0-9]{1,9})(?:/(tcp|udp))?")


def _parse_publish(value: object) -> dict[str, Any]:
    match = _PUBLISH.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a published port: write [address:]host:container, as "8080:8000"')
    parts: dict[str, Any] = {"host": int(match[2]), "container": int(match[3])}
    if match[1]:
        parts["address"] = str(ipaddress.ip_address(match[1].strip("[]")))
    if match[4]:
        parts["protocol"] = match[4]
    return parts


class Mount(Value):
    """Volume or folder of the engine's machine in the container: `source:/target[:ro]`."""

    source: str
    target: AbsolutePath
    read_only: bool = False

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        return value if isinstance(value, Mapping | Mount) else _parse_mount(value)

    @property
    def is_bind(self) -> bool:
        """Return whether the source is a folder of the machine instead of a named volume."""
        return self.source.startswith("/")

    def __str__(self) -> str:
        """Return the mount as the Docker command line writes it."""
        return f"{self.source}:{self.target}{':ro' if self.read_only else ''}"


_MOUNT = re.compile(r"(/[^:\x00]*|[a-zA-Z0-9][a-zA-Z0-9_.-]*):(/[^:\x00]*)(?::(ro|rw))?")


def _parse_mount(value: object) -> dict[str, Any]:
    match = _MOUNT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{value!r} is not a mount: write volume:/path or /folder:/path, and :ro to protect it"
        )
    return {"source": match[1], "target": match[2], "read_only": match[3] == "ro"}


class Probe(Value):
    """An HTTP request that a healthy service answers. Keys of a later minor version of a record are kept."""

    model_config = ConfigDict(extra="allow")

    port: Port
    path: RequestPath = "/"
    status: Annotated[int, Field(ge=100, le=599)] = 200
    timeout: Annotated[int, Field(gt=0)] = 30_000
    """Limit from the start of the service to the first right answer, in milliseconds."""
    host: HostName | None = None
    """The `Host` header; None: the address that is asked."""
    headers: Annotated[dict[HeaderName, HeaderValue], AfterValidator(own_headers)] | None = None
    """Further header fields of the request."""


class Healthcheck(Value):
    """Health check instead of the image's own. Times in milliseconds; None keeps the image's value."""

    model_config = ConfigDict(extra="allow")

    disable: bool | None = None
    """True: no health check, even if the image has one."""
    command: Items[str] | None = None
    """A program of the image and its words; status 0 is healthy."""
    interval: int | None = None
    timeout: int | None = None
    start_period: int | None = None
    start_interval: int | None = None
    retries: int | None = None


class RecordedFile(Value):
    """A file that a deployment puts into the container: a rollback puts the same content there again."""

    model_config = ConfigDict(extra="allow")

    content: str
    sha256: str
    """Of the content in UTF-8."""
    mode: int

    def __str__(self) -> str:
        """Return mode and first digits of the hash, for a comparison by people."""
        return f"{self.mode:04o} sha256:{self.sha256[:12]}"


class RunSpec(HealthGates):
    """Settings of a container apart from the image. Each deployment records them.

    `secrets` holds fingerprints by variable name, never values. `stop_grace` and the probe's timeout are
    milliseconds, `memory` bytes, `cpus` thousandths. Keys of a later minor version of a record are kept. A
    key that is None is not recorded, so that an older version of the library restores what it knows.
    """

    model_config = ConfigDict(extra="allow")

    command: Items[str] | None = None
    entrypoint: Entrypoint | None = None
    """Use of the image's ENTRYPOINT with `command`; None: it was kept, as older versions always did."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    secrets: dict[VariableName, str] = Field(default_factory=dict)
    publish: Items[Publish] = ()
    networks: Items[Name] = ()
    volumes: Items[Mount] = ()
    memory: int | None = None
    cpus: int | None = None
    pids: int | None = None
    user: str | None = None
    read_only: bool = False
    tmpfs: Items[AbsolutePath] = ()
    tmpfs_options: dict[AbsolutePath, str] | None = None
    """Owner, mode and size of these folders, by path, as the engine takes them: "uid=10001,mode=0750"."""
    cap_add: Items[Name] = ()
    cap_drop: Items[Name] = ()
    restart: Literal["no", "on-failure", "always", "unless-stopped"] = "unless-stopped"
    stop_grace: int = 10_000
    labels: dict[str, str] = Field(default_factory=dict)
    files: dict[AbsolutePath, RecordedFile] | None = None
    """By path in the container."""
    secret_files: dict[VariableName, AbsolutePath] | None = None
    """Path in the container of a secret that is a file instead of a variable."""
    init: bool | None = None
    stop_signal: SignalName | None = None
    log_driver: Name | None = None
    log_options: dict[str, str] | None = None
    healthcheck: Healthcheck | None = None
    watch: int | None = None
    """Milliseconds that the new container had to stay healthy before the old one was removed; None: 10,000.
    """
    replicas: int = 1
    proxy: str | None = None
    """The kind of proxy that the containers sat behind; none: they took their requests themselves."""
    probe: Probe | None = None
    swarm: SwarmSpec | None = None
    """Present only for a deployment to a Swarm."""
    kubernetes: KubernetesSpec | None = None
    """Present only for a deployment to a Kubernetes cluster."""
    processes: Items[ProcessSpec] | None = None
    """Processes that ran, in the order of replacement; none: one, with these settings."""

    @model_validator(mode="after")
    def _one_level(self) -> RunSpec:
        names = [each.name for each in self.processes or ()]
        if len(set(names)) < len(names) or any(each.settings.processes for each in self.processes or ()):
            raise ValueError("processes: each has a name of its own, and no processes")
        return self

    @property
    def every(self) -> dict[str, RunSpec]:
        """Return the settings of each process by name, in the order of replacement.

        Without processes, these settings themselves have an empty name.
        """
        return {each.name: each.settings for each in self.processes or ()} or {"": self}

    @property
    def exclusive(self) -> frozenset[str]:
        """Return names of processes of which only one instance may run at a time."""
        return frozenset(each.name for each in self.processes or () if each.exclusive)

    @property
    def containers(self) -> int:
        """Return the number of running containers."""
        return sum(each.replicas for each in self.every.values())

    def mapped(self, change: Callable[[str, RunSpec], RunSpec]) -> RunSpec:
        """Return the settings after a function changed those of each process.

        With processes, the function gets the settings of each process.
        """
        if self.processes is None:
            return change("", self)
        changed = [
            each.model_copy(update={"settings": change(each.name, each.settings)}) for each in self.processes
        ]
        return self.model_copy(update={"processes": tuple(changed)})

    def with_secrets(self, fingerprints: Mapping[str, str]) -> RunSpec:
        """Return the settings with these secret fingerprints for every process."""

        def sealed(_: str, spec: RunSpec) -> RunSpec:
            return spec.model_copy(update={"secrets": dict(fingerprints)})

        return sealed("", self).mapped(sealed)

    @property
    def unknown(self) -> list[str]:
        """Return names of recorded settings that this version of the library does not know."""
        parts = {
            "": self,
            "probe.": self.probe,
            "swarm.": self.swarm,
            "kubernetes.": self.kubernetes,
        }
        names = [f"{at}{key}" for at, part in parts.items() for key in (part and part.model_extra) or ()]
        for each in self.processes or ():
            keys = [*(each.model_extra or ()), *each.settings.unknown]
            names += [f"processes.{each.name}.{key}" for key in keys]
        return names


class ProcessSpec(Value):
    """One of several processes of the same image. Keys of a later minor version of a record are kept."""

    model_config = ConfigDict(extra="allow")

    name: str
    settings: RunSpec
    after: Items[str] = ()
    """Processes that are replaced before this one."""
    exclusive: bool = False
    """True: only one instance of the process may run at a time."""


RunSpec.model_rebuild()
