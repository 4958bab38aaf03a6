"""Objects of a Swarm as values: nodes, services, tasks, secrets and configs, networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from release.reference import Digest
from release.values import Reticent, Struct, field

_ARCHITECTURES: Final = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i686": "386",
    "armv6l": "arm",
    "armv7l": "arm",
}
"""Names of processors: as kernels call them, and as images do."""

_MILLI: Final = 1_000_000
"""Billionths of a processor in a thousandth."""


class Membership(Struct, frozen=True, kw_only=True):
    """Membership of an engine in a Swarm."""

    is_active: bool
    is_manager: bool
    managers: tuple[str, ...]
    """Addresses of managers that it knows."""
    node: str = ""
    """The id of its own node."""
    trouble: str = ""
    """Reason why it cannot report on its Swarm, although it is a manager."""


class Node(Struct, frozen=True, kw_only=True):
    """A machine of the Swarm."""

    id: str
    name: str
    address: str
    is_ready: bool
    availability: str
    """active, pause or drain."""
    is_manager: bool
    state: str = "ready"
    """State by the managers: ready, down, disconnected or unknown."""
    reachability: str = ""
    """Reachability of a manager: leader, reachable, unreachable or unknown; empty for a worker."""
    system: str = "linux"
    machine: str = "x86_64"
    """Processor, as its kernel calls it."""
    cpus: int = 0
    """Thousandths."""
    memory: int = 0
    """Bytes."""
    version: str = ""
    """Version of the node's engine."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that operators gave the node."""
    engine_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that its engine was started with."""

    @property
    def platform(self) -> str:
        """Return the platform in the form of images: linux/amd64."""
        return f"{self.system}/{_ARCHITECTURES.get(self.machine, self.machine)}"

    @property
    def takes_tasks(self) -> bool:
        """Return whether the Swarm gives it new tasks."""
        return self.is_ready and self.availability == "active"


class Service(Reticent, frozen=True, kw_only=True):
    """A service in the Swarm. An update must name its `version`, or it is refused."""

    unshown = frozenset({"spec", "previous"})

    id: str
    name: str
    version: int
    spec: Mapping[str, Any]
    updated_at: str
    update: str | None
    """State of its last update: updating, paused, completed, rollback_started, rollback_paused or
    rollback_completed; None for a service that was only created."""
    update_message: str
    previous: Mapping[str, Any] = field(default_factory=dict)
    """The spec before its last update, which the Swarm itself would go back to; empty for none."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the service's own labels."""
        return self.spec.get("Labels") or {}


class Task(Struct, frozen=True, kw_only=True):
    """One run of a service on a node."""

    id: str
    slot: int
    node: str
    """The node's id; empty until one is chosen."""
    image: Digest | None
    """Digest of the manifest; None if the image is only named by a tag."""
    labels: Mapping[str, str]
    """Labels of the task's container."""
    desired: str
    """State that the Swarm wants: ready, running, shutdown or remove."""
    state: str
    """State: new, pending, assigned, accepted, preparing, ready, starting, running, complete, shutdown,
    failed, rejected, remove or orphaned."""
    error: str
    message: str
    exit_code: int | None
    created_at: str
    service: str = ""
    """The service's id."""
    ports: Mapping[int, int] = field(default_factory=dict)
    """Ports of the node by port of the container, if the task has host ports."""
    cpus: int = 0
    """Thousandths of a processor that are reserved for the task."""
    memory: int = 0
    """Bytes that are reserved for the task."""
    parts: frozenset[str] = frozenset()
    """Ids of the task's secrets and configs."""
    container: str = ""
    """The id of its container on its node; empty before there is one."""


class Stored(Struct, frozen=True, kw_only=True):
    """A secret or a config, without its content."""

    id: str
    name: str
    labels: Mapping[str, str]


class Network(Struct, frozen=True, kw_only=True):
    """A network as services see it."""

    id: str
    is_for_services: bool
    """True: the network reaches across the Swarm."""
    name: str = ""


def read_node(data: Mapping[str, Any]) -> Node:
    """Read a node as the engine describes it."""
    about, manager = data["Description"], data.get("ManagerStatus") or {}
    resources, engine = about.get("Resources") or {}, about.get("Engine") or {}
    return Node(
        id=data["ID"],
        name=about["Hostname"],
        address=_address(data["Status"].get("Addr") or "", manager.get("Addr") or ""),
        is_ready=data["Status"]["State"] == "ready",
        availability=data["Spec"]["Availability"],
        is_manager=data["Spec"]["Role"] == "manager",
        state=data["Status"]["State"],
        reachability="leader" if manager.get("Leader") else manager.get("Reachability") or "",
        system=(about.get("Platform") or {}).get("OS") or "",
        machine=(about.get("Platform") or {}).get("Architecture") or "",
        cpus=(resources.get("NanoCPUs") or 0) // _MILLI,
        memory=resources.get("MemoryBytes") or 0,
        version=engine.get("EngineVersion") or "",
        labels=data["Spec"].get("Labels") or {},
        engine_labels=engine.get("Labels") or {},
    )


def _address(seen: str, manages_at: str) -> str:
    """Return the node's address, as the leader sees it. It may see itself at 0.0.0.0.

    A manager has an address for the others, too, with a port (NodeInspect, ManagerStatus.Addr).
    """
    if seen not in ("0.0.0.0", "::") or not manages_at:  # noqa: S104 - compared, not bound
        return seen
    return manages_at.rpartition(":")[0].strip("[]")


def read_service(data: Mapping[str, Any]) -> Service:
    """Read a service as the engine describes it."""
    status = data.get("UpdateStatus") or {}
    return Service(
        id=data["ID"],
        name=data["Spec"]["Name"],
        version=data["Version"]["Index"],
        spec=data["Spec"],
        updated_at=data["UpdatedAt"],
        update=status.get("State") or None,
        update_message=status.get("Message") or "",
        previous=data.get("PreviousSpec") or {},
    )


def read_task(data: Mapping[str, Any]) -> Task:
    """Read a task as the engine describes it."""
    status, container = data["Status"], data["Spec"].get("ContainerSpec") or {}
    ended = status.get("ContainerStatus") or {}
    reserved = (data["Spec"].get("Resources") or {}).get("Reservations") or {}
    ports = (status.get("PortStatus") or {}).get("Ports") or ()
    return Task(
        id=data["ID"],
        slot=data.get("Slot") or 0,
        node=data.get("NodeID") or "",
        image=image_digest(container.get("Image") or ""),
        labels=container.get("Labels") or {},
        desired=data["DesiredState"],
        state=status["State"],
        error=status.get("Err") or "",
        message=status.get("Message") or "",
        exit_code=ended.get("ExitCode"),
        created_at=data["CreatedAt"],
        service=data.get("ServiceID") or "",
        ports={port["TargetPort"]: port.get("PublishedPort") or 0 for port in ports},
        cpus=(reserved.get("NanoCPUs") or 0) // _MILLI,
        memory=reserved.get("MemoryBytes") or 0,
        parts=parts_of(container),
        container=ended.get("ContainerID") or "",
    )


def parts_of(container: Mapping[str, Any]) -> frozenset[str]:
    """Return the ids of secrets and configs in a container spec."""
    secrets = (secret.get("SecretID") for secret in container.get("Secrets") or ())
    configs = (config.get("ConfigID") for config in container.get("Configs") or ())
    return frozenset(part for part in (*secrets, *configs) if part)


def image_digest(image: str) -> Digest | None:
    """Return the digest of a service's image: `repository@sha256:…`, or the digest alone."""
    text = image.rpartition("@")[2]
    return Digest(text) if text.startswith("sha256:") else None


def read_stored(data: Mapping[str, Any]) -> Stored:
    """Read a secret or config as the engine describes it."""
    return Stored(id=data["ID"], name=data["Spec"]["Name"], labels=data["Spec"].get("Labels") or {})
