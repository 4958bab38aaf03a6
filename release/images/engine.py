"""A Docker Engine through its API: its image store and its containers. The only importer of `docker`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from release.process import Cancellation
from release.reference import Digest, Reference
from release.runspec import Mount, Publish


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """What an engine says about itself."""

    name: str
    version: str
    api_version: str
    platform: str
    """As "linux/amd64"."""
    image_store: Literal["containerd", "graph"]


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """An image in the engine's store."""

    id: Digest
    """containerd store: the manifest (or index) digest. Graph driver: the config digest."""
    diff_ids: tuple[Digest, ...]
    """Digests of the uncompressed layers, base first."""
    references: tuple[str, ...]
    """Tags and digests it is known under."""
    user: str
    labels: Mapping[str, str]
    size: int
    """Bytes."""
    has_healthcheck: bool


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """Everything that the engine is told about a container. Memory in bytes, cpus in thousandths."""

    image: Digest
    """The id in the engine's store, never a tag."""
    name: str | None = None
    command: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    publish: tuple[Publish, ...] = ()
    publish_ephemeral: tuple[int, ...] = ()
    """Container ports bound to a free port of 127.0.0.1."""
    networks: tuple[str, ...] = ()
    volumes: tuple[Mount, ...] = ()
    memory: int | None = None
    cpus: int | None = None
    pids: int | None = None
    user: str | None = None
    read_only: bool = False
    tmpfs: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    restart: str = "no"
    stop_grace: int = 10_000
    """Milliseconds from SIGTERM to SIGKILL."""


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """A container as the engine sees it now."""

    id: str
    name: str
    image: Digest
    """The id of the image in the store."""
    status: str
    """created, running, restarting, exited, dead, paused."""
    health: Literal["none", "starting", "healthy", "unhealthy"]
    exit_code: int
    restarts: int
    oom_killed: bool
    started_at: str
    labels: Mapping[str, str]
    ports: Mapping[int, tuple[str, int]]
    """Container port → (host address, host port)."""
    address: str | None
    """On its first network; reachable only from the engine's machine."""


class Engine:
    """One Docker Engine."""

    host: str
    """Its address, as "unix:///var/run/docker.sock"."""
    info: EngineInfo

    @classmethod
    def connect(cls, *, host: str | None = None, context: str | None = None) -> Engine:
        """Reach an engine: this address, this Docker context, or the one that `docker` itself would use.

        Raises:
            EngineUnreachable: it does not answer; UsageError: no such context.
        """
        raise NotImplementedError

    def command_environment(self) -> dict[str, str]:
        """Variables that make the `docker` command line talk to this engine (with `--builder default`)."""
        raise NotImplementedError

    # images
    def find(self, *, digest: Digest, config_digest: Digest) -> StoredImage | None:
        """The image with this content, whatever it is called here."""
        raise NotImplementedError

    def inspect(self, reference: Reference | Digest) -> StoredImage | None:
        """The image of that name, or None."""
        raise NotImplementedError

    def tag(self, image: Digest, reference: Reference) -> None:
        """Give the image one more name."""
        raise NotImplementedError

    def untag(self, reference: Reference) -> None:
        """Take a name away; the image goes with its last name. No error when the name is unknown."""
        raise NotImplementedError

    @contextmanager
    def exported(self, reference: Reference) -> Iterator[BinaryIO]:
        """The image as a tar stream (containerd store: an OCI image layout), as `docker save` gives it."""
        raise NotImplementedError
        yield

    def push(self, reference: Reference, *, cancellation: Cancellation) -> None:
        """Upload the image to its registry, with the credentials Docker has for it. Raises RegistryError."""
        raise NotImplementedError

    def pull(self, reference: Reference) -> StoredImage:
        """Download an image, by digest. Raises RegistryError, RegistryUnreachable."""
        raise NotImplementedError

    # containers
    def create(self, spec: ContainerSpec) -> str:
        """Create a container and return its id. Raises EngineError (name taken: NameTaken)."""
        raise NotImplementedError

    def start(self, container: str) -> None:
        """Start it. Raises EngineError (port taken, ...)."""
        raise NotImplementedError

    def state(self, container: str) -> ContainerState | None:
        """What it is doing; None when there is no such container."""
        raise NotImplementedError

    def wait(self, container: str, *, timeout: int, cancellation: Cancellation) -> int:
        """Its exit status. Raises TimeoutError after `timeout` milliseconds, Cancelled."""
        raise NotImplementedError

    def follow(self, container: str) -> Iterator[str]:
        """Its output, line by line, until it ends."""
        raise NotImplementedError

    def logs(self, container: str, *, lines: int) -> tuple[str, ...]:
        """The last lines of its output."""
        raise NotImplementedError

    def read_file(self, container: str, path: str) -> bytes | None:
        """One file out of a container, also a stopped one; None when it is not there."""
        raise NotImplementedError

    def stop(self, container: str, *, grace: int) -> None:
        """SIGTERM, and SIGKILL after `grace` milliseconds. No error when it is stopped already."""
        raise NotImplementedError

    def remove(self, container: str) -> None:
        """Kill and remove it with its anonymous volumes. No error when it is gone."""
        raise NotImplementedError

    def rename(self, container: str, name: str) -> None:
        """Give it another name."""
        raise NotImplementedError

    def containers(self, labels: Mapping[str, str]) -> Sequence[ContainerState]:
        """All containers that carry these labels, running or not, oldest first."""
        raise NotImplementedError

    def has_network(self, name: str) -> bool:
        """Whether the engine has a network of that name."""
        raise NotImplementedError

    def has_volume(self, name: str) -> bool:
        """Whether the engine has a volume of that name."""
        raise NotImplementedError
