"""Rollouts in a namespace: each way in which one fails, what is said of it, and what runs then."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.core.rollout import Look
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.targets.kubernetes.documents import documents, marked
from release.deploy.targets.kubernetes.rollout import Rollout
from release.deploy.targets.kubernetes.target import KubernetesTarget
from release.errors import DeploymentFailed, LockHeld, MixedState, Restored
from release.runspec import Mount, ProcessSpec, RecordedFile, RunSpec
from release.secrets.redact import Mask, Redacted
from release.targetspec import KubernetesSpec
from release.values import replace
from tests.cluster.bench import ClusterBench
from tests.cluster.server import Answer, Request
from tests.contract import FIRST, NEXT, means, order, refused, roll_out, runs

NAME = "api-production"


def target_of(live: LiveEnvironment, **changes: Any) -> KubernetesTarget:
    assert isinstance(live.target, KubernetesTarget)
    return replace(live.target, **changes)


def rollout(live: LiveEnvironment, version: str, deployment: str, **changes: Any) -> Rollout:
    target = target_of(live)
    return Rollout(
        cluster=target.cluster,
        place=live.place,
        clock=target.clock,
        order=order(live, version, deployment, **changes),
        means=means(live),
    )


def writes(place: ClusterBench) -> list[str]:
    """Methods and paths of the requests that change something, without the lock's."""
    changing = [line for line in place.cluster.log if line.split()[0] in ("PATCH", "POST", "PUT", "DELETE")]
    return [line for line in changing if "reviews" not in line and "leases" not in line]


def is_applied(request: Request) -> bool:
    """A Deployment that is applied, not only rehearsed."""
    return (request.method, request.resource, request.query.get("dryRun")) == ("PATCH", "deployments", None)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pull", "ImagePullBackOff: Back-off pulling image"),
        ("crash", "its process ended with status 1"),
        ("oom", "because of its memory limit (OOMKilled) with status 137"),
        ("unready", "no progress for 20 s; 0 of 2 pods are ready"),
        ("unschedulable", "cannot be scheduled: 0/1 nodes are available: 1 Insufficient memory."),
        ("refused", "exceeded quota: small"),
        ("other-image", "runs sha256:ffff"),
        ("wrong-answer", "GET / gave 500, not 200"),
    ],
)
def test_a_release_that_fails_is_told_in_the_words_of_the_cluster(
    place: ClusterBench, kind: str, words: str
) -> None:
    """And what ran before runs again: the same pods, or new ones of the same release."""
    place.becomes("0.3.0", kind)
    place.cluster.forbidden = {("create", "pods")}
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        failed = refused(live, "0.3.0", NEXT)
        assert isinstance(failed, Restored), failed
        assert words in failed.found
        assert "what ran before runs again; 2 of 2 pods are ready" in failed.found
        assert runs(live) == [(FIRST, "0.1.0")]
    place.cluster.settle()
    assert place.runs() == ["0.1.0", "0.1.0"]


def test_a_deadline_that_an_earlier_rollout_missed_is_not_this_rollouts(place: ClusterBench) -> None:
    """The controller keeps the condition until a pod makes progress; a restoration needs no progress."""
    place.cluster.running.gave_up = True
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        assert runs(live) == [(FIRST, "0.1.0")]


def test_what_ran_before_comes_back_if_another_service_is_not_proven(place: ClusterBench) -> None:
    """The new pods were proven, and are asked again; then the old ones run, with all their objects."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        before = place.cluster.names("configmaps")
        looked = list[object]()

        def others(look: Look) -> None:
            looked.append(look())
            raise DeploymentFailed("deploy web", "web was not healthy")

        together = replace(means(live), others=others)
        with pytest.raises(Restored, match="web was not healthy; what ran before runs again"):
            live.target.rollouts.roll_out(order(live, "0.2.0", NEXT), together)
        assert len(looked) == 1
        assert set(before) <= set(place.cluster.names("configmaps"))
        assert runs(live) == [(FIRST, "0.1.0")]


def test_the_last_lines_of_a_process_that_ends_are_in_the_error(place: ClusterBench) -> None:
    """Of the run that ended; a secret in them is masked."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        asked = replace(means(live), mask=Mask([Redacted("starting")]))
        with pytest.raises(Restored) as caught:
            live.target.rollouts.roll_out(order(live, "0.3.0", NEXT), asked)
        assert caught.value.tail[-1] == "it is crash"
        assert "starting" not in "".join(caught.value.tail)


def test_a_pod_that_no_node_can_run_ends_the_first_deployment_at_once(place: ClusterBench) -> None:
    """With the scheduler's words; nothing is left of it."""
    place.becomes("0.3.0", "unschedulable")
    with place.live() as live:
        failed = refused(live, "0.3.0", FIRST)
        assert "cannot be scheduled: 0/1 nodes are available: 1 Insufficient memory." in failed.found
        assert "no release ran before, and none runs now" in failed.found
    assert place.cluster.names("deployments") == place.cluster.names("services") == []


def test_a_secret_that_somebody_removes_is_named(place: ClusterBench) -> None:
    """The kubelet says which; values are in no Deployment."""
    with place.live() as live:
        spec = order(live, "0.1.0", FIRST).spec
        secret = {"spec": spec.with_secrets({"TOKEN": "key:0123"}), "secrets": {"TOKEN": Redacted("s3cret")}}

        def remove(request: Request) -> None:
            if (request.method, request.resource) == ("PATCH", "deployments") and not request.query.get(
                "dryRun"
            ):
                place.cluster.store.delete(("secrets", f"{NAME}-token-key-0123"))

        place.cluster.before = remove
        with pytest.raises(DeploymentFailed) as caught:
            live.target.rollouts.roll_out(order(live, "0.1.0", FIRST, **secret), means(live))
        assert f'CreateContainerConfigError: secret "{NAME}-token-key-0123" not found' in caught.value.found
    assert "s3cret" not in str(place.cluster.store.objects)


def test_secrets_and_files_are_objects_that_never_change(place: ClusterBench) -> None:
    """One that exists with the same content is used again; with another, nothing is touched."""
    file = RecordedFile(content="a = 1\n", sha256="a" * 64, mode=0o444)
    with place.live() as live:
        spec = order(live, "0.1.0", FIRST).spec.model_copy(update={"files": {"/etc/app/x.toml": file}})
        known = {"spec": spec.with_secrets({"TOKEN": "key:0123"}), "secrets": {"TOKEN": Redacted("s3cret")}}
        assert live.target.rollouts.roll_out(order(live, "0.1.0", FIRST, **known), means(live))
        assert live.target.rollouts.roll_out(order(live, "0.2.0", NEXT, **known), means(live))
        before = order(live, "0.1.0", "c" * 12, **known | {"secrets": {"TOKEN": Redacted("another")}})
        with pytest.raises(DeploymentFailed, match=r"exists with another content.*nothing was changed"):
            live.target.rollouts.roll_out(before, means(live))
        assert runs(live) == [(NEXT, "0.2.0")]
    assert place.cluster.names("secrets") == [f"{NAME}-token-key-0123"]
    assert all(each["immutable"] for each in place.cluster.store.of("configmaps"))


def test_a_refusal_of_an_admission_webhook_changes_nothing(place: ClusterBench) -> None:
    """It is known before anything is touched, in the webhook's words."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        place.cluster.log.clear()
        place.cluster.webhook = lambda data: "no tags" if data["kind"] == "Deployment" else ""
        failed = refused(live, "0.2.0", NEXT)
        assert not isinstance(failed, Restored)
        assert "denied the request: no tags; nothing was changed" in failed.found
        assert runs(live) == [(FIRST, "0.1.0")]


def test_a_pod_that_the_namespace_refuses_is_known_before_anything_is_touched(place: ClusterBench) -> None:
    """A quota, or a webhook for pods: no dry run of a Deployment asks them."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        place.becomes("0.2.0", "refused")
        failed = refused(live, "0.2.0", NEXT)
        assert "exceeded quota: small" in failed.found
        assert "nothing was changed" in failed.found
        assert "the quota, Pod Security level or rules of the namespace" in failed.hint
        place.becomes("0.2.0", "good")
        place.cluster.webhook = lambda data: "no pods" if data["kind"] == "Pod" else ""
        assert "denied the request: no pods; nothing was changed" in refused(live, "0.2.0", NEXT).found
        assert runs(live) == [(FIRST, "0.1.0")]
    assert len(place.cluster.names("pods")) == 2


def test_a_quota_is_not_asked_if_old_pods_end_first(place: ClusterBench) -> None:
    """Their place becomes free."""
    with place.live() as live:
        spec = order(live, "0.1.0", FIRST).spec
        cluster = KubernetesSpec(max_surge=0, max_unavailable=1)
        asked = {"spec": spec.model_copy(update={"kubernetes": cluster})}
        live.target.rollouts.roll_out(order(live, "0.1.0", FIRST, **asked), means(live))
        place.cluster.log.clear()
        live.target.rollouts.roll_out(order(live, "0.2.0", NEXT, **asked), means(live))
        assert not any(line.startswith("POST") and line.endswith("/pods") for line in place.cluster.log)


def claim(**status: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "shop"},
        "spec": {"storageClassName": "fast"},
        "status": status,
    }


@pytest.mark.parametrize(
    ("phase", "classes", "words"),
    [
        ("Bound", set(), []),
        ("Pending", {"fast"}, []),
        ("Pending", set(), ["waits for the storage class fast, which does not exist"]),
        ("Lost", {"fast"}, ["the volume of PersistentVolumeClaim data in shop was removed"]),
    ],
)
def test_a_claim_that_can_never_be_bound_is_named(
    place: ClusterBench, phase: str, classes: set[str], words: list[str]
) -> None:
    """Before anything is touched."""
    with place.live() as live:
        volume = Mount.model_validate("data:/data:ro")
        spec = order(live, "0.1.0", FIRST).spec.model_copy(update={"volumes": (volume,)})
        (missing,) = live.target.rollouts.settings_problems(spec)
        assert missing.message == "there is no PersistentVolumeClaim data in shop"
        place.cluster.store.put(("persistentvolumeclaims", "data"), claim(phase=phase))
        place.cluster.storage_classes = classes
        found = [each.message for each in live.target.rollouts.settings_problems(spec)]
        assert len(found) == len(words)
        assert all(part in text for part, text in zip(words, found, strict=True))


def test_a_missing_permission_is_named_before_and_in_between(place: ClusterBench) -> None:
    """By verb and resource."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        place.cluster.forbidden = {("patch", "deployments"), ("create", "leases")}
        problems = live.target.rollouts.settings_problems(order(live, "0.2.0", NEXT).spec)
        assert [problem.message for problem in problems] == [
            "the account may not patch deployments (apps) in shop: extend its Role",
            "the account may not create leases (coordination.k8s.io) in shop: extend its Role",
        ]
        failed = refused(live, "0.2.0", NEXT)
        assert 'cannot patch resource "deployments"' in failed.found
        assert "nothing was changed" in failed.found


def test_without_the_proxy_the_readiness_probe_decides(place: ClusterBench) -> None:
    """A role with less than it might have says less."""
    place.cluster.forbidden = {("get", "pods/proxy"), ("list", "events"), ("get", "pods/log")}
    with place.live() as live:
        evidence = roll_out(live, "0.1.0", FIRST)
        assert evidence == "2 of 2 pods are ready on 1 node"
        assert isinstance(refused(live, "0.3.0", NEXT), Restored)


def by_hand(place: ClusterBench, image: str = "other:1") -> None:
    def change(data: dict[str, Any]) -> None:
        data["spec"]["template"]["spec"]["containers"][0]["image"] = image

    place.cluster.change("deployments", NAME, change, "kubectl-set")


def test_a_field_of_another_manager_is_never_overruled(place: ClusterBench) -> None:
    """Field and manager are named; only a setting takes the field over."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        by_hand(place)
        failed = refused(live, "0.2.0", NEXT)
        assert '.containers[name="service"].image is managed by kubectl-set' in failed.found
        assert "nothing was changed" in failed.found
        assert 'kubernetes.conflicts = "force"' in failed.hint
        forced = target_of(live, force=True).rollouts
        assert forced.roll_out(order(live, "0.2.0", NEXT), means(live))
        assert runs(live) == [(NEXT, "0.2.0")]


def test_a_field_that_another_manager_added_stops_a_deployment(place: ClusterBench) -> None:
    """It would run on: server-side apply removes no field of others."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)

        def change(data: dict[str, Any]) -> None:
            data["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "DEBUG", "value": "1"})

        place.cluster.change("deployments", NAME, change, "kubectl-set")
        failed = refused(live, "0.2.0", NEXT)
        assert "env[DEBUG].value is managed by kubectl-set" in failed.found


def test_the_number_of_pods_of_an_autoscaler_stays_its_own(place: ClusterBench) -> None:
    """Through a deployment and a failed one; the plan holds while it scales."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)

        def scale(data: dict[str, Any]) -> None:
            data["spec"]["replicas"] = 5

        place.cluster.change("deployments", NAME, scale, "kube-controller-manager")
        place.cluster.settle()
        before = live.target.instances.look()
        assert (len(before.running), len(before.ids)) == (5, 1)
        roll_out(live, "0.2.0", NEXT)
        assert isinstance(refused(live, "0.3.0", "c" * 12), Restored)
        assert place.cluster.store.objects[("deployments", NAME)]["spec"]["replicas"] == 5
        assert len(live.target.instances.look().running) == 5


def test_status_counts_the_pods_of_an_autoscaler(bench: ClusterBench) -> None:
    """They are no drift."""
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0, bench.said

    def scale(data: dict[str, Any]) -> None:
        data["spec"]["replicas"] = 3

    bench.cluster.change("deployments", NAME, scale, "kube-controller-manager")
    bench.cluster.settle()
    status = bench.run("status")[1]
    assert (len(status["replicas"]), status["drift"], status["leftovers"]) == (3, [], [])


def processes(spec: RunSpec, *names: str) -> RunSpec:
    bare = spec.model_copy(update={"publish": (), "probe": None})
    every = [ProcessSpec(name=name, settings=spec if name == "web" else bare) for name in names]
    return spec.model_copy(update={"processes": tuple(every)})


def test_processes_that_come_and_go_take_their_objects_along(place: ClusterBench) -> None:
    """Removed when the new ones are proven; a failure brings back what was removed, and takes what came."""
    with place.live() as live:
        spec = order(live, "0.1.0", FIRST).spec
        two = processes(spec, "web", "worker")
        live.target.rollouts.roll_out(order(live, "0.1.0", FIRST, spec=two), means(live))
        assert place.cluster.names("deployments") == [f"{NAME}-web", f"{NAME}-worker"]
        one = processes(spec, "web", "beat")
        evidence = live.target.rollouts.roll_out(order(live, "0.2.0", NEXT, spec=one), means(live))
        assert f"removed Deployment {NAME}-worker, PodDisruptionBudget {NAME}-worker" in evidence
        assert place.cluster.names("deployments") == [f"{NAME}-beat", f"{NAME}-web"]
        with pytest.raises(Restored):
            live.target.rollouts.roll_out(order(live, "0.3.0", "c" * 12, spec=two), means(live))
        assert place.cluster.names("deployments") == [f"{NAME}-beat", f"{NAME}-web"]
        assert place.cluster.names("services") == [f"{NAME}-web"]
        assert runs(live) == [(NEXT, "0.2.0")]


@pytest.mark.parametrize("applied", [1, 2, 3])
@pytest.mark.parametrize("way", ["finish", "revert"])
def test_what_a_dead_operator_left_is_ended_from_anywhere(
    place: ClusterBench, applied: int, way: str
) -> None:
    """After each object that it applied: finished with its own inventory, or reverted to the one before."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        dying = rollout(live, "0.2.0", NEXT)
        before = dying._inventory_of(dying.workloads())
        own = dying._begin()
        for document in documents(dying.order)[:applied]:
            is_workload = document["kind"] == "Deployment"
            dying._submit.apply(marked(document, own, before) if is_workload else document)
        rollouts, asked = live.target.rollouts, order(live, "0.2.0", NEXT, replaces=FIRST)
        if way == "revert":
            assert rollouts.retract(asked, means(live))
            assert runs(live) == [(FIRST, "0.1.0")]
        elif applied < 3:
            assert rollouts.objection(asked, "finish") is not None
        else:
            assert rollouts.objection(asked, "finish") is None
            assert rollouts.resume(asked, means(live))
            assert runs(live) == [(NEXT, "0.2.0")]


def test_an_inventory_that_somebody_changed_is_not_applied(place: ClusterBench) -> None:
    """Its hash stands in the Deployment: what is not proven is not acted on."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        for name in place.cluster.names("configmaps"):
            place.cluster.store.objects[("configmaps", name)]["data"]["value"] = "[]"
        failed = refused(live, "0.3.0", NEXT)
        assert isinstance(failed, MixedState)
        assert "its content is not the one that was kept" in failed.found


def test_a_change_between_plan_and_rollout_is_left_alone(place: ClusterBench) -> None:
    """Exit status 5, and nothing is touched."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        asked = order(live, "0.2.0", NEXT)
        by_hand(place)
        with pytest.raises(LockHeld):
            live.target.rollouts.roll_out(asked, means(live))


@pytest.mark.parametrize(("count", "kind"), [(2, LockHeld), (5, MixedState)])
def test_whoever_loses_the_lock_stops_where_they_are(
    place: ClusterBench, count: int, kind: type[Exception]
) -> None:
    """The next holder decides: nothing is put back. After the first change, the error says what runs."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        left = [count]

        def still_mine() -> None:
            left[0] -= 1
            if not left[0]:
                raise LockHeld("deploy", "somebody else has it")

        asked = replace(means(live), still_mine=still_mine)
        place.cluster.log.clear()
        with pytest.raises(kind, match="somebody else has it") as caught:
            live.target.rollouts.roll_out(order(live, "0.2.0", NEXT), asked)
        assert ("Pods now: " in str(caught.value)) is (kind is MixedState)
        assert not any(line.startswith("DELETE") for line in writes(place))


def test_an_api_server_that_is_away_for_a_while_is_waited_for(place: ClusterBench) -> None:
    """In the middle of a rollout."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)

        def go_away(request: Request) -> None:
            if (request.method, request.resource) == ("PATCH", "deployments") and not request.query.get(
                "dryRun"
            ):
                place.cluster.before = lambda _: None
                place.cluster.away = 1
                raise Answer(503, "ServiceUnavailable", "etcd has no leader")

        place.cluster.before = go_away
        roll_out(live, "0.2.0", NEXT)
        assert runs(live) == [(NEXT, "0.2.0")]


def test_a_deployment_of_another_program_is_left_alone(place: ClusterBench) -> None:
    """It has our name and none of our labels."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        place.cluster.settle()

        def disown(data: dict[str, Any]) -> None:
            data["metadata"]["labels"] = {"app": "api"}
            data["metadata"]["annotations"] = {}

        place.cluster.change("deployments", NAME, disown, "helm")
        stranger = live.target.instances.stranger()
        assert stranger is not None
        assert stranger.name == NAME
        (problem,) = live.target.rollouts.occupation_problems(
            order(live, "0.2.0", NEXT).spec, live.target.instances.look()
        )
        assert "no deployment made it" in problem.message
        assert "no deployment made it; nothing was changed" in refused(live, "0.2.0", NEXT).found
