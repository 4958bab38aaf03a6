"""Settings of a Deployment that kubectl made, read from the API server's answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from release.deploy.targets.kubernetes.workload_settings import WorkloadReading, read_workload
from release.runspec import Healthcheck, Probe
from tests.cluster.bench import foreign_documents

TEXTS = {
    ("ConfigMap", "app"): {"COLOUR": "blue", "SIZE": "2"},
    ("Secret", "app"): {"password": "hunter2"},
}


def values(kind: str, name: str) -> Mapping[str, str] | None:
    return TEXTS.get((kind, name))


def reading(**pod: Any) -> WorkloadReading:
    """The settings of a Deployment with these parts of its pod; `container` has those of the container."""
    deployment, service = foreign_documents("web", "registry.example/web:1", **pod)
    return read_workload(deployment, [service], values)


def test_a_usual_deployment_is_read_whole() -> None:
    """Ports come from its Service, a request from its probe, limits in bytes and thousandths."""
    found = reading()
    spec = found.spec
    assert found.unexpressed == {}
    assert [str(port) for port in spec.publish] == ["0.0.0.0:80:8000"]
    assert spec.probe == Probe(port=8000, path="/healthz")
    assert (spec.memory, spec.cpus, spec.replicas, spec.env) == (1 << 28, 500, 2, {"LOG_LEVEL": "debug"})
    assert (spec.stop_grace, spec.kubernetes and spec.kubernetes.pre_stop) == (30_000, 0)
    assert spec.kubernetes is not None
    assert (spec.kubernetes.request_cpus, spec.kubernetes.max_surge) == (100, 1)
    assert list(found.dropped) == ["labels of the pods"]


def test_variables_are_read_from_where_they_come() -> None:
    """A ConfigMap's texts are plain; a Secret's are secrets; the last writer of a name wins."""
    found = reading(
        container={
            "envFrom": [{"configMapRef": {"name": "app"}}, {"secretRef": {"name": "app"}, "prefix": "DB_"}],
            "env": [
                {"name": "SIZE", "value": "$$3"},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "app", "key": "password"}}},
            ],
        }
    )
    assert found.spec.env == {"COLOUR": "blue", "SIZE": "$3"}
    assert {name: value and value.reveal() for name, value in found.secrets.items()} == {
        "DB_password": "hunter2",
        "TOKEN": "hunter2",
    }
    assert found.unexpressed == {}


def test_volumes_hooks_and_rights_have_their_place() -> None:
    """A claim, a folder in memory, a pause before the stop, the user, an account."""
    found = reading(
        serviceAccountName="shop",
        terminationGracePeriodSeconds=20,
        securityContext={"runAsUser": 10001, "runAsNonRoot": True},
        volumes=[
            {"name": "data", "persistentVolumeClaim": {"claimName": "data-1"}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ],
        container={
            "command": ["serve"],
            "args": ["--fast"],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}],
            "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", "sleep 5"]}}},
            "readinessProbe": {"exec": {"command": ["well"]}, "periodSeconds": 5},
            "startupProbe": {"tcpSocket": {"port": "http"}},
            "livenessProbe": {"httpGet": {"path": "/", "port": 8000}},
        },
    )
    spec = found.spec
    assert found.unexpressed == {}
    assert [str(each) for each in spec.volumes] == ["data-1:/data"]
    assert (spec.tmpfs_options, spec.user) == ({"/tmp": "size=1048576"}, "10001")
    assert (spec.command, spec.entrypoint) == (("serve", "--fast"), "replace")
    assert spec.kubernetes is not None
    assert (spec.stop_grace, spec.kubernetes.pre_stop) == (15_000, 5_000)
    assert spec.kubernetes.service_account == "shop"
    assert spec.healthcheck == Healthcheck(command=("well",), interval=5000, timeout=1000, retries=3)
    assert spec.health_tcp == (8000,)
    assert "livenessProbe" in found.dropped


@pytest.mark.parametrize(
    ("pod", "name"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"initContainers": [{"name": "first"}]}, "initContainers"),
        ({"tolerations": [{"key": "gpu"}]}, "tolerations"),
        ({"container": {"workingDir": "/tmp"}}, "workingDir"),
        ({"container": {"securityContext": {"privileged": True}}}, "securityContext.privileged"),
        (
            {"container": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}},
            "resources.limits.nvidia.com/gpu",
        ),
        ({"container": {"args": ["$(LOG_LEVEL)"]}}, "command '$(LOG_LEVEL)'"),
        (
            {
                "container": {
                    "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
                }
            },
            "env.IP",
        ),
        (
            {
                "volumes": [{"name": "c", "configMap": {"name": "app"}}],
                "container": {"volumeMounts": [{"name": "c", "mountPath": "/etc/app"}]},
            },
            "mount /etc/app",
        ),
        ({"container": {"readinessProbe": {"grpc": {"port": 1}}}}, "readinessProbe"),
        ({"aKeyOfALaterVersion": 1}, "aKeyOfALaterVersion"),
    ],
)
def test_a_part_without_a_place_is_named(pod: dict[str, Any], name: str) -> None:
    """Every one, also one that only a later version knows."""
    assert list(reading(**pod).unexpressed) == [name]
