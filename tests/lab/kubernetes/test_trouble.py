"""Deployments that fail in a namespace: the cause is named at once, and what ran before runs again."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Final

import pytest

from release.deploy.targets.kubernetes.role import NEEDED, WANTED
from release.deploy.targets.kubernetes.sealed import Sealed
from release.errors import DeploymentFailed, Restored
from release.secrets.redact import Redacted
from tests.contract import FIRST, NEXT, means, order, roll_out, runs
from tests.engine import lab
from tests.engine.deploy.bench import WorldBench
from tests.lab.kubernetes.accounts import account
from tests.lab.kubernetes.conftest import Make
from tests.lab.kubernetes.gate import Gate, gate
from tests.lab.kubernetes.refusing import denying
from tests.lab.kubernetes.world import ClusterWorld, api_server, kubeconfig

pytestmark = pytest.mark.timeout(240)

UNKNOWN: Final = "sha256:" + "1" * 64
AT_ONCE_SECONDS: Final = 15
"""Less than `health_timeout`: the cause is told before the deadline."""
DEADLINE: Final = {"health_timeout": '"25s"'}


def refused(world: ClusterWorld, version: str) -> str:
    """Deploy a release that fails; standard error. What ran before runs again, which is recorded."""
    ended = world.invoke("deploy", "--to", version, "--yes", THE_TOKEN="canary-secret")
    assert ended.status == 3, ended.err
    assert "canary-secret" not in ended.err + ended.out
    assert world.statuses()[-1] == "restored"
    return ended.err


@pytest.mark.parametrize(
    ("mode", "settings", "words"),
    [
        ("crashing", {}, "its process ended with status 7"),
        ("hungry", {"memory": '"16m"'}, "because of its memory limit (OOMKilled)"),
        ("good", {"kubernetes.request_memory": '"900g"', "memory": '"900g"'}, "Insufficient memory"),
    ],
)
def test_the_cause_is_told_at_once(make: Make, mode: str, settings: dict[str, str], words: str) -> None:
    """In the cluster's words, before the deadline of the rollout."""
    world = make()
    world.release("0.1.0")
    world.release("0.3.0", mode=mode)
    world.configure(**DEADLINE)
    world.deployed("0.1.0")
    world.configure(**DEADLINE, **settings, secrets='{ TOKEN = { from_env = "THE_TOKEN" } }')
    began = time.monotonic()
    said = refused(world, "0.3.0")
    assert words in said
    assert time.monotonic() - began < AT_ONCE_SECONDS
    world.settles("0.1.0")
    assert world.drift() == []


def test_the_output_of_a_failed_release_is_kept(world: ClusterWorld) -> None:
    """Without its secret; a deployment that goes well removes it."""
    world.release("0.3.0", mode="crashing")
    world.deployed("0.1.0")
    world.configure(secrets='{ TOKEN = { from_env = "THE_TOKEN" } }', env='{ HINT = "x" }')
    refused(world, "0.3.0")
    shown = world.invoke("logs", "--failed")
    assert (shown.status, "cannot start with ***" in shown.out) == (0, True), shown.err
    world.configure()
    world.deployed("0.2.0")
    assert not world.invoke("logs", "--failed").out


def test_a_pod_that_the_namespace_refuses_is_known_before(world: ClusterWorld) -> None:
    """Pod Security, a quota for the third pod of a rollout, a webhook for pods: nothing is touched."""
    world.deployed("0.1.0")
    before = world.objects("pods")
    world.configure(user='"0"')
    untouched(world, 'violates PodSecurity "restricted')
    world.configure()
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "2"}},
    }
    world.kubectl("apply", "--filename", "-", given=json.dumps(quota))
    lab.eventually(lambda: world.objects("resourcequotas")[0]["status"].get("used"), what="quota")
    untouched(world, "exceeded quota: small")
    world.configure(**{"kubernetes.max_surge": "0", "kubernetes.max_unavailable": "1"})
    world.deployed("0.2.0")
    world.kubectl("delete", "resourcequota", "small")
    world.configure()
    with denying(world.namespace, "pods", "no pods on Fridays"):
        untouched(world, "no pods on Fridays")
    with denying(world.namespace, "deployments", "no tags on Fridays"):
        untouched(world, "no tags on Fridays")
    assert len(world.objects("pods")) == len(before)
    world.settles("0.2.0")


def untouched(world: ClusterWorld, words: str) -> None:
    """A deployment that is refused before anything is changed."""
    failed = world.invoke("deploy", "--to", "0.1.0", "--again", "--yes")
    assert failed.status == 1, failed.err
    assert words in failed.err
    assert "nothing was changed" in failed.err


def test_a_pod_that_is_refused_later_is_told_in_the_cluster_s_words(
    world: ClusterWorld, tmp_path: Path
) -> None:
    """An account that may not create pods learns of it from the Deployment; what ran before runs again."""
    world.deployed("0.1.0")
    permissions = (each for each in (*NEEDED, *WANTED) if each != ("", "pods", "create"))
    path = kubeconfig(tmp_path / "config", user={"token": account(world, permissions)})
    world.environ["KUBECONFIG"] = str(path)
    with denying(world.namespace, "pods", "no pods on Fridays"):
        failed = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert failed.status == 3, failed.err
    assert "no pods on Fridays" in failed.err
    world.environ.clear()
    world.settles("0.1.0")


def test_a_failing_probe_ends_at_the_deadline(make: Make) -> None:
    """The kubelet's words on the probe are in the error."""
    world = make()
    world.release("0.1.0")
    world.release("0.3.0", mode="sick")
    world.configure(health_timeout='"8s"')
    world.deployed("0.1.0")
    said = refused(world, "0.3.0")
    assert "no progress for 8 s" in said
    assert "Readiness probe failed: HTTP probe failed with statuscode: 404" in said
    world.settles("0.1.0")


def test_one_pod_that_never_became_ready_is_no_reason_to_doubt_the_old_one(make: Make) -> None:
    """The old pod served all the time; the deadline that the new one missed is not the restoration's."""
    world = make()
    world.release("0.1.0")
    world.release("0.3.0", mode="sick")
    world.configure(health_timeout='"8s"', replicas="1")
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    failed = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert failed.status == 3, failed.err
    assert world.invoke("status", "--exit-code").status == 0


def test_an_image_that_no_node_can_pull_is_told_at_once(make: Make) -> None:
    """With the registry's words, as when the registry lost it after the plan."""
    world = make()
    bench = WorldBench(world=world)
    world.release("0.1.0")
    world.release("0.2.0")
    with bench.live() as live:
        roll_out(live, "0.1.0", FIRST)
        asked = order(live, "0.2.0", NEXT)
        lost = asked.image.model_copy(update={"digest": UNKNOWN})
        with pytest.raises(Restored) as caught:
            live.target.rollouts.roll_out(order(live, "0.2.0", NEXT, image=lost), means(live))
        assert "ImagePullBackOff" in caught.value.found
        assert "not found" in caught.value.found
        assert runs(live) == [(FIRST, "0.1.0")]


def test_a_secret_that_somebody_removes_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kubelet."""
    world = make()
    world.release("0.1.0")
    monkeypatch.setattr(Sealed, "write", lambda *_: None)
    with WorldBench(world=world).live() as live:
        spec = order(live, "0.1.0", FIRST).spec
        asked = {"spec": spec.with_secrets({"TOKEN": "key:0123"}), "secrets": {"TOKEN": Redacted("canary")}}
        with pytest.raises(DeploymentFailed) as caught:
            live.target.rollouts.roll_out(order(live, "0.1.0", FIRST, **asked), means(live))
    words = f'CreateContainerConfigError: secret "{world.name}-token-key-0123" not found'
    assert words in caught.value.found
    assert world.names("deployments") == world.names("services") == []


@pytest.mark.parametrize("when", ["apply", "health"])
def test_an_api_server_that_is_away_for_a_while_is_waited_for(
    world: ClusterWorld, tmp_path_factory: pytest.TempPathFactory, when: str
) -> None:
    """In the middle of a rollout; afterwards all is as if it had never been away."""
    world.deployed("0.1.0")
    with gate(*api_server()) as way:
        path = kubeconfig(tmp_path_factory.mktemp("gate") / "config", server=way.url)
        words = ("deploy", "--to", "0.2.0", "--yes")
        world.environ["KUBECONFIG"] = str(path)
        ended = world.when(*words, line="dry run", act=lambda _: _away(way, 0.1 if when == "apply" else 1.5))
        world.environ.clear()
    assert ended.status == 0, ended.err
    assert "does not answer" in ended.err
    world.settles("0.2.0")
    assert world.drift() == []


def _away(way: Gate, delay: float) -> None:
    time.sleep(delay)
    way.close()
    time.sleep(4)
    way.open()


STEPS: Final = (
    ("after", "append_events", "1"),
    ("after", "apply", "3"),
    ("after", "keep", "1"),
    ("after", "apply", "4"),
    ("before", "apply", "6"),
    ("after", "apply", "6"),
    ("before", "prune", "1"),
    ("after", "prune", "1"),
    ("before", "append_events", "2"),
)
"""Started, rehearsed, inventory kept, Service applied, Deployment applied, proven, pruned."""


@pytest.mark.parametrize("step", STEPS, ids=" ".join)
def test_an_operator_dies_and_another_converges(world: ClusterWorld, step: tuple[str, str, str]) -> None:
    """Whatever was left is finished or reverted; the Lease is free, and the ledger has an end of it."""
    world.deployed("0.1.0")
    died = world.dying(*step, "deploy", "--to", "0.2.0", "--yes")
    assert died.status == -signal.SIGKILL, died.err
    ended = world.invoke("converge", "--yes", "--break-lock", "--message", "the laptop is lost")
    assert ended.status == 0, ended.err
    version = world.running()[0]
    world.settles(version)
    assert world.invoke("status", "--json").data["running"]["version"] == version
    assert world.drift() == []
    other = "0.1.0" if version == "0.2.0" else "0.2.0"
    world.deployed(other, "--allow-quarantined", "--thaw", "--message", "test")
    world.settles(other)
