"""Run settings of a Deployment that another program made, and settings that cannot be expressed. Pure.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/ and .../pod-v1/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from release.deploy.targets.kubernetes.foreign_probes import read_probes
from release.deploy.targets.kubernetes.foreign_variables import REFERENCE, Values, read_variables
from release.deploy.targets.kubernetes.kinds import Document
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from release.values import Struct

_POD: Final = frozenset(
    {
        *(
            "containers",
            "volumes",
            "imagePullSecrets",
            "nodeSelector",
            "serviceAccountName",
            "serviceAccount",
        ),
        *("securityContext", "terminationGracePeriodSeconds", "topologySpreadConstraints"),
    }
)
"""Keys of a pod that are read below, or that a deployment decides by itself."""
_POD_USUAL: Final[Mapping[str, object]] = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "enableServiceLinks": True,
    "priority": 0,
}
_CONTAINER: Final = frozenset(
    {
        *("name", "image", "imagePullPolicy", "command", "args", "env", "envFrom", "ports", "resources"),
        *("lifecycle", "readinessProbe", "startupProbe", "livenessProbe", "securityContext", "volumeMounts"),
        *("terminationMessagePath", "terminationMessagePolicy"),
    }
)
_OWN_NODES: Final = ("kubernetes.io/os", "kubernetes.io/arch")
_UNITS: Final[Mapping[str, int | str]] = {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "m": "0.001",
}
_SLEEP: Final = re.compile(r"sleep ([0-9]{1,4})")
_SERVICE_TYPES: Final = ("ClusterIP", "NodePort", "LoadBalancer")


class WorkloadReading(Struct, frozen=True, kw_only=True):
    """Run settings of a Deployment, with settings that have no place in them."""

    spec: RunSpec
    secrets: dict[str, Redacted | None]
    unexpressed: dict[str, str]
    dropped: dict[str, str]


def read_workload(found: Document, services: Sequence[Document], values: Values) -> WorkloadReading:
    """Return the settings of a Deployment with one container.

    Args:
        found: the Deployment.
        services: the Services that select its pods.
        values: reads ConfigMaps and Secrets that its variables come from.
    """
    spec, template = found["spec"], found["spec"]["template"]
    pod = template["spec"]
    container = pod["containers"][0]
    wrong = dict([*_odd_parts(pod, container), *_odd_words(container)])
    env, secrets, odd = read_variables(container, values)
    mounts, tmpfs, others = _mounts(pod, container)
    probes = read_probes(container)
    grace, pause, hook = _stopping(pod, container)
    ports, strange = _ports(container, services)
    made = RunSpec.model_validate(
        {
            "command": _words(container) or None,
            "entrypoint": "replace" if container.get("command") else None,
            "env": env,
            "publish": ports,
            "volumes": mounts,
            "tmpfs": tuple(tmpfs),
            "tmpfs_options": {path: text for path, text in tmpfs.items() if text} or None,
            **_limits(pod, container),
            "stop_grace": grace,
            "labels": _notes(template),
            "replicas": spec.get("replicas") or 1,
            "kubernetes": _cluster(spec, pod, container, services, pause),
            **probes.settings,
        }
    )
    unexpressed = {**wrong, **odd, **others, **hook, **strange, **probes.unexpressed}
    return WorkloadReading(
        spec=made, secrets=secrets, unexpressed=unexpressed, dropped={**_dropped(spec, pod), **probes.dropped}
    )


def _limits(pod: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any]:
    """Return limits and rights."""
    security = {**(pod.get("securityContext") or {}), **(container.get("securityContext") or {})}
    limits = (container.get("resources") or {}).get("limits") or {}
    return {
        "memory": _whole(limits.get("memory")),
        "cpus": _whole(limits.get("cpu"), 1000),
        "user": _user(security),
        "read_only": bool(security.get("readOnlyRootFilesystem")),
        "cap_add": tuple((security.get("capabilities") or {}).get("add") or ()),
    }


def _words(container: Mapping[str, Any]) -> list[str]:
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return [word.replace("$$", "$") for word in words]


def _odd_words(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for word in [*(container.get("command") or ()), *(container.get("args") or ())]:
        if REFERENCE.search(word):
            yield f"command {word!r}", "the cluster puts the value of a variable into it"


def _mounts(
    pod: Mapping[str, Any], container: Mapping[str, Any]
) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Return claims, folders in memory with their options, and mounts of other kinds."""
    volumes = {each["name"]: each for each in pod.get("volumes") or ()}
    found, memory, odd = list[str](), dict[str, str](), dict[str, str]()
    for mount in container.get("volumeMounts") or ():
        volume, path = volumes.get(mount["name"]) or {}, mount["mountPath"]
        claim, empty = volume.get("persistentVolumeClaim"), volume.get("emptyDir")
        is_plain = not mount.get("subPath") and not mount.get("subPathExpr")
        if claim is not None and is_plain:
            is_fixed = claim.get("readOnly") or mount.get("readOnly")
            found.append(f"{claim['claimName']}:{path}{':ro' if is_fixed else ''}")
        elif empty is not None and is_plain and empty.get("medium") == "Memory":
            size = _whole(empty.get("sizeLimit"))
            memory[path] = f"size={size}" if size else ""
        else:
            kind = next((key for key in volume if key != "name"), "an unknown volume")
            odd[f"mount {path}"] = f"{kind} {mount.get('subPath') or ''}".strip()
    return found, memory, odd


def _stopping(pod: Mapping[str, Any], container: Mapping[str, Any]) -> tuple[int, int, dict[str, str]]:
    """Return the time to stop and the pause before it in milliseconds, and another hook."""
    hook = ((container.get("lifecycle") or {}).get("preStop")) or {}
    words = " ".join((hook.get("exec") or {}).get("command") or ())
    slept = _SLEEP.search(words) if words else None
    seconds = (hook.get("sleep") or {}).get("seconds") or (int(slept[1]) if slept else 0)
    odd = {"lifecycle.preStop": words or json.dumps(hook)} if hook and not seconds else {}
    if (container.get("lifecycle") or {}).get("postStart"):
        odd["lifecycle.postStart"] = "a hook after the start"
    whole = (pod.get("terminationGracePeriodSeconds") or 30) * 1000
    return max(1000, whole - seconds * 1000), seconds * 1000, odd


def _ports(container: Mapping[str, Any], services: Sequence[Document]) -> tuple[list[str], dict[str, str]]:
    """Return the ports of the Services, and ports of two Services with the same number."""
    named = {each.get("name"): each["containerPort"] for each in container.get("ports") or ()}
    found, odd = dict[tuple[int, str], str](), dict[str, str]()
    for service in services:
        name = service["metadata"]["name"]
        for port in service["spec"].get("ports") or ():
            protocol, target = (port.get("protocol") or "TCP").lower(), port.get("targetPort") or port["port"]
            number = named.get(target, target)
            key = (port["port"], protocol)
            if protocol not in ("tcp", "udp") or not isinstance(number, int):
                odd[f"Service {name} port {port['port']}"] = f"{protocol} {target}"
            elif (
                found.setdefault(key, f"{port['port']}:{number}/{protocol}")
                != f"{port['port']}:{number}/{protocol}"
            ):
                odd[f"Service {name} port {port['port']}"] = "another Service has this port too"
    return list(found.values()), odd


def _cluster(
    spec: Mapping[str, Any],
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    services: Sequence[Document],
    pause: int,
) -> dict[str, Any]:
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    types = [each["spec"].get("type") for each in services if each["spec"].get("type") in _SERVICE_TYPES]
    account = pod.get("serviceAccountName")
    requests = (container.get("resources") or {}).get("requests") or {}
    nodes = {key: text for key, text in (pod.get("nodeSelector") or {}).items() if key not in _OWN_NODES}
    surge, missing = (rolling.get(key) for key in ("maxSurge", "maxUnavailable"))
    return {
        "service_type": max(types, key=_SERVICE_TYPES.index, default="ClusterIP"),
        "service_account": account if account != "default" else None,
        "pull_secrets": tuple(each["name"] for each in pod.get("imagePullSecrets") or ()),
        "node_selector": nodes,
        "max_surge": surge if isinstance(surge, int) else 1,
        "max_unavailable": missing if isinstance(missing, int) else 0,
        "pre_stop": pause,
        "request_memory": _whole(requests.get("memory")),
        "request_cpus": _whole(requests.get("cpu"), 1000),
    }


def _user(security: Mapping[str, Any]) -> str | None:
    user, group = security.get("runAsUser"), security.get("runAsGroup")
    if user is None:
        return None
    return f"{user}:{group}" if group is not None else str(user)


def _notes(template: Mapping[str, Any]) -> dict[str, str]:
    """Return the annotations of the pods, as deployments write labels; those of kubectl are no settings."""
    given = (template.get("metadata") or {}).get("annotations") or {}
    return {
        key: text for key, text in given.items() if not key.startswith(("kubectl.kubernetes.io/", "release."))
    }


def _dropped(spec: Mapping[str, Any], pod: Mapping[str, Any]) -> dict[str, str]:
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    found = {"labels of the pods": ", ".join(f"{key}={text}" for key, text in sorted(labels.items()))}
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        found["strategy"] = "Recreate: a deployment replaces pods a few at a time, unless a volume demands it"
    elif any(isinstance(value, str) for value in rolling.values()):
        found["strategy"] = f"{rolling}: a deployment starts one pod beside the old ones at a time"
    if pod.get("topologySpreadConstraints"):
        found["topologySpreadConstraints"] = "a deployment spreads pods over the nodes in its own way"
    return found


def _odd_parts(pod: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each part of the pod that no run setting has."""
    security = {**(pod.get("securityContext") or {}), **(container.get("securityContext") or {})}
    strict = ("runAsUser", "runAsGroup", "runAsNonRoot", "readOnlyRootFilesystem", "capabilities")
    usual = {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    odd = {key: value for key, value in pod.items() if key not in _POD and value != _POD_USUAL.get(key)}
    odd.pop("automountServiceAccountToken", None)
    odd |= {key: value for key, value in container.items() if key not in _CONTAINER}
    odd |= {
        f"securityContext.{key}": value
        for key, value in security.items()
        if key not in strict and value != usual.get(key)
    }
    for part, given in (container.get("resources") or {}).items():
        odd |= {
            f"resources.{part}.{key}": text
            for key, text in (given or {}).items()
            if key not in ("cpu", "memory")
        }
    for key, value in odd.items():
        if value:
            yield (
                key,
                value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)[:200],
            )


def _whole(text: str | None, factor: int = 1) -> int | None:
    """Return a quantity as a whole number, of thousandths with a factor of 1000; None if it is not set."""
    if not text:
        return None
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    return int(Decimal(text.removesuffix(unit)) * Decimal(_UNITS.get(unit, 1)) * factor)
