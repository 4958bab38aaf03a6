"""Differences of a service's spec and the recorded one: key by key, in the words of the settings.

Only a spec that somebody changed is compared: the mark over it says so. Values of secrets are in no spec; a
variable that was set by hand and looks like a secret is told without its value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.marks import (
    MARK,
    OURS,
    at,
    container_of,
    is_as_written,
    networks_of,
    without_empty,
)
from release.deploy.targets.swarm.naming import is_variant
from release.deploy.targets.swarm.spec import named_spec
from release.scalars import duration_text, size_text
from release.secrets.detection import secret_suspicion

_CONTAINER: Final = "TaskTemplate.ContainerSpec."
_NAMES: Final = {
    f"{_CONTAINER}Image": "image",
    f"{_CONTAINER}Command": "entrypoint",
    f"{_CONTAINER}Args": "command",
    f"{_CONTAINER}User": "user",
    f"{_CONTAINER}ReadOnly": "read_only",
    f"{_CONTAINER}Init": "init",
    f"{_CONTAINER}StopSignal": "stop_signal",
    f"{_CONTAINER}StopGracePeriod": "stop_grace",
    f"{_CONTAINER}CapabilityAdd": "cap_add",
    f"{_CONTAINER}CapabilityDrop": "cap_drop",
    "Mode.Replicated.Replicas": "replicas",
    "TaskTemplate.Resources.Limits.MemoryBytes": "memory",
    "TaskTemplate.Resources.Limits.NanoCPUs": "cpus",
    "TaskTemplate.Resources.Limits.Pids": "pids",
    "TaskTemplate.Resources.Reservations.MemoryBytes": "swarm.reserve_memory",
    "TaskTemplate.Resources.Reservations.NanoCPUs": "swarm.reserve_cpus",
    "TaskTemplate.Placement.Constraints": "swarm.constraints",
    "TaskTemplate.Placement.MaxReplicas": "swarm.max_per_node",
    "TaskTemplate.RestartPolicy.Condition": "restart",
    "TaskTemplate.LogDriver.Name": "log_driver",
    "UpdateConfig.Parallelism": "swarm.parallelism",
    "UpdateConfig.Delay": "swarm.delay",
    "UpdateConfig.Monitor": "swarm.monitor",
    "UpdateConfig.FailureAction": "swarm.failure_action",
    "UpdateConfig.Order": "swarm.order",
    "EndpointSpec.Mode": "swarm.endpoint_mode",
}
"""Settings by their place in a spec; another key is called as the Swarm calls it."""
_LISTS: Final = frozenset(
    {
        *(f"{_CONTAINER}{key}" for key in ("Env", "Labels", "Mounts", "Secrets", "Configs")),
        "TaskTemplate.Networks",
        "EndpointSpec.Ports",
    }
)
"""Lists that are compared by their parts, each under a name of its own."""
_TIMES: Final = ("Delay", "Monitor", "Period", "Interval", "Timeout")
_OBJECTS: Final = ("secrets.", "files.")
_NANO: Final = 1_000_000
PLATFORMS: Final = "TaskTemplate.Placement.Platforms"


def changed(swarm: Swarm, spec: Mapping[str, Any], order: RolloutRequest) -> Iterator[tuple[str, str]]:
    """Return the settings of a spec that changed since it was written for this order. See `spec_drift`.

    Args:
        swarm: Swarm that has the names of networks.
        spec: the spec in the Swarm.
        order: the recorded order.

    Raises:
        EngineError.
    """
    if is_as_written(spec):
        return
    known = {name: swarm.network(name) for name in order.spec.networks}
    ids = {name: network.id for name, network in known.items() if network is not None}
    for network in networks_of(spec):
        there = swarm.network(network)
        ids.setdefault(there.name if there is not None else network, network)
    yield from spec_drift(spec, named_spec(order, ids), {network: name for name, network in ids.items()})


def spec_drift(
    found: Mapping[str, Any], wanted: Mapping[str, Any], networks: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield each setting that differs: its name, its value and the recorded value.

    Args:
        found: the spec in the Swarm.
        wanted: the recorded spec, as returned by `named_spec`.
        networks: names of networks by id.
    """
    is_now, should_be = dict(_written_settings(found, networks)), dict(_written_settings(wanted, networks))
    if PLATFORMS not in is_now:
        should_be.pop(PLATFORMS, None)  # written by a version of the library that did not tell them
    for name in sorted(is_now.keys() | should_be.keys()):
        old, new = should_be.get(name), is_now.get(name)
        if old != new and not (name.startswith(_OBJECTS) and is_variant(new or "", old or "")):
            so = f"is {_shown(name, new)}" if new is not None else "is missing"
            yield name, f"{so}, but {_shown(name, old) if old is not None else 'none'} is recorded"


def _shown(name: str, value: str) -> str:
    """Return the value, or a mask if it belongs to a variable that looks like a secret."""
    kind, _, key = name.partition(".")
    if kind == "env" and not key.endswith("_FILE") and secret_suspicion(key, value) is not None:
        return "a hidden value, because it looks like a secret"
    return value


def _written_settings(spec: Mapping[str, Any], networks: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for path in OURS:
        value = without_empty(at(spec, path.split(".")))
        if value:
            yield from _flat(path, value)
    yield from _parts(spec, networks)


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the leaves by the setting's name. A list is one leaf."""
    if path in _LISTS:
        return
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _flat(f"{path}.{key}", below)
        return
    yield _NAMES.get(path, path.removeprefix(_CONTAINER)), _text(path.rpartition(".")[2], value)


def _text(key: str, value: Any) -> str:
    if key == "MemoryBytes":
        return size_text(value)
    if key == "NanoCPUs":
        return f"{value / 1_000_000_000:g}"
    if key.endswith(_TIMES) and isinstance(value, int):
        return duration_text(value // _NANO)
    if isinstance(value, list):
        return ", ".join(
            each if isinstance(each, str) else json.dumps(each, sort_keys=True) for each in value
        )
    return value if isinstance(value, str) else json.dumps(value)


def _parts(spec: Mapping[str, Any], networks: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    container = container_of(spec)
    for line in container.get("Env") or ():
        name, _, value = line.partition("=")
        yield f"env.{name}", value
    labels = {**(container.get("Labels") or {}), **(spec.get("Labels") or {})}
    yield from ((f"labels.{name}", text) for name, text in labels.items() if name != MARK)
    for mount in container.get("Mounts") or ():
        suffix = ":ro" if mount.get("ReadOnly") else ""
        yield f"volumes.{mount['Target']}", f"{mount.get('Source') or mount.get('Type')}{suffix}"
    for secret in container.get("Secrets") or ():
        yield f"secrets.{(secret.get('File') or {}).get('Name')}", secret["SecretName"]
    for config in container.get("Configs") or ():
        yield f"files.{(config.get('File') or {}).get('Name')}", config["ConfigName"]
    for network in at(spec, ["TaskTemplate", "Networks"]) or ():
        yield f"networks.{networks.get(network['Target'], network['Target'])}", "joined"
    for port in at(spec, ["EndpointSpec", "Ports"]) or ():
        way = f"{port.get('PublishedPort') or 'any'}:{port.get('TargetPort')}/{port.get('Protocol')}"
        yield f"publish.{way}", str(port.get("PublishMode"))
