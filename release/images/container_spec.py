"""Specification of a new container, and its form in the Engine API. No request is made here."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any, Final

from release.reference import Digest
from release.runspec import Healthcheck, Mount, Publish
from release.scalars import Entrypoint
from release.values import Reticent, field

LOOPBACK: Final = "127.0.0.1"
"""Address of ports that only this machine may reach."""


BRIDGE: Final = "bridge"
"""The engine's default network."""


UNWATCHED: Final = Healthcheck(disable=True)
"""Health check that is switched off, as each check would start a program in the container."""


NANOSECONDS: Final = 1_000_000
"""Nanoseconds in a millisecond."""


class PlacedFile(Reticent, frozen=True, kw_only=True):
    """File that is put into a container before the container starts."""

    unshown = frozenset({"content"})

    path: str
    content: bytes
    mode: int
    private: bool = False
    """True if the file belongs to the container's user instead of root, and lies in a volume of its own.
    The volume is removed with the container. `docker commit` and `docker export` do not copy it.
    """


class ContainerSpec(Reticent, frozen=True, kw_only=True):
    """Everything that the engine needs to create a container. Memory in bytes, cpus in thousandths."""

    unshown = frozenset({"env"})

    image: Digest
    """Id of the image in the engine's store, never a tag."""
    name: str | None = None
    command: tuple[str, ...] | None = None
    entrypoint: Entrypoint = "keep"
    """"replace": `command` runs instead of the image's ENTRYPOINT; "keep": `command` is its arguments."""
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    publish: tuple[Publish, ...] = ()
    publish_ephemeral: tuple[int, ...] = ()
    """Container ports that are published on a free port of `ephemeral_address`."""
    ephemeral_address: str = LOOPBACK
    networks: tuple[str, ...] = ()
    has_network: bool = True
    """False: the container has no network beside its loopback device."""
    aliases: tuple[str, ...] = ()
    """Names on each of these networks, in addition to the container's name."""
    volumes: tuple[Mount, ...] = ()
    memory: int | None = None
    cpus: int | None = None
    pids: int | None = None
    cpu_shares: int | None = None
    """Weight for a processor that several containers want; None is 1024."""
    user: str | None = None
    read_only: bool = False
    tmpfs: tuple[str, ...] = ()
    """Folders in memory, each with its options: "/run/app:uid=10001"."""
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    files: tuple[PlacedFile, ...] = ()
    restart: str = "no"
    stop_grace: int = 10_000
    """Milliseconds from the stop signal to SIGKILL."""
    stop_signal: str | None = None
    """None: the image's signal, else SIGTERM."""
    init: bool | None = None
    """True: the engine adds an init process, which collects ended processes."""
    log_driver: str | None = None
    """None: the engine's default."""
    log_options: Mapping[str, str] | None = None
    healthcheck: Healthcheck | None = None
    """None: the image's health check."""
    has_input: bool = False
    """True: standard input stays open until the first connected program ends."""
    has_terminal: bool = False
    """True: the standard streams are a terminal."""

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Return folders that need an anonymous volume: with private files, or in a read-only root."""
        apart = (file.path for file in self.files if file.private or self.read_only)
        return tuple(sorted({path.rpartition("/")[0] for path in apart}))


def whole_seconds(milliseconds: int) -> int:
    """Return whole seconds for the API, rounded up, so that nothing is killed early."""
    return -(-milliseconds // 1000)


def container_config(spec: ContainerSpec) -> dict[str, Any]:
    """Return the body of ContainerCreate; unset fields are left to the image and the engine."""
    config: dict[str, Any] = {
        "Image": spec.image.text,
        "Env": [f"{key}={value}" for key, value in spec.env.items()],
        "Labels": dict(spec.labels),
        "ExposedPorts": {port: {} for port in _bindings(spec)},
        "StopTimeout": whole_seconds(spec.stop_grace),
        "HostConfig": _host_config(spec),
        "NetworkingConfig": {"EndpointsConfig": {network: _endpoint(spec) for network in spec.networks}},
    }
    if spec.command is not None:
        config["Entrypoint" if spec.entrypoint == "replace" else "Cmd"] = list(spec.command)
    if spec.user is not None:
        config["User"] = spec.user
    if spec.stop_signal is not None:
        config["StopSignal"] = spec.stop_signal
    if spec.has_input:
        config |= {"OpenStdin": True, "StdinOnce": True, "Tty": spec.has_terminal}
    if spec.healthcheck is not None:
        config["Healthcheck"] = healthcheck_config(spec.healthcheck)
    return config


def healthcheck_config(check: Healthcheck) -> dict[str, Any]:
    """Return the API's HealthConfig; an empty test and a time of 0 mean the image's; in nanoseconds."""
    times = {
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
    }
    command = ["CMD", *check.command] if check.command is not None else []
    return {
        "Test": ["NONE"] if check.disable else command,
        **{key: time * NANOSECONDS for key, time in times.items() if time is not None},
        **({"Retries": check.retries} if check.retries is not None else {}),
    }


def _endpoint(spec: ContainerSpec) -> dict[str, Any]:
    return {"Aliases": list(spec.aliases)} if spec.aliases else {}


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    return {
        "PortBindings": _bindings(spec),
        "RestartPolicy": {"Name": spec.restart},
        "ReadonlyRootfs": spec.read_only,
        "Tmpfs": dict(folder.partition(":")[::2] for folder in spec.tmpfs),
        "Mounts": [
            *map(_mount, spec.volumes),
            *(_own_volume(folder, spec.labels) for folder in spec.own_folders),
        ],
        "CapAdd": list(spec.cap_add),
        "CapDrop": list(spec.cap_drop),
        "SecurityOpt": ["no-new-privileges:true"] if spec.no_new_privileges else [],
        **_network_mode(spec),
        **({"Init": spec.init} if spec.init is not None else {}),
        **_logging(spec),
        **_limits(spec),
    }


def _network_mode(spec: ContainerSpec) -> dict[str, str]:
    if not spec.has_network:
        return {"NetworkMode": "none"}
    return {"NetworkMode": spec.networks[0]} if spec.networks else {}


def _own_volume(folder: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return an anonymous volume with labels: the engine removes it with its container."""
    return {"Type": "volume", "Target": folder, "VolumeOptions": {"Labels": dict(labels)}}


def _logging(spec: ContainerSpec) -> dict[str, Any]:
    """Return the API's LogConfig; without a type, the engine's default driver gets the options."""
    if spec.log_driver is None and spec.log_options is None:
        return {}
    return {"LogConfig": {"Type": spec.log_driver or "", "Config": dict(spec.log_options or {})}}


def _limits(spec: ContainerSpec) -> dict[str, int]:
    """Return the limits of memory and processors; swap equal to memory means no swap."""
    asked = {
        "Memory": spec.memory,
        "MemorySwap": spec.memory,
        "NanoCpus": None if spec.cpus is None else spec.cpus * 1_000_000,
        "PidsLimit": spec.pids,
        "CpuShares": spec.cpu_shares,
    }
    return {key: value for key, value in asked.items() if value is not None}


def _bindings(spec: ContainerSpec) -> dict[str, list[dict[str, str]]]:
    """Return the host addresses of each published port, by a key as "8000/tcp"."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for publish in spec.publish:
        places = bindings.setdefault(f"{publish.container}/{publish.protocol}", [])
        places.append({"HostIp": publish.address, "HostPort": str(publish.host)})
    for port in spec.publish_ephemeral:
        bindings.setdefault(f"{port}/tcp", []).append({"HostIp": spec.ephemeral_address, "HostPort": ""})
    return bindings


def _mount(mount: Mount) -> dict[str, Any]:
    """Return a volume or bind for the Mounts API, which refuses a bind with a missing source."""
    return {
        "Type": "bind" if mount.is_bind else "volume",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }


def files_archive(files: Iterable[PlacedFile], folder: str, owner: tuple[int, int]) -> bytes:
    """Return a tar archive of the files below a folder, for PutContainerArchive.

    Args:
        files: their paths are absolute.
        folder: where the archive is unpacked, as "/run/secrets"; "/" for the root.
        owner: user and group of private files.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for file in files:
            entry = tarfile.TarInfo(file.path.removeprefix(folder).lstrip("/"))
            entry.size, entry.mode = len(file.content), file.mode
            entry.uid, entry.gid = owner if file.private else (0, 0)
            tar.addfile(entry, io.BytesIO(file.content))
    return stream.getvalue()
