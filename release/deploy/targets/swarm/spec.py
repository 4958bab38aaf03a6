"""Run settings as the spec of a Swarm's service. Pure: nothing is asked here.

Source of the JSON: Docker Engine API 1.45, ServiceCreate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from release.deploy.core.image_location import image_reference
from release.deploy.core.instance import InstanceSet
from release.deploy.core.operations import CommandRequest
from release.deploy.core.place import SERVING, Identity, Place
from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.swarm.marks import MARK, mark
from release.deploy.targets.swarm.naming import file_name, secret_name, service_name
from release.images.container_spec import UNWATCHED, healthcheck_config
from release.records import Deployment, Image, Release
from release.reference import Digest
from release.runspec import Mount, Publish, RunSpec
from release.targetspec import SwarmSpec
from release.tmpfs import Tmpfs, texts
from release.values import Struct, field

SECRET: Final = "secret"  # noqa: S105 - a label
"""The role of secrets in the labels."""
SECRET_NAME: Final = "release.secret"  # noqa: S105 - a label
FINGERPRINT: Final = "release.fingerprint"
FILE: Final = "file"
"""The role of configs that are files of tasks."""
BEFORE: Final = "before"
"""The role of the config with the spec that is to be put back if a deployment is cut off."""

_NANO: Final = 1_000_000
"""Nanoseconds in a millisecond; in a thousandth of a processor, too."""
_CONDITIONS: Final = {"no": "none", "on-failure": "on-failure", "always": "any", "unless-stopped": "any"}
_RESTART_DELAY: Final = 1_000_000_000
_READABLE_BY_ALL: Final = 0o444
"""Users of images are numbers that no node knows; a secret is in a file system of its task's own."""


class Part(Struct, frozen=True, kw_only=True):
    """A secret or a config in the Swarm. Its name differs for each content."""

    id: str
    name: str


class Parts(Struct, frozen=True, kw_only=True):
    """Ids of networks, secrets and configs for a spec."""

    networks: Mapping[str, str] = field(default_factory=dict)
    """Ids of networks by name."""
    secrets: Mapping[str, Part] = field(default_factory=dict)
    """Secrets by their names in the settings."""
    files: Mapping[str, Part] = field(default_factory=dict)
    """Files by path."""


def service_spec(order: RolloutRequest, parts: Parts) -> dict[str, Any]:
    """Return the spec of a service, with a mark over all of it."""
    swarm, spec = order.spec.swarm or SwarmSpec(), order.spec
    labels = spec.labels | order.place.labels(SERVING) | order.identity.labels()
    written: dict[str, Any] = {
        "Name": service_name(order.place),
        "Labels": labels,
        "TaskTemplate": _task(spec, order.image, parts, labels),
        "Mode": {"Replicated": {"Replicas": spec.replicas}},
        "UpdateConfig": _policy(swarm, swarm.failure_action),
        "RollbackConfig": _policy(swarm, "pause"),
        "EndpointSpec": {
            "Mode": swarm.endpoint_mode,
            "Ports": [_port(port, swarm.publish_mode) for port in spec.publish],
        },
    }
    return written | {"Labels": labels | {MARK: mark(written)}}


def job_spec(request: CommandRequest, parts: Parts) -> dict[str, Any]:
    """Return a service that runs one command once (replicated-job), with a process's settings.

    The service publishes nothing and has no health check. An ended command is not restarted.
    """
    update = {
        "command": request.command,
        "entrypoint": request.entrypoint,
        "restart": "no",
        "healthcheck": UNWATCHED,
    }
    labels = request.place.labels(request.role) | request.identity.labels()
    return {
        "Name": request.name,
        "Labels": labels,
        "TaskTemplate": _task(request.spec.model_copy(update=update), request.image, parts, labels),
        "Mode": {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}},
    }


def stopped_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of a stopped job: its service stays, but its task is ended."""
    return {**spec, "Mode": {"ReplicatedJob": {"MaxConcurrent": 0, "TotalCompletions": 0}}}


def is_stopped_job(spec: Mapping[str, Any]) -> bool:
    """Return whether a job was stopped: see `stopped_job`."""
    job = (spec.get("Mode") or {}).get("ReplicatedJob") or {}
    return not job.get("TotalCompletions", 1)


def _task(spec: RunSpec, image: Image, parts: Parts, labels: Mapping[str, str]) -> dict[str, Any]:
    swarm = spec.swarm or SwarmSpec()
    return {
        "ContainerSpec": _container(spec, image, parts, labels),
        "Resources": {"Limits": _limits(spec), "Reservations": _reservations(swarm)},
        "RestartPolicy": {
            "Condition": _CONDITIONS[spec.restart],
            "Delay": _RESTART_DELAY,
            "MaxAttempts": 0,
        },
        "Placement": _placement(swarm, image.platform),
        "Networks": [{"Target": parts.networks[name]} for name in spec.networks],
        "ForceUpdate": 0,
        **_log_driver(spec),
    }


def _container(spec: RunSpec, image: Image, parts: Parts, labels: Mapping[str, str]) -> dict[str, Any]:
    asked = {
        "Init": spec.init,
        "StopSignal": spec.stop_signal,
        "Healthcheck": healthcheck_config(spec.healthcheck) if spec.healthcheck is not None else None,
    }
    places = {name: f"/run/secrets/{name}" for name in parts.secrets} | (spec.secret_files or {})
    env = {f"{name}_FILE": places[name] for name in parts.secrets} | spec.env
    return {
        "Image": str(image_reference(image)),
        "Labels": dict(labels),
        "Command" if spec.entrypoint == "replace" else "Args": list(spec.command or ()),
        "Env": [f"{key}={value}" for key, value in env.items()],
        "User": spec.user or "",
        "ReadOnly": spec.read_only,
        "StopGracePeriod": spec.stop_grace * _NANO,
        "Mounts": [*map(_mount, spec.volumes), *map(_memory, texts(spec.tmpfs, spec.tmpfs_options))],
        "Secrets": [_secret(places[name], part) for name, part in sorted(parts.secrets.items())],
        "Configs": [_config(path, file.mode, parts.files[path]) for path, file in (spec.files or {}).items()],
        "CapabilityAdd": [_capability(name) for name in spec.cap_add],
        "CapabilityDrop": [_capability(name) for name in spec.cap_drop],
        **{key: value for key, value in asked.items() if value is not None},
    }


def _log_driver(spec: RunSpec) -> dict[str, Any]:
    if spec.log_driver is None and spec.log_options is None:
        return {}
    return {"LogDriver": {"Name": spec.log_driver or "", "Options": dict(spec.log_options or {})}}


def _capability(name: str) -> str:
    """Return the capability as the Swarm writes it: with its prefix, except ALL."""
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"


def _limits(spec: RunSpec) -> dict[str, int]:
    asked = {
        "NanoCPUs": None if spec.cpus is None else spec.cpus * _NANO,
        "MemoryBytes": spec.memory,
        "Pids": spec.pids,
    }
    return {key: value for key, value in asked.items() if value is not None}


def _reservations(swarm: SwarmSpec) -> dict[str, int]:
    asked = {
        "NanoCPUs": None if swarm.reserve_cpus is None else swarm.reserve_cpus * _NANO,
        "MemoryBytes": swarm.reserve_memory,
    }
    return {key: value for key, value in asked.items() if value is not None}


def _placement(swarm: SwarmSpec, platform: str) -> dict[str, Any]:
    """Return the constraints, with the image's platform, so that only fitting nodes get tasks.

    An ARM's version is left out: a node tells it, as armv7l, in other words than images do.
    """
    system, architecture, *_ = [*platform.split("/"), ""]
    known = {"OS": system, **({"Architecture": architecture} if architecture != "arm" else {})}
    limit = {"MaxReplicas": swarm.max_per_node} if swarm.max_per_node is not None else {}
    return {"Constraints": list(swarm.constraints), "Platforms": [known], **limit}


def _policy(swarm: SwarmSpec, action: str) -> dict[str, Any]:
    """Return the update policy: after one failure, the Swarm takes this action."""
    return {
        "Parallelism": swarm.parallelism,
        "Delay": swarm.delay * _NANO,
        "FailureAction": action,
        "Monitor": swarm.monitor * _NANO,
        "MaxFailureRatio": 0,
        "Order": swarm.order,
    }


def _port(port: Publish, mode: str) -> dict[str, Any]:
    return {
        "Protocol": port.protocol,
        "TargetPort": port.container,
        "PublishedPort": port.host,
        "PublishMode": mode,
    }


def _mount(mount: Mount) -> dict[str, Any]:
    return {
        "Type": "bind" if mount.is_bind else "volume",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }


def _memory(text: str) -> dict[str, Any]:
    folder = Tmpfs.model_validate(text)
    told = {"SizeBytes": folder.size, "Mode": folder.mode}
    options = {name: value for name, value in told.items() if value is not None}
    mount = {"Type": "tmpfs", "Target": folder.path}
    return {**mount, "TmpfsOptions": options} if options else mount


def _config(path: str, mode: int, part: Part) -> dict[str, Any]:
    return {
        "File": {"Name": path, "UID": "0", "GID": "0", "Mode": mode},
        "ConfigID": part.id,
        "ConfigName": part.name,
    }


def _secret(path: str, part: Part) -> dict[str, Any]:
    return {
        "File": {"Name": path, "UID": "0", "GID": "0", "Mode": _READABLE_BY_ALL},
        "SecretID": part.id,
        "SecretName": part.name,
    }


def process_specs(spec: RunSpec) -> dict[str, RunSpec]:
    """Return the settings of each process. An exclusive process stops before it starts."""
    return {name: _stop_first(one) if name in spec.exclusive else one for name, one in spec.every.items()}


def _stop_first(spec: RunSpec) -> RunSpec:
    swarm = (spec.swarm or SwarmSpec()).model_copy(update={"order": "stop-first"})
    return spec.model_copy(update={"swarm": swarm})


def named_spec(order: RolloutRequest, networks: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of an order with names instead of the ids of secrets and configs.

    Args:
        order: what is to run.
        networks: ids by name.
    """
    place, spec = order.place.at(""), order.spec
    parts = Parts(
        networks={name: networks.get(name, name) for name in spec.networks},
        secrets={
            name: Part(id="", name=secret_name(place, name, print_)) for name, print_ in spec.secrets.items()
        },
        files={
            path: Part(id="", name=file_name(place, path, file.sha256))
            for path, file in (spec.files or {}).items()
        },
    )
    return service_spec(order, parts)


def recorded_order(place: Place, deployment: Deployment, release: Release) -> RolloutRequest:
    """Return the order of a recorded deployment for this process."""
    return RolloutRequest(
        place=place,
        identity=Identity(
            deployment=deployment.deployment,
            version=release.version,
            commit=release.source.commit,
            digest=Digest(release.image.digest),
            record=deployment.release,
        ),
        image=release.image,
        spec=process_specs(deployment.run_spec).get(place.process, deployment.run_spec),
        secrets={},
        before=InstanceSet(running=(), stopped=()),
        old=None,
        health_timeout=0,
    )
