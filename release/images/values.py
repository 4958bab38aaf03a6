"""Images and containers of an engine as values, parsed from the JSON of its API.

Pure: no request is made here. Source of the JSON: Docker Engine API 1.45, ImageInspect, ContainerCreate and
ContainerInspect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, cast

from release.images.container_spec import NANOSECONDS
from release.reference import Digest
from release.values import Struct, check_types, field

_SHELL: Final = ("/bin/sh", "-c")


_CHECK_TIMEOUT: Final = 30_000
"""The engine's default in milliseconds (Dockerfile reference, HEALTHCHECK)."""


Health = Literal["none", "starting", "healthy", "unhealthy"]


class EngineInfo(Struct, frozen=True, kw_only=True):
    """Facts of an engine."""

    name: str
    version: str
    api_version: str
    platform: str
    """As "linux/amd64"."""
    image_store: Literal["containerd", "graph"]
    ahead_ms: int = 0
    """Milliseconds by which the engine's clock was ahead of this machine's clock in this answer."""
    data_root: str = ""
    """Data folder on the engine's machine; empty if the engine does not name it."""

    def speaks(self, version: tuple[int, int]) -> bool:
        """Return whether the engine's API has this version or a later one, as (1, 44)."""
        major, _, minor = self.api_version.partition(".")
        return (int(major), int(minor or 0)) >= version


class StoredImage(Struct, frozen=True, kw_only=True):
    """Image in an engine's store."""

    id: Digest
    """containerd store: the manifest (or index) digest. Graph driver: the config digest."""
    diff_ids: tuple[Digest, ...]
    """Digests of the uncompressed layers, base first."""
    references: tuple[str, ...]
    """Tags and digests of the image."""
    user: str
    labels: Mapping[str, str]
    size: int
    """Size in bytes."""
    has_healthcheck: bool
    entrypoint: tuple[str, ...] = ()
    """ENTRYPOINT; empty if there is none."""
    command: tuple[str, ...] = ()
    """CMD; empty if there is none."""
    folder: str = ""
    """WORKDIR."""
    exposed: tuple[int, ...] = ()
    """TCP ports of EXPOSE."""
    variables: tuple[str, ...] = ()
    """ENV, each as "NAME=value"."""


class ContainerState(Struct, frozen=True, kw_only=True):
    """State of a container in one answer of the engine."""

    id: str
    name: str
    image: Digest
    """Id of the image in the store."""
    status: str
    """created, running, restarting, removing, exited, dead, paused."""
    health: Health
    exit_code: int
    restarts: int
    oom_killed: bool
    started_at: str
    labels: Mapping[str, str]
    ports: Mapping[int, tuple[str, int]]
    """Container port → (host address, host port)."""
    address: str | None
    """Address on the first network; reachable only from the engine's machine."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """Address by network; empty if the container does not run."""
    aliases: tuple[str, ...] = ()
    """Additional names on these networks."""
    check: tuple[str, ...] = ()
    """Program of the health check with its arguments; empty if there is none."""
    stop_signal: str = ""
    """Stop signal of the image or the settings; empty means SIGTERM."""
    created_at: str = ""
    check_timeout: int = _CHECK_TIMEOUT
    """Limit of one health check in milliseconds."""
    argv: tuple[str, ...] = ()
    """Program of the container with its arguments: ENTRYPOINT and command together."""
    workdir: str = "/"
    """Working folder of the program."""


class Used(Struct, frozen=True, kw_only=True):
    """Usage of a container since its start; None where the engine does not tell."""

    seconds: float | None = None
    """Processor time in seconds."""
    peak_memory: int | None = None
    """Peak memory in bytes with page cache; None on an engine with cgroups 2."""


class Executed(Struct, frozen=True, kw_only=True):
    """Result of a program that was run inside a container."""

    status: int
    output: bytes
    """Last bytes of output, within the limit of the call."""
    errors: bytes
    is_cut: bool = False
    """True: output or errors were larger than the limit."""


class PublishedPort(Struct, frozen=True, kw_only=True):
    """Host address, port and protocol on which a container's port is published."""

    address: str
    port: int
    protocol: str = "tcp"


class Publisher(Struct, frozen=True, kw_only=True):
    """Running container with its published ports."""

    name: str
    labels: Mapping[str, str]
    places: frozenset[PublishedPort]


def read_publisher(data: Mapping[str, Any]) -> Publisher:
    """Parse one entry of ContainerList."""
    ports = data.get("Ports") or ()
    return check_types(
        Publisher(
            name=next(iter(data.get("Names") or ("?",))).removeprefix("/"),
            labels=data.get("Labels") or {},
            places=frozenset(
                PublishedPort(
                    address=port.get("IP") or "", port=port["PublicPort"], protocol=port.get("Type") or "tcp"
                )
                for port in ports
                if port.get("PublicPort")
            ),
        )
    )


def read_labels(data: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels in an answer. Raise TypeError if names or values are not texts."""
    labels = data.get("Labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in labels.values()):
        raise TypeError("its labels are not all text")
    return labels


def stored_image(data: Mapping[str, Any]) -> StoredImage:
    """Parse an answer of ImageInspect."""
    config = data.get("Config") or {}
    return check_types(
        StoredImage(
            id=Digest(data["Id"]),
            diff_ids=tuple(Digest(layer) for layer in (data.get("RootFS") or {}).get("Layers") or ()),
            references=(*(data.get("RepoTags") or ()), *(data.get("RepoDigests") or ())),
            user=config.get("User") or "",
            labels=config.get("Labels") or {},
            size=data["Size"],
            has_healthcheck=bool(_check(config)),
            entrypoint=tuple(config.get("Entrypoint") or ()),
            command=tuple(config.get("Cmd") or ()),
            folder=config.get("WorkingDir") or "",
            exposed=_exposed(config.get("ExposedPorts") or {}),
            variables=tuple(config.get("Env") or ()),
        )
    )


def _exposed(ports: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the TCP ports of an image's config, written as "8000/tcp"."""
    parts = (name.partition("/") for name in ports)
    return tuple(sorted(int(port) for port, _, kind in parts if kind == "tcp" and port.isdecimal()))


def user_and_group_ids(user: str, passwd: str, group: str) -> tuple[int, int]:
    """Return user and group of a container as numbers; 0 for names that are not found.

    Args:
        user: as the engine has it: "", "app", "1000", "1000:1000", "app:staff".
        passwd, group: the container's own files (passwd(5), group(5)).
    """
    name, _, chosen = user.partition(":")
    lines = [line.split(":") for line in passwd.splitlines() if line.count(":") >= 3]
    found = next((line for line in lines if name in (line[0], line[2])), None)
    uid = int(name) if name.isdecimal() else int(found[2]) if found else 0
    own = int(found[3]) if found else 0
    if not chosen:
        return uid, own
    groups = {line.split(":")[0]: line.split(":")[2] for line in group.splitlines() if line.count(":") >= 2}
    return uid, int(chosen) if chosen.isdecimal() else int(groups.get(chosen, own))


def container_state(data: Mapping[str, Any]) -> ContainerState:
    """Parse an answer of ContainerInspect. Raise ValueError, KeyError, TypeError."""
    state = data["State"]
    return check_types(
        ContainerState(
            id=data["Id"],
            name=data["Name"].removeprefix("/"),
            image=Digest(data["Image"]),
            status=state["Status"],
            health=_health(state),
            exit_code=state["ExitCode"],
            restarts=data.get("RestartCount", 0),
            oom_killed=state["OOMKilled"],
            started_at=state["StartedAt"],
            labels=data["Config"].get("Labels") or {},
            ports=_ports(data["NetworkSettings"].get("Ports") or {}),
            address=_address(data),
            networks={name: network.get("IPAddress") or "" for name, network in _networks(data).items()},
            aliases=tuple(
                alias for network in _networks(data).values() for alias in network.get("Aliases") or ()
            ),
            stop_signal=data["Config"].get("StopSignal") or "",
            created_at=data.get("Created") or "",
            check=_check(data["Config"]),
            check_timeout=_check_timeout(data["Config"]),
            argv=(data["Path"], *(data.get("Args") or ())) if data.get("Path") else (),
            workdir=data["Config"].get("WorkingDir") or "/",
        )
    )


def _check(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words of a health check: of "CMD", or of the shell with the text of "CMD-SHELL".

    `HEALTHCHECK NONE` in a Dockerfile is written ["NONE"]; without one there is nothing.
    """
    kind, *words = (config.get("Healthcheck") or {}).get("Test") or ["NONE"]
    if kind == "CMD-SHELL":
        return (*(config.get("Shell") or _SHELL), *words)
    return tuple(words) if kind == "CMD" else ()


def _check_timeout(config: Mapping[str, Any]) -> int:
    """Return the limit of a health check in milliseconds; 0 in the API means the default."""
    return ((config.get("Healthcheck") or {}).get("Timeout") or 0) // NANOSECONDS or _CHECK_TIMEOUT


def _networks(data: Mapping[str, Any]) -> Mapping[str, Any]:
    networks: Mapping[str, Any] = data["NetworkSettings"].get("Networks") or {}
    return networks


def _health(state: Mapping[str, Any]) -> Health:
    """Return the health of a container; empty if it has no health check."""
    return cast(Health, (state.get("Health") or {}).get("Status") or "none")


def _ports(data: Mapping[str, Any]) -> dict[int, tuple[str, int]]:
    """Return the first host address of each port; TCP before UDP of the same number."""
    published = sorted((name, places[0]) for name, places in data.items() if places)
    return {
        int(name.partition("/")[0]): (place["HostIp"], int(place["HostPort"]))
        for name, place in reversed(published)
    }


def _address(data: Mapping[str, Any]) -> str | None:
    networks = _networks(data)
    first = networks.get(data["HostConfig"]["NetworkMode"])
    addresses = [network.get("IPAddress") for network in ([first] if first else networks.values())]
    return next((address for address in addresses if address), None)
