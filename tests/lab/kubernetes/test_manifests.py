"""The team's own manifests, and what kubectl deployed before: in a namespace of a real cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.lab.kubernetes.world import ClusterWorld

pytestmark = pytest.mark.timeout(240)


def configured(world: ClusterWorld, keys: dict[str, str]) -> None:
    """Write a configuration whose objects come from manifests."""
    nothing = dict.fromkeys(("publish", "replicas", "user", "stop_grace", "kubernetes.pre_stop"), "")
    world.configure(**nothing, **keys)


def written(world: ClusterWorld, *documents: Any) -> None:
    folder = world.root / "deploy"
    folder.mkdir(exist_ok=True)
    (folder / "all.yaml").write_text(yaml.safe_dump_all(documents))


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"A": name}}


def test_a_rollback_applies_the_manifests_that_ran(world: ClusterWorld) -> None:
    """Removed objects come back, added ones go; a release that fails gives all of them back."""
    world.release("0.3.0", mode="crashing")
    configured(world, {"kubernetes.manifests": '["deploy/*.yaml"]', "health_timeout": '"10s"'})
    objects = world.manifests("web", f"{world.repository}:latest")
    world.kubectl("create", "configmap", "foreign")
    written(world, *objects, config_map("first"))
    world.deployed("0.1.0")
    assert world.drift() == []
    written(world, *objects, config_map("second"))
    world.deployed("0.2.0")
    assert "second" in world.names("configmaps")
    assert "first" not in world.names("configmaps")
    failed = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert failed.status == 3, failed.err
    world.settles("0.2.0")
    world.rolled_back()
    world.settles("0.1.0")
    names = world.names("configmaps")
    assert ("first" in names, "second" in names, "foreign" in names) == (True, False, True)
    image = world.objects("deployments")[0]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"{world.repository}@{world.digests['0.1.0']}"
    assert world.drift() == []


def test_an_overlay_is_rendered_and_refused_before_anything_is_touched(world: ClusterWorld) -> None:
    """By the real `kubectl kustomize`; the API server refuses an unknown field in a dry run."""
    configured(world, {"kubernetes.kustomize": '"deploy"'})
    deployment, service = world.manifests("web", f"{world.repository}:latest")
    written(world, deployment, service)
    (world.root / "deploy" / "kustomization.yaml").write_text("resources: [all.yaml]\nnamePrefix: prod-\n")
    world.deployed("0.1.0")
    assert world.names("deployments") == ["prod-web"]
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolicies"] = "x"
    written(world, deployment, service)
    refused = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert refused.status == 1, refused.err
    assert "imagePullPolicies" in refused.err
    world.settles("0.1.0")


def test_what_kubectl_deployed_by_a_tag_is_adopted(world: ClusterWorld) -> None:
    """Its digest is that of its pods, its settings are recorded, and a rollback puts it back by digest."""
    world.configure(publish='["80:8000"]')
    world.build("0.0.1", "good", "f" * 40, {})
    digest = world.digests["0.0.1"]
    world.apply(*world.manifests("web", f"{world.repository}@{digest}"))
    world.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    adopted = world.invoke("adopt", "--yes", "--json")
    assert adopted.status == 0, adopted.err
    assert "Service web selects its pods" in adopted.err
    spec = adopted.data["run_spec"]
    assert (adopted.data["digest"], spec["replicas"], spec["env"]) == (digest, 2, {"LOG_LEVEL": "debug"})
    assert world.invoke("status", "--exit-code").status == 0
    world.deployed("0.1.0")
    assert json.loads(world.kubectl("get", "deployment", "web", "--output", "json"))["spec"]["replicas"] == 0
    world.rolled_back()
    found = world.deployment()["spec"]["template"]["spec"]["containers"][0]
    assert found["image"] == f"{world.repository}@{digest}"
    assert {"name": "LOG_LEVEL", "value": "debug"} in found["env"]
    assert world.drift() == []
