"""Run settings of a container that another program made, and settings that cannot be expressed. Pure.

Source: Docker Engine API 1.45, ContainerInspect and ImageInspect.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from release.deploy.core.place import SERVICE
from release.runspec import Healthcheck, RunSpec
from release.values import Struct

_NANO: Final = 1_000_000
_COMPOSE: Final = "com.docker.compose."
_USUAL: Final[Mapping[str, tuple[object, ...]]] = {
    "CgroupnsMode": ("host", "private"),
    "IpcMode": ("private", "shareable"),
    "Isolation": ("default",),
    "Runtime": ("runc", "io.containerd.runc.v2"),
    "ShmSize": (64 * 1024**2,),
    "MemorySwappiness": (-1,),
    "OomScoreAdj": (0,),
}
"""Values that an engine gives a container by itself."""
_READ: Final = frozenset(
    {
        *(
            "Binds",
            "Mounts",
            "LogConfig",
            "NetworkMode",
            "PortBindings",
            "RestartPolicy",
            "CapAdd",
            "CapDrop",
        ),
        *("ReadonlyRootfs", "Memory", "NanoCpus", "PidsLimit", "Tmpfs", "Init", "AutoRemove", "MemorySwap"),
        *("ConsoleSize", "MaskedPaths", "ReadonlyPaths", "ContainerIDFile"),
    }
)
"""Keys that are read below, or that say nothing about what runs."""


class ContainerReading(Struct, frozen=True, kw_only=True):
    """Run settings of a container, with settings that have no place in them."""

    spec: RunSpec
    unexpressed: dict[str, str]
    dropped: dict[str, str]


def read_container(about: Mapping[str, Any], image: Mapping[str, Any]) -> ContainerReading:
    """Return the settings of a container that differ from those of its image.

    Args:
        about: the container (ContainerInspect).
        image: the settings that its image gives (ImageInspect, `Config`).
    """
    config, host = about["Config"], about["HostConfig"]
    labels, dropped = _labels(config, image)
    wrong = dict(
        [*_unknown(host), *_of_config(about, config, image), *_network_problems(about), *_ports(host)[1]]
    )
    mounts, odd = _mounts(about)
    command, is_whole = _command(config, image)
    policy = host.get("RestartPolicy") or {}
    if policy.get("MaximumRetryCount"):
        wrong["restart"] = f"{policy.get('Name')}:{policy['MaximumRetryCount']}"
    if (swap := host.get("MemorySwap") or 0) not in (0, host.get("Memory") or 0):
        dropped["memory-swap"] = f"{swap}, but a deployment with a memory limit allows no swap"
    spec = RunSpec.model_validate(
        {
            "command": command,
            "entrypoint": "replace" if is_whole else None,
            "env": _variables(config, image),
            "publish": _ports(host)[0],
            "networks": _networks(about),
            "volumes": mounts,
            "user": _own(config, image, "User"),
            **_limits(host),
            "restart": policy.get("Name") or "no",
            "stop_grace": (config.get("StopTimeout") or 10) * 1000,
            "stop_signal": _own(config, image, "StopSignal"),
            "labels": labels,
            "init": host.get("Init"),
            **_log_driver(host),
            "healthcheck": _healthcheck(config, image),
        }
    )
    return ContainerReading(spec=spec, unexpressed=wrong | odd, dropped=dropped)


def _limits(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return limits, rights and folders in memory."""
    return {
        "memory": host.get("Memory") or None,
        "cpus": (host.get("NanoCpus") or 0) // _NANO or None,
        "pids": max(0, host.get("PidsLimit") or 0) or None,
        "read_only": bool(host.get("ReadonlyRootfs")),
        "tmpfs": tuple(host.get("Tmpfs") or ()),
        "tmpfs_options": {path: text for path, text in (host.get("Tmpfs") or {}).items() if text} or None,
        "cap_add": tuple(host.get("CapAdd") or ()),
        "cap_drop": tuple(host.get("CapDrop") or ()),
    }


def is_removed_when_stopped(about: Mapping[str, Any]) -> bool:
    """Return whether the container was started with `--rm`."""
    return bool(about["HostConfig"].get("AutoRemove"))


def _own(config: Mapping[str, Any], image: Mapping[str, Any], key: str) -> Any:
    """Return a value if it differs from that of the image; else None."""
    value = config.get(key) or None
    return value if value != (image.get(key) or None) else None


def _command(config: Mapping[str, Any], image: Mapping[str, Any]) -> tuple[list[str] | None, bool]:
    """Return program and arguments, and whether they replace ENTRYPOINT too."""
    words, entrypoint = list(config.get("Cmd") or ()), list(config.get("Entrypoint") or ())
    if entrypoint != list(image.get("Entrypoint") or ()):
        return [*entrypoint, *words], True
    return (words, False) if words != list(image.get("Cmd") or ()) else (None, False)


def _variables(config: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, str]:
    theirs = set(image.get("Env") or ())
    return dict(line.partition("=")[::2] for line in config.get("Env") or () if line not in theirs)


def _labels(config: Mapping[str, Any], image: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels, and apart those by which Compose finds its containers."""
    theirs = image.get("Labels") or {}
    own = {key: text for key, text in (config.get("Labels") or {}).items() if theirs.get(key) != text}
    compose = {key: text for key, text in own.items() if key.startswith(_COMPOSE)}
    kept = {key: text for key, text in own.items() if key not in compose and not key.startswith(SERVICE[:8])}
    if not compose:
        return kept, {}
    project = compose.get(f"{_COMPOSE}project", "")
    said = (
        f"project {project}: the labels of Compose, which would stop or replace the container of a rollback"
    )
    return kept, {"labels.com.docker.compose": said}


def _ports(host: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the published ports, and those that the engine chooses by itself."""
    found, random = list[str](), list[tuple[str, str]]()
    for port, places in (host.get("PortBindings") or {}).items():
        number, _, protocol = port.partition("/")
        for place in places or ():
            if not place.get("HostPort") or protocol not in ("tcp", "udp"):
                random.append((f"publish {port}", "a port that the engine chooses, or another protocol"))
                continue
            address = place.get("HostIp") or "0.0.0.0"  # noqa: S104 - read, not bound
            shown = f"[{address}]" if ":" in address else address
            found.append(f"{shown}:{place['HostPort']}:{number}/{protocol}")
    return found, random


def _networks(about: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the named networks, the one of the first connection first."""
    mode = about["HostConfig"].get("NetworkMode") or "default"
    names = [name for name in _connections(about) if name != "bridge"]
    return tuple(sorted(names, key=lambda name: name != mode))


def _connections(about: Mapping[str, Any]) -> Mapping[str, Any]:
    return (about.get("NetworkSettings") or {}).get("Networks") or {}


def _network_problems(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    mode, there = about["HostConfig"].get("NetworkMode") or "default", _connections(about)
    if mode in ("host", "none") or mode.startswith("container:"):
        yield "network", mode
    elif "bridge" in there and len(there) > 1:
        yield "networks", "the default bridge together with other networks"
    usual = {about["Id"][:12], about["Name"].removeprefix("/")}
    for name, link in there.items():
        if aliases := [each for each in link.get("Aliases") or () if each not in usual]:
            yield f"network-alias of {name}", ", ".join(aliases)
        if any(dict(link.get("IPAMConfig") or {}).values()):
            yield f"ip of {name}", str(link["IPAMConfig"])
        if link.get("Links"):
            yield f"link of {name}", ", ".join(link["Links"])


def _mounts(about: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return volumes and folders, and mounts of other kinds."""
    found, odd = list[str](), dict[str, str]()
    for mount in about.get("Mounts") or ():
        source = mount.get("Name") if mount.get("Type") == "volume" else mount.get("Source")
        target, mode = mount.get("Destination"), "" if mount.get("RW", True) else ":ro"
        usual = mount.get("Propagation") in (None, "", "rprivate") and mount.get("Mode") in (
            None,
            "",
            "ro",
            "rw",
            "z",
        )
        if mount.get("Type") in ("volume", "bind") and usual and ":" not in f"{source}{target}":
            found.append(f"{source}:{target}{mode}")
        else:
            odd[f"mount {target}"] = (
                f"{mount.get('Type')} {source} {mount.get('Mode')} {mount.get('Propagation')}"
            )
    for mount in about["HostConfig"].get("Mounts") or ():
        if (mount.get("VolumeOptions") or {}).get("Subpath"):
            odd[f"mount {mount.get('Target')}"] = "a folder inside a volume"
    return sorted(found), odd


def _log_driver(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the log driver; nothing for the one that engines use by default."""
    given = host.get("LogConfig") or {}
    kind, options = given.get("Type") or "json-file", given.get("Config") or None
    return {} if kind == "json-file" and not options else {"log_driver": kind, "log_options": options}


def _healthcheck(config: Mapping[str, Any], image: Mapping[str, Any]) -> Healthcheck | None:
    given = config.get("Healthcheck") or {}
    if not given or given == (image.get("Healthcheck") or {}):
        return None
    test = list(given.get("Test") or ())
    if test[:1] == ["NONE"]:
        return Healthcheck(disable=True)
    command = ["/bin/sh", "-c", *test[1:]] if test[:1] == ["CMD-SHELL"] else test[1:]
    times = {
        "interval": "Interval",
        "timeout": "Timeout",
        "start_period": "StartPeriod",
        "start_interval": "StartInterval",
    }
    known = {name: given[key] // _NANO for name, key in times.items() if given.get(key)}
    return Healthcheck(command=tuple(command) or None, retries=given.get("Retries") or None, **known)


def _of_config(
    about: Mapping[str, Any], config: Mapping[str, Any], image: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    if (config.get("Hostname") or "") not in ("", about["Id"][:12]):
        yield "hostname", str(config["Hostname"])
    for key, option in (
        ("Domainname", "domainname"),
        ("Tty", "tty"),
        ("OpenStdin", "interactive"),
        ("MacAddress", "mac-address"),
    ):
        if config.get(key):
            yield option, str(config[key])
    if (folder := _own(config, image, "WorkingDir")) is not None:
        yield "workdir", str(folder)


def _unknown(host: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each setting of the container that no run setting has, unless it has its usual value."""
    for key, value in host.items():
        if key in _READ or not value or value in _USUAL.get(key, ()):
            continue
        yield key, value if isinstance(value, str) else json.dumps(value, sort_keys=True)[:200]
