"""Images and containers as an engine knows them, and the JSON of its API that says the same.

Pure: no request is made here. Source of the JSON: Docker Engine API 1.45, ImageInspect, ContainerCreate and
ContainerInspect.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, cast

from release.reference import Digest
from release.runspec import Entrypoint, Healthcheck, Mount, Publish
from release.values import Reticent, Struct, checked, field

LOOPBACK: Final = "127.0.0.1"
"""Where the ports are published that only this machine may reach."""

BRIDGE: Final = "bridge"
"""The engine's usual network."""

UNWATCHED: Final = Healthcheck(disable=True)
"""For a container that nobody asks the engine about: each health check starts a program in it."""

_NANOSECONDS: Final = 1_000_000
"""In a millisecond."""

_SHELL: Final = ("/bin/sh", "-c")
_CHECK_TIMEOUT: Final = 30_000
"""The engine's own, in milliseconds (Dockerfile reference, HEALTHCHECK)."""

Health = Literal["none", "starting", "healthy", "unhealthy"]


class EngineInfo(Struct, frozen=True, kw_only=True):
    """What an engine says about itself."""

    name: str
    version: str
    api_version: str
    platform: str
    """As "linux/amd64"."""
    image_store: Literal["containerd", "graph"]
    ahead_ms: int = 0
    """How many milliseconds its clock was ahead of this machine's when it was asked: each time another."""
    data_root: str = ""
    """Its folder, on its own machine; empty where it does not say."""

    def speaks(self, version: tuple[int, int]) -> bool:
        """Return whether its API is of this version or a later one, as (1, 44)."""
        major, _, minor = self.api_version.partition(".")
        return (int(major), int(minor or 0)) >= version


class StoredImage(Struct, frozen=True, kw_only=True):
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
    entrypoint: tuple[str, ...] = ()
    """Its ENTRYPOINT; empty where it has none."""
    command: tuple[str, ...] = ()
    """Its CMD; empty where it has none."""
    folder: str = ""
    """Its WORKDIR."""
    exposed: tuple[int, ...] = ()
    """The TCP ports of its EXPOSE."""


class PlacedFile(Reticent, frozen=True, kw_only=True):
    """A file that is put into a container before it starts."""

    unshown = frozenset({"content"})

    path: str
    content: bytes
    mode: int
    private: bool = False
    """It belongs to the container's user, not to root; and it is in a volume that goes with the container,
    not in the container's own layer, which `docker commit` and `docker export` would copy."""


class ContainerSpec(Reticent, frozen=True, kw_only=True):
    """Everything that the engine is told about a container. Memory in bytes, cpus in thousandths."""

    unshown = frozenset({"env"})

    image: Digest
    """The id in the engine's store, never a tag."""
    name: str | None = None
    command: tuple[str, ...] | None = None
    entrypoint: Entrypoint = "keep"
    """Whether `command` runs in the place of the image's ENTRYPOINT, or is given to it as arguments."""
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    publish: tuple[Publish, ...] = ()
    publish_ephemeral: tuple[int, ...] = ()
    """Container ports bound to a free port of `ephemeral_address`."""
    ephemeral_address: str = LOOPBACK
    networks: tuple[str, ...] = ()
    has_network: bool = True
    """False: it has its loopback device and no other."""
    aliases: tuple[str, ...] = ()
    """Further names on each of these networks, beside the container's own."""
    volumes: tuple[Mount, ...] = ()
    memory: int | None = None
    cpus: int | None = None
    pids: int | None = None
    cpu_shares: int | None = None
    """Its part of a processor that others want too, where each has 1024 (None)."""
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
    """Milliseconds from SIGTERM to SIGKILL."""
    stop_signal: str | None = None
    """None: the image's, else SIGTERM."""
    init: bool | None = None
    """Whether the engine puts a process 1 of its own before the program, which collects the dead."""
    log_driver: str | None = None
    """None: the engine's."""
    log_options: Mapping[str, str] | None = None
    healthcheck: Healthcheck | None = None
    """None: the image's."""

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Folders of files that are volumes without a name: nothing can be put into a read-only root."""
        apart = (file.path for file in self.files if file.private or self.read_only)
        return tuple(sorted({path.rpartition("/")[0] for path in apart}))


class ContainerState(Struct, frozen=True, kw_only=True):
    """A container as the engine sees it now."""

    id: str
    name: str
    image: Digest
    """The id of the image in the store."""
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
    """On its first network; reachable only from the engine's machine."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """Network → its address there; empty while it does not run."""
    aliases: tuple[str, ...] = ()
    """Its further names on these networks."""
    check: tuple[str, ...] = ()
    """The program of its health check and its words; empty where there is none."""
    stop_signal: str = ""
    """What its image or its settings say; empty: SIGTERM."""
    created_at: str = ""
    check_timeout: int = _CHECK_TIMEOUT
    """Milliseconds that one run of it may take."""
    argv: tuple[str, ...] = ()
    """The program that it runs and its words, ENTRYPOINT and command together."""
    workdir: str = "/"
    """The folder that the program begins in."""


class Executed(Struct, frozen=True, kw_only=True):
    """A program that was run inside a container, and ended."""

    status: int
    output: bytes
    """The last bytes of it, within the limit of the call."""
    errors: bytes
    is_cut: bool = False
    """Whether there was more of either than the limit."""


class Taken(Struct, frozen=True, kw_only=True):
    """A place of a machine that a container's port is published on. TCP and UDP have ports of their own."""

    address: str
    port: int
    protocol: str = "tcp"


class Publisher(Struct, frozen=True, kw_only=True):
    """A running container and the places of its machine that its ports are published on."""

    name: str
    labels: Mapping[str, str]
    places: frozenset[Taken]


def publisher(data: Mapping[str, Any]) -> Publisher:
    """One entry of ContainerList as a value."""
    ports = data.get("Ports") or ()
    return checked(
        Publisher(
            name=next(iter(data.get("Names") or ("?",))).removeprefix("/"),
            labels=data.get("Labels") or {},
            places=frozenset(
                Taken(
                    address=port.get("IP") or "", port=port["PublicPort"], protocol=port.get("Type") or "tcp"
                )
                for port in ports
                if port.get("PublicPort")
            ),
        )
    )


def labels_of(data: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels in an answer. Raises TypeError: they are not texts under texts."""
    labels = data.get("Labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in labels.values()):
        raise TypeError("its labels are not all text")
    return labels


def whole_seconds(milliseconds: int) -> int:
    """The API counts these times in whole seconds: rounded up, so that nothing is killed early."""
    return -(-milliseconds // 1000)


def stored_image(data: Mapping[str, Any]) -> StoredImage:
    """ImageInspect as a value."""
    config = data.get("Config") or {}
    return checked(
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
        )
    )


def _exposed(ports: Mapping[str, Any]) -> tuple[int, ...]:
    """The TCP ports of an image's config, which are written as "8000/tcp"."""
    parts = (name.partition("/") for name in ports)
    return tuple(sorted(int(port) for port, _, kind in parts if kind == "tcp" and port.isdecimal()))


def container_config(spec: ContainerSpec) -> dict[str, Any]:
    """The body of ContainerCreate; what is not asked for is left to the image and the engine."""
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
    if spec.healthcheck is not None:
        config["Healthcheck"] = healthcheck_config(spec.healthcheck)
    return config


def healthcheck_config(check: Healthcheck) -> dict[str, Any]:
    """HealthConfig: an empty test is the image's own, 0 its own time; times are nanoseconds."""
    times = {
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
    }
    command = ["CMD", *check.command] if check.command is not None else []
    return {
        "Test": ["NONE"] if check.disable else command,
        **{key: time * _NANOSECONDS for key, time in times.items() if time is not None},
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
    """Without a name, so that it goes with its container; with labels, so that one that stayed is known."""
    return {"Type": "volume", "Target": folder, "VolumeOptions": {"Labels": dict(labels)}}


def _logging(spec: ContainerSpec) -> dict[str, Any]:
    """No type means the engine's own, which then takes the options."""
    if spec.log_driver is None and spec.log_options is None:
        return {}
    return {"LogConfig": {"Type": spec.log_driver or "", "Config": dict(spec.log_options or {})}}


def _limits(spec: ContainerSpec) -> dict[str, int]:
    """Swap equal to memory: the limit is on both together, so there is no swap beyond it."""
    asked = {
        "Memory": spec.memory,
        "MemorySwap": spec.memory,
        "NanoCpus": None if spec.cpus is None else spec.cpus * 1_000_000,
        "PidsLimit": spec.pids,
        "CpuShares": spec.cpu_shares,
    }
    return {key: value for key, value in asked.items() if value is not None}


def _bindings(spec: ContainerSpec) -> dict[str, list[dict[str, str]]]:
    """Ports as "8000/tcp" → where they are published; one port may be published twice."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for publish in spec.publish:
        places = bindings.setdefault(f"{publish.container}/{publish.protocol}", [])
        places.append({"HostIp": publish.address, "HostPort": str(publish.host)})
    for port in spec.publish_ephemeral:
        bindings.setdefault(f"{port}/tcp", []).append({"HostIp": spec.ephemeral_address, "HostPort": ""})
    return bindings


def _mount(mount: Mount) -> dict[str, Any]:
    """The Mounts API refuses a bind whose source is missing; the older Binds would create it."""
    return {
        "Type": "bind" if mount.is_bind else "volume",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }


def files_archive(files: Iterable[PlacedFile], folder: str, owner: tuple[int, int]) -> bytes:
    """Files below a folder as the archive that PutContainerArchive unpacks there.

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


def numbers_of(user: str, passwd: str, group: str) -> tuple[int, int]:
    """User and group of a container as numbers; the superuser where nothing tells them.

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
    """ContainerInspect as a value. Raises ValueError, KeyError, TypeError: it is of another form."""
    state = data["State"]
    return checked(
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
    """Of ["CMD", …] the words; of ["CMD-SHELL", text] the container's shell and it (API, HealthConfig).

    `HEALTHCHECK NONE` in a Dockerfile is written ["NONE"]; without one there is nothing.
    """
    kind, *words = (config.get("Healthcheck") or {}).get("Test") or ["NONE"]
    if kind == "CMD-SHELL":
        return (*(config.get("Shell") or _SHELL), *words)
    return tuple(words) if kind == "CMD" else ()


def _check_timeout(config: Mapping[str, Any]) -> int:
    """The API counts nanoseconds; 0 is the engine's own."""
    return ((config.get("Healthcheck") or {}).get("Timeout") or 0) // _NANOSECONDS or _CHECK_TIMEOUT


def _networks(data: Mapping[str, Any]) -> Mapping[str, Any]:
    networks: Mapping[str, Any] = data["NetworkSettings"].get("Networks") or {}
    return networks


def _health(state: Mapping[str, Any]) -> Health:
    """An image without a health check has no `Health`; one with HEALTHCHECK NONE says "none" or nothing."""
    return cast(Health, (state.get("Health") or {}).get("Status") or "none")


def _ports(data: Mapping[str, Any]) -> dict[int, tuple[str, int]]:
    """Return where each port is published first; TCP before UDP of the same number."""
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
