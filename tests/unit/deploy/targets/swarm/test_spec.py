"""Run settings as the spec of a service, and what of it somebody changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from release.deploy.core.place import Place
from release.deploy.targets.swarm.marks import MARK, is_as_written, mark
from release.deploy.targets.swarm.naming import secret_name, service_name
from release.deploy.targets.swarm.spec import Part, Parts, service_spec
from release.runspec import Healthcheck, Mount, Publish, RunSpec
from release.targetspec import SwarmSpec
from tests.unit.deploy.targets.swarm.fakes import PLACE, RELEASE, order

EVERYTHING: dict[str, Any] = {
    "command": ("serve", "--fast"),
    "entrypoint": "keep",
    "env": {"LEVEL": "info"},
    "secrets": {"TOKEN": "11111111:2222222222222222"},
    "publish": (Publish(host=8080, container=8000),),
    "networks": ("web",),
    "volumes": (
        Mount(source="data", target="/data"),
        Mount(source="/etc/ssl", target="/ssl", read_only=True),
    ),
    "memory": 1 << 28,
    "cpus": 500,
    "pids": 64,
    "user": "10001",
    "read_only": True,
    "tmpfs": ("/tmp",),
    "tmpfs_options": {"/tmp": "mode=0700,size=64m"},
    "cap_add": ("NET_BIND_SERVICE",),
    "cap_drop": ("ALL",),
    "restart": "on-failure",
    "stop_grace": 3000,
    "labels": {"team": "core"},
    "init": True,
    "stop_signal": "SIGINT",
    "log_driver": "json-file",
    "log_options": {"max-size": "10m"},
    "healthcheck": Healthcheck(command=("well",), interval=1000),
    "replicas": 3,
    "swarm": SwarmSpec(
        constraints=("node.role==worker",),
        publish_mode="host",
        order="stop-first",
        max_per_node=2,
        reserve_memory=1 << 27,
        reserve_cpus=250,
    ),
}
ELSEWHERE = {
    *("probe", "proxy", "files", "secret_files", "health_tcp", "health_command", "watch", "processes"),
    "kubernetes",
}
"""Settings that are not the spec's, or refused, or have a test of their own."""


def written() -> dict[str, Any]:
    parts = Parts(networks={"web": "id-web"}, secrets={"TOKEN": Part(id="id-token", name="name-of-token")})
    return service_spec(order(**EVERYTHING), parts)


def test_every_setting_is_thought_of() -> None:
    """A new one has to be written here, or be named as one that a Swarm does without."""
    assert set(RunSpec.model_fields) == set(EVERYTHING) | ELSEWHERE


def test_settings_become_the_spec_of_a_service() -> None:
    """Times in nanoseconds, memory in bytes; the image by digest."""
    spec = written()
    container = spec["TaskTemplate"]["ContainerSpec"]
    assert container["Image"] == f"localhost/api@{RELEASE.body.image.digest}"
    assert container["Args"] == ["serve", "--fast"]
    assert container["Env"] == ["TOKEN_FILE=/run/secrets/TOKEN", "LEVEL=info"]
    assert container["StopGracePeriod"] == 3_000_000_000
    assert (container["User"], container["ReadOnly"], container["Init"]) == ("10001", True, True)
    assert [mount["Type"] for mount in container["Mounts"]] == ["volume", "bind", "tmpfs"]
    assert container["CapabilityAdd"] == ["CAP_NET_BIND_SERVICE"]
    assert container["CapabilityDrop"] == ["ALL"]
    assert container["Healthcheck"]["Test"] == ["CMD", "well"]
    task = spec["TaskTemplate"]
    assert task["Resources"]["Limits"] == {"NanoCPUs": 500_000_000, "MemoryBytes": 1 << 28, "Pids": 64}
    assert task["RestartPolicy"]["Condition"] == "on-failure"
    assert task["Resources"]["Reservations"] == {"NanoCPUs": 250_000_000, "MemoryBytes": 1 << 27}
    assert task["Placement"] == {
        "Constraints": ["node.role==worker"],
        "Platforms": [{"OS": "linux", "Architecture": "amd64"}],
        "MaxReplicas": 2,
    }
    assert task["Networks"] == [{"Target": "id-web"}]
    assert task["LogDriver"] == {"Name": "json-file", "Options": {"max-size": "10m"}}
    assert spec["Mode"] == {"Replicated": {"Replicas": 3}}
    assert spec["UpdateConfig"]["FailureAction"] == "pause"
    assert spec["EndpointSpec"]["Ports"] == [
        {"Protocol": "tcp", "TargetPort": 8000, "PublishedPort": 8080, "PublishMode": "host"}
    ]


@pytest.mark.parametrize(
    ("entrypoint", "key", "other"),
    [("replace", "Command", "Args"), ("keep", "Args", "Command"), (None, "Args", "Command")],
)
def test_a_command_runs_in_the_place_of_the_entrypoint_or_is_given_to_it(
    entrypoint: str | None, key: str, other: str
) -> None:
    """A record without the key is an older one, whose command was given to the ENTRYPOINT."""
    asked = {**EVERYTHING, "entrypoint": entrypoint}
    parts = Parts(networks={"web": "id-web"}, secrets={"TOKEN": Part(id="id-token", name="name-of-token")})
    container = service_spec(order(**asked), parts)["TaskTemplate"]["ContainerSpec"]
    assert container[key] == ["serve", "--fast"]
    assert other not in container


def test_service_and_containers_carry_who_they_are() -> None:
    """The same labels; only the service's have the mark, which covers all of them."""
    spec = written()
    inside = spec["TaskTemplate"]["ContainerSpec"]["Labels"]
    assert spec["Labels"] == {**inside, MARK: mark(spec)}
    assert inside["release.deployment"] == "2" * 12
    assert inside["release.record"] == RELEASE.id
    assert inside["team"] == "core"


def test_secrets_are_named_and_never_written() -> None:
    """A file for the task, readable by whatever user the image has."""
    spec = written()
    (secret,) = spec["TaskTemplate"]["ContainerSpec"]["Secrets"]
    assert (secret["SecretID"], secret["SecretName"], secret["File"]["Mode"]) == (
        "id-token",
        "name-of-token",
        0o444,
    )
    assert "value of TOKEN" not in str(spec)


def test_what_a_swarm_adds_and_drops_is_no_change() -> None:
    """It leaves out what is empty, and adds keys of its own."""
    spec = written()
    back = copy.deepcopy(spec)
    del back["TaskTemplate"]["ForceUpdate"]
    back["TaskTemplate"]["Runtime"] = "container"
    back["TaskTemplate"]["ContainerSpec"]["Isolation"] = "default"
    back["TaskTemplate"]["ContainerSpec"]["DNSConfig"] = {}
    assert is_as_written(back)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("TaskTemplate.ContainerSpec.Env", ["LEVEL=debug"]),
        ("TaskTemplate.ContainerSpec.Image", "localhost/api:latest"),
        ("TaskTemplate.ContainerSpec.Hosts", ["127.0.0.1 db"]),
        ("TaskTemplate.ContainerSpec.Secrets", []),
        ("TaskTemplate.Resources.Limits", {}),
        ("TaskTemplate.Placement", {"Constraints": []}),
        ("Mode.Replicated.Replicas", 2),
        ("UpdateConfig.Order", "start-first"),
        ("EndpointSpec.Ports", []),
        ("Labels.release.version", "9.9.9"),
    ],
)
def test_what_a_person_changes_is_seen(path: str, value: Any) -> None:
    """Also a label, and a key that a deployment never writes."""
    spec = copy.deepcopy(written())
    *above, last = path.split(".") if not path.startswith("Labels.") else ["Labels", path[7:]]
    below = spec
    for key in above:
        below = below[key]
    below[last] = value
    assert not is_as_written(spec)


def test_names_fit_what_a_swarm_allows_and_stay_apart() -> None:
    """63 characters for a service, 64 for a secret; two long names with one beginning are two."""
    long = [Place(service="s" * 40, environment="e" * 39 + end) for end in "xy"]
    names = [service_name(place) for place in long]
    assert all(len(name) == 63 for name in names)
    assert names[0] != names[1]
    secrets = [secret_name(PLACE, "T" * 70, f"1111111{end}:2222222222222222") for end in "01"]
    assert all(len(name) == 64 for name in secrets)
    assert secrets[0] != secrets[1]
