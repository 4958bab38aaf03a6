"""What is seen in a namespace: pods, drift with its author, the lock, and what nothing needs any more."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lightkube.resources.coordination_v1 import Lease

from release.deploy.core.upkeep import Needs
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.targets.kubernetes.compared import differing
from release.deploy.targets.kubernetes.lock_store import KubernetesLockStore
from release.errors import NameTaken
from release.records import Deployment
from release.secrets.redact import Redacted
from tests.cluster.bench import ClusterBench
from tests.contract import FIRST, NEXT, means, order, refused, released, roll_out
from tests.unit.deploy.targets.kubernetes.test_rollout import NAME, by_hand, target_of


def drift(live: LiveEnvironment, version: str, deployment: str) -> list[str]:
    record, asked = released(live, version), order(live, version, deployment)
    recorded = Deployment(
        deployment=deployment,
        environment="production",
        release=record.id,
        digest=record.body.image.digest,
        run_spec=asked.spec,
        reason="promote",
        status="healthy",
    )
    instances = live.target.instances
    return [str(each) for each in instances.drift(recorded, record.body, instances.look().running, None)]


def test_a_change_by_hand_is_drift_with_its_author(place: ClusterBench) -> None:
    """A changed field, and one that was added; a restart is none."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        assert drift(live, "0.1.0", FIRST) == []

        def restart(data: dict[str, Any]) -> None:
            notes = data["spec"]["template"]["metadata"]["annotations"]
            notes["kubectl.kubernetes.io/restartedAt"] = "2026-11-20T10:00:00Z"

        place.cluster.change("deployments", NAME, restart, "kubectl-rollout")
        assert drift(live, "0.1.0", FIRST) == []
        by_hand(place, "other:1")

        def debug(data: dict[str, Any]) -> None:
            data["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "DEBUG", "value": "1"})

        place.cluster.change("deployments", NAME, debug, "kubectl-edit")
        image, *rest = drift(live, "0.1.0", FIRST)
        assert image.startswith(f"{NAME}: spec.template.spec.containers[service].image is 'other:1', but")
        assert image.endswith("(changed by kubectl-set)")
        assert any("env[DEBUG].value was added by kubectl-edit" in each for each in rest)


def test_a_changed_or_removed_object_beside_the_deployment_is_drift(place: ClusterBench) -> None:
    """A Service that selects other pods, and a disruption budget that nobody would miss until a drain."""

    def elsewhere(data: dict[str, Any]) -> None:
        data["spec"]["selector"]["release.service"] = "other"

    def more(data: dict[str, Any]) -> None:
        data["spec"]["maxUnavailable"] = 2

    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        place.cluster.change("services", NAME, elsewhere, "kubectl-edit")
        place.cluster.change("poddisruptionbudgets", NAME, more, "kubectl-patch")
        service, budget = drift(live, "0.1.0", FIRST)
        assert service.startswith(f"Service {NAME}: spec.selector.release.service is 'other', but")
        assert service.endswith("(changed by kubectl-edit)")
        assert budget.startswith(f"PodDisruptionBudget {NAME}: spec.maxUnavailable is 2, but 1 was applied")
        assert drift(live, "0.2.0", NEXT) == [], "another deployment's objects are not compared"
        live.target.instances.cluster.delete("PodDisruptionBudget", NAME)  # type: ignore[attr-defined]
        (_, gone) = drift(live, "0.1.0", FIRST)
        assert gone == f"PodDisruptionBudget {NAME}: the object is missing: it was removed"


def test_a_change_that_was_undone_is_no_drift(place: ClusterBench) -> None:
    """The field has another manager for good, and the value that was applied."""

    def scale(data: dict[str, Any]) -> None:
        data["spec"]["replicas"] = 5 if data["spec"]["replicas"] == 2 else 2

    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        place.cluster.change("deployments", NAME, scale, "kubectl")
        assert len(drift(live, "0.1.0", FIRST)) == 1
        place.cluster.change("deployments", NAME, scale, "kubectl")
        assert drift(live, "0.1.0", FIRST) == []


def test_the_number_of_pods_is_drift_unless_an_autoscaler_set_it(place: ClusterBench) -> None:
    """A person who scales by hand is told from a HorizontalPodAutoscaler."""

    def scale(data: dict[str, Any]) -> None:
        data["spec"]["replicas"] += 1

    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        place.cluster.change("deployments", NAME, scale, "kube-controller-manager")
        assert drift(live, "0.1.0", FIRST) == []
        assert live.target.instances.look().scaled == {"": 3}
        place.cluster.change("deployments", NAME, scale, "kubectl-scale")
        assert live.target.instances.look().scaled == {}
        (found,) = drift(live, "0.1.0", FIRST)
        assert found == f"{NAME}: spec.replicas is 4, but 2 was applied (changed by kubectl-scale)"


def test_a_stopped_deployment_is_seen_as_stopped(place: ClusterBench) -> None:
    """Scaled to 0: nothing runs, and it is known of which release."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)

        def stop(data: dict[str, Any]) -> None:
            data["spec"]["replicas"] = 0

        place.cluster.change("deployments", NAME, stop, "kubectl-scale")
        place.cluster.settle()
        seen = live.target.instances.look()
        assert seen.running == ()
        assert [(each.status, each.labels["release.version"]) for each in seen.stopped] == [
            ("exited", "0.1.0")
        ]
        (found,) = drift(live, "0.1.0", FIRST)
        assert "spec.replicas is 0, but 2 was applied (changed by kubectl-scale)" in found


def test_pods_that_go_are_not_counted(place: ClusterBench) -> None:
    """A pod with a deletionTimestamp still runs for a while."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        pod = place.cluster.store.of("pods")[0]
        place.cluster.running._end(pod)
        target = target_of(live)
        seen = [each.name for one in target.workloads() for each in one.pods]
        assert pod["metadata"]["name"] not in seen


def test_a_field_that_the_server_fills_in_is_no_difference() -> None:
    """Only what was applied is compared; items of lists are found by their keys."""
    applied = {"env": [{"name": "A", "value": "1"}], "args": ["x"], "gone": None, "empty": []}
    items = [{"name": "B", "value": "2"}, {"name": "A", "value": "1", "extra": 1}]
    found = {"env": items, "args": ["x"], "more": 1}
    assert list(differing(applied, found)) == []
    assert list(differing({"env": [{"name": "A", "value": "2"}]}, found)) == [
        (("env", "[A]", "value"), "2", "1")
    ]
    assert list(differing({"args": ["x", "y"]}, found)) == [(("args",), ["x", "y"], ["x"])]
    missing = differing({"env": [{"name": "C", "value": "1"}]}, found)
    assert [path for path, _, _ in missing] == [("env", "[C]")]


def store_of(live: LiveEnvironment) -> KubernetesLockStore:
    store = live.target.lock_store()
    assert isinstance(store, KubernetesLockStore)
    return store


def test_a_lock_is_a_lease_that_kubectl_shows(place: ClusterBench) -> None:
    """Holder, begin and duration are where others look for them; the journal is an annotation."""
    with place.live() as live:
        store = store_of(live)
        end = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
        store.put("release-lock", {"release.lock.who": "Ada", "release.lock.expires": end}, '{"a": 1}')
        lease = store.cluster.get(Lease, "release-lock")
        assert lease is not None
        assert lease.spec is not None
        assert lease.spec.holderIdentity == "Ada"
        assert 590 < (lease.spec.leaseDurationSeconds or 0) <= 601
        assert lease.metadata is not None
        assert (lease.metadata.annotations or {})["release.lock.journal"] == '{"a": 1}'


def test_of_two_who_take_a_free_lock_one_wins(place: ClusterBench) -> None:
    """By the version that each of them read."""
    with place.live() as live:
        store = store_of(live)
        store.put("release-lock", {"release.lock.who": "Ada"}, "")
        kept = store.get("release-lock")
        assert kept is not None
        store.drop(kept.id)
        assert store.get("release-lock") is None
        waiting = [""]

        def take(data: dict[str, Any]) -> None:
            data["spec"] = {"holderIdentity": "Grace"}

        def first(request: Any) -> None:
            if request.method == "PUT" and waiting:
                waiting.clear()
                place.cluster.change("leases", "release-lock", take, "release")

        place.cluster.before = first
        with pytest.raises(NameTaken):
            store.put("release-lock", {"release.lock.who": "Ada"}, "")
        lease = place.cluster.store.objects[("leases", "release-lock")]
        assert lease["spec"]["holderIdentity"] == "Grace"


def test_a_lock_of_somebody_else_is_not_freed(place: ClusterBench) -> None:
    """Whoever read an older one frees nothing."""
    with place.live() as live:
        store = store_of(live)
        store.put("release-lock", {"release.lock.who": "Ada"}, "")
        old = store.get("release-lock")
        assert old is not None
        store.drop(old.id)
        store.put("release-lock", {"release.lock.who": "Grace"}, "")
        store.drop(old.id)
        kept = store.get("release-lock")
        assert kept is not None
        assert kept.metadata["release.lock.who"] == "Grace"


def test_what_neither_runs_nor_could_be_restored_is_unneeded(place: ClusterBench) -> None:
    """Old secrets and inventories; those of what runs and of what ran before stay."""
    with place.live() as live:
        for number, version in enumerate(("0.1.0", "0.2.0", "0.1.0")):
            known = order(live, version, f"{number}" * 12).spec.with_secrets({"TOKEN": f"key:{number}"})
            asked = order(live, version, f"{number}" * 12, spec=known, secrets={"TOKEN": Redacted("x")})
            live.target.rollouts.roll_out(asked, means(live))
        ended = frozenset(f"{number}" * 12 for number in range(3))
        upkeep = live.target.upkeep
        found = upkeep.unneeded(Needs(specs=(), ended=ended))
        assert [(each.kind, each.name) for each in found if each.kind == "secrets"] == [
            ("secrets", f"{NAME}-token-key-0")
        ]
        assert len([each for each in found if each.kind == "configs"]) == 1
        for each in found:
            upkeep.drop(each)
        assert isinstance(refused(live, "0.3.0", NEXT).exit_code, int)
        assert live.target.instances.look().running[0].labels["release.version"] == "0.1.0"


def test_other_targets_import_nothing_of_it() -> None:
    """Nor does the command line: the library is an optional dependency."""
    code = (
        "import sys, release.tasks, release.deploy.targets.engine.target;"
        "import release.deploy.targets.swarm.target;"
        "import release.deploy.environment.environment, release.deploy.targets.kubernetes.opening;"
        "print(sorted({'lightkube', 'httpx2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
