"""What somebody changed of a service's spec, by the names of the settings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from release.deploy.targets.swarm.drift import spec_drift
from release.deploy.targets.swarm.marks import is_as_written
from release.deploy.targets.swarm.spec import named_spec, recorded_order
from release.records import Deployment
from tests.unit.deploy.targets.swarm.fakes import PLACE, RELEASE, order
from tests.unit.deploy.targets.swarm.test_spec import EVERYTHING

NETWORKS = {"web": "id-web"}


def written() -> dict[str, Any]:
    """As a deployment with every setting writes it."""
    spec = order(**EVERYTHING).spec
    deployment = Deployment(
        deployment="2" * 12,
        environment="production",
        release=RELEASE.id,
        digest=RELEASE.body.image.digest,
        run_spec=spec,
        reason="promote",
        message="",
        status="healthy",
    )
    return named_spec(recorded_order(PLACE, deployment, RELEASE.body), NETWORKS)


def container(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = spec["TaskTemplate"]["ContainerSpec"]
    return found


def drift(change: Callable[[dict[str, Any]], object]) -> list[str]:
    """What is told after a change by hand."""
    now = copy.deepcopy(written())
    change(now)
    assert not is_as_written(now)
    names = {network: name for name, network in NETWORKS.items()} | {"id-other": "other"}
    return [f"{name} {text}" for name, text in spec_drift(now, written(), names)]


def test_a_spec_as_it_was_recorded_differs_in_nothing() -> None:
    """Also where a Swarm left out what is empty, or an older library did not name the platform."""
    now, wanted = copy.deepcopy(written()), written()
    del now["TaskTemplate"]["ForceUpdate"]
    del now["TaskTemplate"]["Placement"]["Platforms"]
    for key in ("CapabilityAdd", "Args"):
        container(wanted)[key] = []
        del container(now)[key]
    assert list(spec_drift(now, wanted, {"id-web": "web"})) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda spec: container(spec).update(Image="localhost/api:latest"),
            f"image is localhost/api:latest, but localhost/api@{RELEASE.body.image.digest} is recorded",
        ),
        (lambda spec: spec["Mode"]["Replicated"].update(Replicas=5), "replicas is 5, but 3 is recorded"),
        (
            lambda spec: container(spec)["Env"].append("EXTRA=1"),
            "env.EXTRA is 1, but none is recorded",
        ),
        (
            lambda spec: container(spec)["Env"].remove("LEVEL=info"),
            "env.LEVEL is missing, but info is recorded",
        ),
        (
            lambda spec: spec["TaskTemplate"]["Resources"]["Limits"].update(MemoryBytes=1 << 26),
            "memory is 64m, but 256m is recorded",
        ),
        (
            lambda spec: spec["TaskTemplate"]["Resources"]["Limits"].update(NanoCPUs=1_500_000_000),
            "cpus is 1.5, but 0.5 is recorded",
        ),
        (
            lambda spec: spec["EndpointSpec"]["Ports"][0].update(PublishMode="ingress"),
            "publish.8080:8000/tcp is ingress, but host is recorded",
        ),
        (
            lambda spec: spec["TaskTemplate"]["Networks"].append({"Target": "id-other"}),
            "networks.other is joined, but none is recorded",
        ),
        (
            lambda spec: container(spec).update(StopGracePeriod=5_000_000_000),
            "stop_grace is 5s, but 3s is recorded",
        ),
        (
            lambda spec: container(spec)["Mounts"][0].update(ReadOnly=True),
            "volumes./data is data:ro, but data is recorded",
        ),
        (
            lambda spec: container(spec).update(Hosts=["10.0.0.9 db"]),
            "Hosts is 10.0.0.9 db, but none is recorded",
        ),
        (
            lambda spec: spec["UpdateConfig"].update(Parallelism=2),
            "swarm.parallelism is 2, but 1 is recorded",
        ),
    ],
)
def test_a_change_is_told_with_the_name_of_the_setting(
    change: Callable[[dict[str, Any]], object], said: str
) -> None:
    """What is so, but what is recorded; and nothing else."""
    assert drift(change) == [said]


def test_a_secret_is_told_by_name_alone() -> None:
    """Its object's name has a fingerprint; a variable that looks like one is not shown."""

    def change(spec: dict[str, Any]) -> None:
        container(spec)["Secrets"][0]["SecretName"] = "by-hand"
        container(spec)["Env"].append("DB_PASSWORD=swordfish")

    password, secret = drift(change)
    assert password.startswith("env.DB_PASSWORD is a hidden value")
    assert secret.startswith("secrets./run/secrets/TOKEN is by-hand, but api-production-TOKEN-")
    assert "swordfish" not in password
