"""The mark of a spec: a hash over the keys that we write, which shows a change by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

MARK: Final = "release.spec"
"""The label that tells a spec as we wrote it from one that somebody changed since."""


def networks_of(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of the networks in a spec."""
    return tuple(network["Target"] for network in at(spec, ["TaskTemplate", "Networks"]) or ())


def container_of(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container part of a spec."""
    return (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}


def mark(spec: Mapping[str, Any]) -> str:
    """Return 16 digits over the keys of a spec that we write, equal for what the Swarm returns.

    A Swarm adds keys and drops empty values: only our keys count, and a missing key counts as empty.
    """
    kept = without_empty({path: at(spec, path.split(".")) for path in OURS})
    labels = dict(spec.get("Labels") or {})
    labels.pop(MARK, None)
    text = json.dumps([kept, labels], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_as_written(spec: Mapping[str, Any]) -> bool:
    """Return whether a spec is unchanged since a deployment wrote it."""
    return (spec.get("Labels") or {}).get(MARK) == mark(spec)


OURS: Final = (
    "Name",
    *(
        f"TaskTemplate.ContainerSpec.{key}"
        for key in (
            "Image",
            "Labels",
            "Command",
            "Args",
            "Env",
            "Dir",
            "User",
            "Groups",
            "Hosts",
            "Hostname",
            "Init",
            "ReadOnly",
            "StopGracePeriod",
            "StopSignal",
            "Healthcheck",
            "Mounts",
            "Secrets",
            "Configs",
            "CapabilityAdd",
            "CapabilityDrop",
            "Sysctls",
            "Privileges",
            "Ulimits",
            "DNSConfig",
        )
    ),
    "TaskTemplate.Resources",
    "TaskTemplate.RestartPolicy",
    "TaskTemplate.Placement",
    "TaskTemplate.Networks",
    "TaskTemplate.LogDriver",
    "Mode",
    "UpdateConfig",
    "RollbackConfig",
    "EndpointSpec",
)
"""The keys that a person would change; those that we never write count as empty."""


def at(data: Any, keys: list[str]) -> Any:
    """Return the value at this path; None if it does not exist."""
    for key in keys:
        data = (data or {}).get(key)
    return data


def without_empty(data: Any) -> Any:
    """Return the value without empty parts, at any depth."""
    if isinstance(data, Mapping):
        kept = {key: without_empty(value) for key, value in data.items()}
        return {key: value for key, value in kept.items() if value}
    if isinstance(data, list):
        return [without_empty(value) for value in data]
    return data or None
