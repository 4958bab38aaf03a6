"""Run settings of a service that another program made, and settings that cannot be expressed. Pure.

Source: Docker Engine API 1.45, ServiceInspect.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from release.runspec import Healthcheck, RunSpec
from release.targetspec import SwarmSpec
from release.values import Struct

_NANO: Final = 1_000_000
_STACK: Final = ("com.docker.stack.", "com.docker.compose.")
_RESTART: Final = {"none": "no", "on-failure": "on-failure", "any": "unless-stopped"}
_READABLE_BY_ALL: Final = 0o444
_CONTAINER: Final = frozenset(
    {
        *("Image", "Labels", "Command", "Args", "Env", "User", "ReadOnly", "StopGracePeriod", "Mounts"),
        *("Secrets", "Configs", "CapabilityAdd", "CapabilityDrop", "Init", "StopSignal", "Healthcheck"),
        "Isolation",
    }
)
"""Keys of the container that are read below."""
_TASK: Final = frozenset(
    {
        *("ContainerSpec", "Resources", "RestartPolicy", "Placement", "Networks", "LogDriver", "ForceUpdate"),
        "Runtime",
    }
)


class ServiceReading(Struct, frozen=True, kw_only=True):
    """Run settings of a service, with settings that have no place in them."""

    spec: RunSpec
    secrets: tuple[str, ...]
    """Names of secrets as variables."""
    unexpressed: dict[str, str]
    dropped: dict[str, str]


def read_service_settings(
    spec: Mapping[str, Any], networks: Mapping[str, str], files: Mapping[str, str]
) -> ServiceReading:
    """Return the settings of a service.

    Args:
        spec: the service's spec.
        networks: names of networks, by id.
        files: contents of configs, by id.
    """
    task = spec["TaskTemplate"]
    container = task.get("ContainerSpec") or {}
    labels, dropped = _labels(spec, container)
    mounts, tmpfs, odd = _mounts(container)
    secrets = _secrets(container)
    made = RunSpec.model_validate(
        {
            "command": [*(container.get("Command") or ()), *(container.get("Args") or ())] or None,
            "entrypoint": "replace" if container.get("Command") else None,
            "env": _variables(container, secrets),
            "secret_files": secrets or None,
            "publish": [_port(port) for port in _ports(spec) if port.get("PublishedPort")],
            "networks": tuple(networks[each["Target"]] for each in task.get("Networks") or ()),
            "volumes": mounts,
            **_limits(task, container),
            "tmpfs": tuple(tmpfs),
            "tmpfs_options": {path: text for path, text in tmpfs.items() if text} or None,
            "restart": _RESTART.get(
                (task.get("RestartPolicy") or {}).get("Condition") or "any", "unless-stopped"
            ),
            "labels": labels,
            "files": _files(container, files) or None,
            **_log_driver(task),
            "healthcheck": _healthcheck(container),
            "replicas": ((spec.get("Mode") or {}).get("Replicated") or {}).get("Replicas") or 1,
            "swarm": _cluster(spec, task),
        }
    )
    wrong = dict([*_odd_parts(spec, task, container), *odd.items()])
    return ServiceReading(spec=made, secrets=tuple(secrets), unexpressed=wrong, dropped=dropped)


def _variables(container: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that only have the path of a secret."""
    env = dict(line.partition("=")[::2] for line in container.get("Env") or ())
    return {key: text for key, text in env.items() if secrets.get(key.removesuffix("_FILE")) != text}


def _limits(task: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any]:
    """Return limits, rights and how a task is stopped."""
    limits = (task.get("Resources") or {}).get("Limits") or {}
    return {
        "memory": limits.get("MemoryBytes") or None,
        "cpus": (limits.get("NanoCPUs") or 0) // _NANO or None,
        "pids": limits.get("Pids") or None,
        "user": container.get("User") or None,
        "read_only": bool(container.get("ReadOnly")),
        "cap_add": tuple(container.get("CapabilityAdd") or ()),
        "cap_drop": tuple(container.get("CapabilityDrop") or ()),
        "stop_grace": (container.get("StopGracePeriod") or 10_000 * _NANO) // _NANO,
        "stop_signal": container.get("StopSignal") or None,
        "init": container.get("Init"),
    }


def _labels(spec: Mapping[str, Any], container: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels of service and tasks, and apart those by which a stack finds its services."""
    every = {**(container.get("Labels") or {}), **(spec.get("Labels") or {})}
    kept = {key: text for key, text in every.items() if not key.startswith((*_STACK, "release."))}
    stack = every.get("com.docker.stack.namespace")
    if stack is None:
        return kept, {}
    return kept, {
        "labels.com.docker.stack": f"stack {stack}: `docker stack deploy` would change the service again"
    }


def _ports(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((spec.get("EndpointSpec") or {}).get("Ports") or ())


def _port(port: Mapping[str, Any]) -> str:
    return f"{port['PublishedPort']}:{port['TargetPort']}/{port.get('Protocol') or 'tcp'}"


def _cluster(spec: Mapping[str, Any], task: Mapping[str, Any]) -> SwarmSpec:
    policy, placement = spec.get("UpdateConfig") or {}, task.get("Placement") or {}
    reserved = (task.get("Resources") or {}).get("Reservations") or {}
    modes = {port.get("PublishMode") or "ingress" for port in _ports(spec)} or {"ingress"}
    usual = SwarmSpec()
    action = policy.get("FailureAction")
    return SwarmSpec(
        constraints=tuple(placement.get("Constraints") or ()),
        endpoint_mode=(spec.get("EndpointSpec") or {}).get("Mode") or "vip",
        publish_mode=min(modes),  # type: ignore[arg-type]  # validated by the model
        order=policy.get("Order") or "stop-first",
        parallelism=policy.get("Parallelism", usual.parallelism),
        delay=(policy.get("Delay") or 0) // _NANO,
        monitor=(policy.get("Monitor") or usual.monitor * _NANO) // _NANO,
        failure_action="rollback" if action == "rollback" else "pause",
        max_per_node=placement.get("MaxReplicas") or None,
        reserve_memory=reserved.get("MemoryBytes") or None,
        reserve_cpus=(reserved.get("NanoCPUs") or 0) // _NANO or None,
    )


def _secrets(container: Mapping[str, Any]) -> dict[str, str]:
    """Return the path of each secret by the variable that names it: <NAME>_FILE, or its name in capitals."""
    env = dict(line.partition("=")[::2] for line in container.get("Env") or ())
    pointing = {path: key.removesuffix("_FILE") for key, path in env.items() if key.endswith("_FILE")}
    found = dict[str, str]()
    for secret in container.get("Secrets") or ():
        name = (secret.get("File") or {}).get("Name") or secret["SecretName"]
        path = name if name.startswith("/") else f"/run/secrets/{name}"
        usual = re.sub(r"[^A-Z0-9_]", "_", path.rpartition("/")[2].upper())
        found[pointing.get(path, usual)] = path
    return found


def _files(container: Mapping[str, Any], contents: Mapping[str, str]) -> dict[str, Any]:
    found = dict[str, Any]()
    for config in container.get("Configs") or ():
        place = config.get("File") or {}
        name, content = place.get("Name") or config["ConfigName"], contents[config["ConfigID"]]
        path = name if name.startswith("/") else f"/{name}"
        digits = hashlib.sha256(content.encode()).hexdigest()
        found[path] = {"content": content, "sha256": digits, "mode": place.get("Mode") or _READABLE_BY_ALL}
    return found


def _mounts(container: Mapping[str, Any]) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Return volumes and folders, folders in memory with their options, and mounts of other kinds."""
    found, memory, odd = list[str](), dict[str, str](), dict[str, str]()
    for mount in container.get("Mounts") or ():
        target, options = mount["Target"], mount.get("TmpfsOptions") or {}
        if mount.get("Type") == "tmpfs":
            told = {
                "mode": f"{options['Mode']:04o}" if options.get("Mode") else "",
                "size": options.get("SizeBytes"),
            }
            memory[target] = ",".join(f"{key}={value}" for key, value in told.items() if value)
        elif mount.get("Type") in ("bind", "volume") and mount.get("Source") and not _has_options(mount):
            found.append(f"{mount['Source']}:{target}{':ro' if mount.get('ReadOnly') else ''}")
        else:
            odd[f"mount {target}"] = json.dumps(mount, sort_keys=True)[:200]
    return found, memory, odd


def _has_options(mount: Mapping[str, Any]) -> bool:
    return any((mount.get(key) or {}) for key in ("BindOptions", "VolumeOptions", "ClusterOptions"))


def _log_driver(task: Mapping[str, Any]) -> dict[str, Any]:
    given = task.get("LogDriver") or {}
    if not given:
        return {}
    return {"log_driver": given.get("Name") or None, "log_options": given.get("Options") or None}


def _healthcheck(container: Mapping[str, Any]) -> Healthcheck | None:
    given = container.get("Healthcheck") or {}
    test = list(given.get("Test") or ())
    if not given:
        return None
    if test[:1] == ["NONE"]:
        return Healthcheck(disable=True)
    command = ["/bin/sh", "-c", *test[1:]] if test[:1] == ["CMD-SHELL"] else test[1:]
    keys = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
    times = {name: given[key] // _NANO for name, key in keys.items() if given.get(key)}
    return Healthcheck(command=tuple(command) or None, retries=given.get("Retries") or None, **times)


def _odd_parts(
    spec: Mapping[str, Any], task: Mapping[str, Any], container: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield each part of the spec that no run setting has."""
    restart, policy = task.get("RestartPolicy") or {}, spec.get("UpdateConfig") or {}
    odd = {
        **{key: value for key, value in container.items() if key not in _CONTAINER},
        **{key: value for key, value in task.items() if key not in _TASK},
        "restart.MaxAttempts": restart.get("MaxAttempts"),
        "restart.Window": restart.get("Window"),
        "Placement.Preferences": (task.get("Placement") or {}).get("Preferences"),
        "update.FailureAction": "continue" if policy.get("FailureAction") == "continue" else None,
        "GenericResources": ((task.get("Resources") or {}).get("Reservations") or {}).get("GenericResources"),
        "network-alias": [each["Aliases"] for each in task.get("Networks") or () if each.get("Aliases")],
    }
    odd["publish"] = [port for port in _ports(spec) if not port.get("PublishedPort")]
    if len({port.get("PublishMode") or "ingress" for port in _ports(spec)}) > 1:
        odd["publish-mode"] = "some ports in the mesh, others on the nodes"
    for kind, key in (("secret", "Secrets"), ("config", "Configs")):
        for each in container.get(key) or ():
            place = each.get("File") or {}
            if (place.get("UID") or "0", place.get("GID") or "0") != ("0", "0"):
                odd[f"{kind} {place.get('Name')}"] = f"owner {place.get('UID')}:{place.get('GID')}"
    for name, value in odd.items():
        if value and not (name == "Privileges" and not any(value.values())) and not _is_empty(value):
            yield name, value if isinstance(value, str) else json.dumps(value, sort_keys=True)[:200]


def _is_empty(value: Any) -> bool:
    """Return whether a part has no values, at any depth: engines write empty parts too."""
    if isinstance(value, Mapping):
        return all(map(_is_empty, value.values()))
    return not value
