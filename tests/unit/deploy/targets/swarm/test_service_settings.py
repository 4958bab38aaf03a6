"""Settings of a service that another program created, read from its spec."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.targets.swarm.service_settings import read_service_settings
from release.runspec import Healthcheck, RecordedFile
from release.targetspec import SwarmSpec

DIGEST = "sha256:" + "1" * 64


def spec(container: dict[str, Any] | None = None, task: dict[str, Any] | None = None, **more: Any) -> Any:
    """A service, as `docker service create` writes it."""
    return {
        "Name": "web",
        "Labels": {},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": f"registry.example/acme/web:1@{DIGEST}",
                "Init": False,
                "StopGracePeriod": 10_000_000_000,
                "DNSConfig": {},
                "Isolation": "default",
                **(container or {}),
            },
            "Resources": {"Limits": {}, "Reservations": {}},
            "RestartPolicy": {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0},
            "Placement": {"Platforms": [{"Architecture": "amd64", "OS": "linux"}]},
            "ForceUpdate": 0,
            "Runtime": "container",
            **(task or {}),
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "UpdateConfig": {"Parallelism": 1, "FailureAction": "pause", "Order": "stop-first"},
        "EndpointSpec": {"Mode": "vip"},
        **more,
    }


def test_a_service_without_options_has_few_settings() -> None:
    """Its replicas, and the update policy of the Swarm."""
    found = read_service_settings(spec(), {}, {})
    assert (found.unexpressed, found.dropped, found.secrets) == ({}, {}, ())
    assert (found.spec.replicas, found.spec.restart, found.spec.stop_grace) == (2, "unless-stopped", 10_000)
    assert found.spec.swarm == SwarmSpec(order="stop-first")


def test_each_setting_has_its_place() -> None:
    """Secrets by the variable that names their file; configs with their content."""
    found = read_service_settings(
        spec(
            {
                "Args": ["serve"],
                "Env": ["COLOUR=blue", "DB_PASSWORD_FILE=/run/secrets/db"],
                "User": "10001",
                "Labels": {"team": "core"},
                "Mounts": [
                    {"Type": "volume", "Source": "data", "Target": "/data"},
                    {"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"SizeBytes": 1024, "Mode": 0o1777}},
                ],
                "Secrets": [
                    {"File": {"Name": "db", "UID": "0", "GID": "0", "Mode": 292}, "SecretName": "db-1"}
                ],
                "Configs": [
                    {"File": {"Name": "/etc/app.toml", "UID": "0", "GID": "0", "Mode": 288}, "ConfigID": "c1"}
                ],
                "Healthcheck": {"Test": ["CMD", "well"], "Interval": 1_000_000_000},
            },
            {
                "Resources": {
                    "Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 1 << 28, "Pids": 9},
                    "Reservations": {"MemoryBytes": 1 << 20},
                },
                "Placement": {"Constraints": ["node.role==worker"], "MaxReplicas": 1},
                "Networks": [{"Target": "n1"}],
            },
            EndpointSpec={
                "Mode": "vip",
                "Ports": [
                    {"TargetPort": 8000, "PublishedPort": 80, "Protocol": "tcp", "PublishMode": "host"}
                ],
            },
        ),
        {"n1": "backend"},
        {"c1": "x = 1"},
    )
    made = found.spec
    assert (found.unexpressed, found.secrets) == ({}, ("DB_PASSWORD",))
    assert (made.env, made.secret_files) == ({"COLOUR": "blue"}, {"DB_PASSWORD": "/run/secrets/db"})
    assert (made.command, made.entrypoint, made.user) == (("serve",), None, "10001")
    assert [str(each) for each in made.volumes] == ["data:/data"]
    assert (made.tmpfs, made.tmpfs_options) == (("/tmp",), {"/tmp": "mode=1777,size=1024"})
    assert isinstance((made.files or {})["/etc/app.toml"], RecordedFile)
    assert (made.files or {})["/etc/app.toml"].content == "x = 1"
    assert made.healthcheck == Healthcheck(command=("well",), interval=1000)
    assert (made.memory, made.cpus, made.pids, made.networks) == (1 << 28, 500, 9, ("backend",))
    assert (str(made.publish[0]), made.labels) == ("0.0.0.0:80:8000", {"team": "core"})
    assert made.swarm is not None
    assert (made.swarm.publish_mode, made.swarm.constraints, made.swarm.max_per_node) == (
        *("host", ("node.role==worker",)),
        1,
    )


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (spec({"Hostname": "web-1"}), "Hostname"),
        (spec({"Dir": "/tmp"}), "Dir"),
        (spec({"DNSConfig": {"Nameservers": ["10.0.0.1"]}}), "DNSConfig"),
        (spec({"Privileges": {"Seccomp": {"Mode": "unconfined"}}}), "Privileges"),
        (spec({"AKeyOfALaterEngine": 1}), "AKeyOfALaterEngine"),
        (spec(task={"RestartPolicy": {"Condition": "any", "MaxAttempts": 3}}), "restart.MaxAttempts"),
        (spec(task={"Placement": {"Preferences": [{"Spread": {}}, 1]}}), "Placement.Preferences"),
        (spec({"Mounts": [{"Type": "volume", "Target": "/data"}]}), "mount /data"),
        (spec(UpdateConfig={"FailureAction": "continue"}), "update.FailureAction"),
        (
            spec({"Secrets": [{"File": {"Name": "k", "UID": "7", "GID": "0"}, "SecretName": "k"}]}),
            "secret k",
        ),
        (spec(EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 0}]}), "publish"),
    ],
)
def test_a_part_without_a_place_is_named(written: Any, name: str) -> None:
    """Every one, also one that only a later engine knows; empty parts are none."""
    assert list(read_service_settings(written, {}, {}).unexpressed) == [name]
