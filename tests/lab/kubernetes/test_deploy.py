"""Deployments and rollbacks in a namespace: what runs, what is recorded, and what others changed."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from tests.engine import lab
from tests.engine.deploy.traffic.edge import APP
from tests.lab.kubernetes.conftest import Make
from tests.lab.kubernetes.world import ClusterWorld

pytestmark = pytest.mark.timeout(240)

AUTOSCALED: Final = 3


def container(world: ClusterWorld) -> dict[str, Any]:
    found: dict[str, Any] = world.deployment()["spec"]["template"]["spec"]["containers"][0]
    return found


def test_a_rollback_runs_the_recorded_digest_with_the_recorded_settings(world: ClusterWorld) -> None:
    """To a version and to a time; each pod names the digest, and `status` finds nothing changed."""
    world.configure(env='{ GREETING = "first" }')
    world.deployed("0.1.0")
    time.sleep(1.1)
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    world.configure(env='{ GREETING = "second" }')
    world.deployed("0.2.0")
    (last,) = world.invoke("history", "--json", "--limit", "1").data
    assert "GET /healthz gave 200 on 2 of 2 pods" in json.dumps(last)
    assert world.drift() == []
    for words in (("--to", "0.1.0"), ("--to", moment)):
        world.rolled_back(*words)
        world.settles("0.1.0")
        assert container(world)["image"] == f"{world.repository}@{world.digests['0.1.0']}"
        assert container(world)["env"] == [{"name": "GREETING", "value": "first"}]
        assert world.drift() == []
        world.deployed("0.2.0", "--allow-quarantined", "--thaw", "--message", "test")
    world.settles("0.2.0")
    digests = {each["status"]["containerStatuses"][0]["imageID"] for each in world.objects("pods")}
    assert all(one.endswith(world.digests["0.2.0"]) for one in digests)
    assert world.statuses() == ["started", "healthy"] * 6


def test_a_secret_is_a_new_object_for_each_value(world: ClusterWorld) -> None:
    """No object but the Secret has its value; `prune` removes it when no rollback needs it."""
    world.configure(secrets='{ TOKEN = { from_env = "THE_TOKEN" } }')
    world.deployed("0.1.0", THE_TOKEN="canary-one")
    said = world.deployed("0.1.0", THE_TOKEN="canary-two")
    assert "rotated" in said.err
    assert len(world.names("secrets")) == 2
    assert "canary" not in said.err + json.dumps([world.objects("configmaps"), world.deployment()])
    assert world.drift() == []


def test_what_is_removed_comes_back_and_what_was_added_goes(world: ClusterWorld) -> None:
    """A process, its Service and its disruption budget; so do a rollback and a failure."""
    world.release("0.3.0", mode="crashing")
    web = 'web = { publish = ["80:8000"] }'
    world.configure(publish="", processes=f"{{ {web}, worker = {{ replicas = 1 }} }}")
    world.deployed("0.1.0")
    names = {one: f"{world.name}-{one}" for one in ("web", "worker", "beat")}
    assert world.names("deployments") == [names["web"], names["worker"]]
    world.configure(publish="", processes=f"{{ beat = {{ replicas = 1 }}, {web} }}")
    world.deployed("0.2.0")
    assert world.names("deployments") == [names["beat"], names["web"]]
    world.configure(publish="", processes=f"{{ {web}, worker = {{ replicas = 1 }} }}")
    failed = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert failed.status == 3, failed.err
    assert world.names("deployments") == [names["beat"], names["web"]]
    world.rolled_back("--to", "0.1.0")
    assert world.names("deployments") == [names["web"], names["worker"]]
    assert world.names("services") == [names["web"]]
    assert world.names("poddisruptionbudgets") == [names["web"]]
    assert world.drift() == []


def test_a_change_by_hand_is_named_and_never_overruled(world: ClusterWorld) -> None:
    """`status` names field and manager; a deployment changes nothing until it may take the field over."""
    world.deployed("0.1.0")
    world.kubectl("set", "env", f"deployment/{world.name}", "DEBUG=1")
    world.kubectl("set", "image", f"deployment/{world.name}", f"service={world.repository}@{_other(world)}")
    world.kubectl("rollout", "status", f"deployment/{world.name}", "--timeout=60s")
    drift = world.drift()
    assert any("containers[service].image" in one and "changed by kubectl-set" in one for one in drift), drift
    assert any("env[DEBUG].value was added by kubectl-set" in one for one in drift), drift
    refused = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert refused.status == 1, refused.err
    assert "is managed by kubectl-set" in refused.err
    assert "nothing was changed" in refused.err
    world.kubectl("set", "env", f"deployment/{world.name}", "DEBUG-")
    world.configure(**{"kubernetes.conflicts": '"force"'})
    world.deployed("0.2.0")
    world.settles("0.2.0")
    assert world.drift() == []


def _other(world: ClusterWorld) -> str:
    return world.digests["0.2.0"]


def test_an_object_that_was_removed_is_made_again(world: ClusterWorld) -> None:
    """The Service and the disruption budget, by the next deployment; the Deployment is missed by `status`."""
    world.deployed("0.1.0")
    world.kubectl("delete", "service,poddisruptionbudget", world.name)
    world.deployed("0.2.0")
    assert world.names("services") == world.names("poddisruptionbudgets") == [world.name]
    world.kubectl("delete", "deployment", world.name)
    assert world.invoke("status", "--json").data["running"] is None
    world.deployed("0.2.0")
    world.settles("0.2.0")


def test_the_number_of_pods_of_an_autoscaler_stays_its_own(world: ClusterWorld) -> None:
    """A HorizontalPodAutoscaler sets it; deployment, failure and rollback leave it, and it is no drift."""
    world.release("0.3.0", mode="crashing")
    world.deployed("0.1.0")
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": world.name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": world.name},
            "minReplicas": AUTOSCALED,
            "maxReplicas": AUTOSCALED + 1,
        },
    }
    world.kubectl("apply", "--filename", "-", given=json.dumps(autoscaler))
    lab.eventually(
        lambda: world.deployment()["spec"]["replicas"] == AUTOSCALED, what="autoscaler", seconds=60
    )
    world.settles("0.1.0", AUTOSCALED)
    world.deployed("0.2.0")
    failed = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert failed.status == 3, failed.err
    world.rolled_back("--to", "0.1.0")
    world.settles("0.1.0", AUTOSCALED)
    assert world.deployment()["spec"]["replicas"] == AUTOSCALED
    assert world.drift() == []


def test_of_two_operators_at_once_one_is_told_so(world: ClusterWorld) -> None:
    """They reach for the Lease together: exit 0 and exit 5; the winner's release runs."""
    world.deployed("0.1.0")
    world.release("0.3.0")
    both = ("0.2.0", "0.3.0")
    ended = dict(zip(both, world.meet(*(("deploy", "--to", to, "--yes") for to in both)), strict=True))
    assert sorted(end.status for end in ended.values()) == [0, 5], [end.err for end in ended.values()]
    (winner,) = [version for version, end in ended.items() if end.status == 0]
    world.settles(winner)
    assert world.drift() == []


def test_a_rollback_needs_neither_git_server_nor_registry(make: Make, tmp_path: Path) -> None:
    """The nodes have the image; the record is published when the git server is back."""
    remote = tmp_path / "origin.git"
    subprocess.run(("git", "init", "-q", "--bare", str(remote)), check=True)
    world = make(remote=remote, app=APP)
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
        world.deployed(version)
    lab.eventually(lambda: _is_on_a_node(world, "0.1.0"), what="the node to report the image", seconds=60)
    world.forget("0.1.0")
    remote.rename(tmp_path / "away.git")
    said = world.rolled_back().err
    assert "1 nodes have it" in said
    world.settles("0.1.0")
    (tmp_path / "away.git").rename(remote)
    synced = world.invoke("sync")
    assert synced.status == 0, synced.err
    assert world.statuses() == ["started", "healthy"] * 3


def _is_on_a_node(world: ClusterWorld, version: str) -> bool:
    known = [image["names"] for node in world.objects("nodes") for image in node["status"]["images"]]
    return any(name.endswith(world.digests[version]) for names in known for name in names)


def test_operations_beside_what_runs(world: ClusterWorld) -> None:
    """Logs, run, exec, restart, stop and start."""
    world.configure(env='{ GREETING = "hello" }')
    world.deployed("0.1.0")
    ran = world.invoke("run", "--message", "look", "--", "/bin/sh", "-c", "echo said $GREETING; exit 3")
    assert (ran.status, ran.out) == (3, "said hello\n"), ran.err
    went = world.invoke("exec", "--message", "look", "--", "/bin/cat", "/tmp/www/version")
    assert went.out.strip() == "0.1.0", went.err
    assert world.invoke("logs", "--lines", "5").status == 0
    for command in ("restart", "stop", "start"):
        done = world.invoke(command, "--yes", "--message", "test")
        assert done.status == 0, done.err
        assert world.drift() == []
    world.settles("0.1.0")


def test_a_drill_leaves_nothing(make: Make) -> None:
    """It deploys the release beside what runs, without a request of its Service."""
    world = make()
    world.release("0.1.0")
    world.release("0.2.0")
    world.configure(secrets='{ TOKEN = { from_env = "THE_TOKEN" } }')
    for version in ("0.1.0", "0.2.0"):
        world.deployed(version, THE_TOKEN="canary")
    before = {kind: world.names(kind) for kind in ("deployments", "services", "secrets", "configmaps")}
    drilled = world.invoke("drill", "--yes", THE_TOKEN="canary")
    assert drilled.status == 0, drilled.err
    assert {kind: world.names(kind) for kind in before} == before
    world.settles("0.2.0")
