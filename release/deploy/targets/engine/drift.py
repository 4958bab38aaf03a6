"""Differences of a container and the settings that were recorded for it.

Most settings are fixed when a container is made; `docker update`, `docker network connect` and whoever makes
a container by hand with our labels change the rest. What the settings leave to the image is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from release.deploy.core.fingerprints import FingerprintKey, compare
from release.images.container_spec import whole_seconds
from release.runspec import RunSpec
from release.scalars import size_text
from release.secrets.redact import Redacted
from release.tmpfs import texts

_DEFAULT_NETWORK = "bridge"


def settings_drift(
    about: Mapping[str, Any], spec: RunSpec, key: FingerprintKey | None
) -> Iterator[tuple[str, str]]:
    """Yield each setting that differs: its name, its value and the recorded value.

    Args:
        about: the container as its engine describes it (Docker Engine API 1.45, ContainerInspect).
        spec: the recorded settings.
        key: key of the fingerprints; None leaves secrets out. Secret values are never returned.
    """
    is_now, should_be = _found(about), _wanted(spec)
    for name, wanted in should_be.items():
        found = is_now.get(name)
        if found != wanted:
            yield name, f"{_text(name, found)}, but {_text(name, wanted)} is recorded"
    yield from _environment(about, spec, key)


def _wanted(spec: RunSpec) -> dict[str, Any]:
    """Return the settings in the form of `_found`."""
    decided: dict[str, Any] = {
        "memory": spec.memory or 0,
        "cpus": spec.cpus or 0,
        "pids": spec.pids or 0,
        "restart": spec.restart,
        "read_only": spec.read_only,
        "cap_add": sorted(map(_capability, spec.cap_add)),
        "cap_drop": sorted(map(_capability, spec.cap_drop)),
        "tmpfs": sorted(texts(spec.tmpfs, spec.tmpfs_options)),
        "networks": sorted(spec.networks) or [_DEFAULT_NETWORK],
        "publish": sorted(map(str, spec.publish)),
        "stop_grace": whole_seconds(spec.stop_grace),
        "volumes": sorted(map(str, spec.volumes)),
    }
    if spec.command is not None:
        replaced = spec.entrypoint == "replace"
        decided["entrypoint" if replaced else "command"] = list(spec.command)
        decided |= {"command": []} if replaced else {}
    if spec.user is not None:
        decided["user"] = spec.user
    return decided | {f"labels.{name}": value for name, value in spec.labels.items()}


def _found(about: Mapping[str, Any]) -> dict[str, Any]:
    config, host = about["Config"], about["HostConfig"]
    networks = (about.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        "memory": host.get("Memory") or 0,
        "cpus": (host.get("NanoCpus") or 0) // 1_000_000,
        "pids": max(0, host.get("PidsLimit") or 0),
        "restart": (host.get("RestartPolicy") or {}).get("Name") or "no",
        "read_only": bool(host.get("ReadonlyRootfs")),
        "cap_add": sorted(map(_capability, host.get("CapAdd") or ())),
        "cap_drop": sorted(map(_capability, host.get("CapDrop") or ())),
        "tmpfs": sorted(texts(host.get("Tmpfs") or (), _tmpfs_options(host.get("Tmpfs") or {}))),
        "networks": sorted(networks),
        "publish": sorted(_ports(host.get("PortBindings") or {})),
        "stop_grace": config.get("StopTimeout"),
        "volumes": sorted(_mounts(host.get("Mounts") or ())),
        "command": config.get("Cmd") or [],
        "entrypoint": config.get("Entrypoint"),
        "user": config.get("User"),
        **{f"labels.{name}": value for name, value in (config.get("Labels") or {}).items()},
    }


def _tmpfs_options(options: Mapping[str, str]) -> dict[str, str]:
    """Return the options of folders in memory that have any."""
    return {path: text for path, text in options.items() if text}


def _capability(name: str) -> str:
    """Return the capability without its prefix: engines write both forms."""
    return name.upper().removeprefix("CAP_")


def _ports(bindings: Mapping[str, Any]) -> Iterator[str]:
    """Return the ports in the form of `Publish`."""
    for port, places in bindings.items():
        number, _, protocol = port.partition("/")
        for place in places or ():
            address = place.get("HostIp") or "0.0.0.0"  # noqa: S104 - read, not bound
            host = f"[{address}]" if ":" in address else address
            suffix = "" if protocol == "tcp" else f"/{protocol}"
            yield f"{host}:{place.get('HostPort')}:{number}{suffix}"


def _mounts(mounts: Any) -> Iterator[str]:
    """Return the mounts in the form of `Mount`. A volume without a name belongs to the deployment."""
    for mount in mounts:
        if mount.get("Source"):
            yield f"{mount['Source']}:{mount['Target']}{':ro' if mount.get('ReadOnly') else ''}"


def _environment(
    about: Mapping[str, Any], spec: RunSpec, key: FingerprintKey | None
) -> Iterator[tuple[str, str]]:
    lines = (about["Config"].get("Env") or ()) if about else ()
    values = dict(line.partition("=")[::2] for line in lines)
    for name, wanted in spec.env.items():
        if name not in spec.secrets and values.get(name) != wanted:
            found = f"is {values[name]!r}" if name in values else "is missing"
            yield f"env.{name}", f"{found}, but {wanted!r} is recorded"
    for name, fingerprint in spec.secrets.items():
        if key is None or name in (spec.secret_files or {}):
            continue
        if name not in values:
            yield f"secrets.{name}", "is missing"
        elif compare(fingerprint, key.fingerprint(name, Redacted(values[name]))) == "rotated":
            yield f"secrets.{name}", "is not the value that was recorded"


def _text(name: str, value: Any) -> str:
    if value is None or value == []:
        return "is missing" if value is None else "none"
    if name == "memory":
        return size_text(value) if value else "no limit"
    if name in ("cpus", "pids"):
        return str(value / 1000 if name == "cpus" else value) if value else "no limit"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
