"""Stop, start, restart, run, exec and logs in a namespace."""

from __future__ import annotations

from typing import Any

import pytest

from release.deploy.core.operations import RUN, Attachment, CommandRequest, OperationContext
from release.deploy.environment.environment import LiveEnvironment
from release.errors import DeploymentFailed, EngineError, Restored, UsageError
from release.programs.cancellation import Cancellation
from release.secrets.redact import Mask, Redacted
from release.values import replace
from tests.cluster.bench import ClusterBench
from tests.contract import FIRST, NEXT, means, order, roll_out, runs
from tests.unit.deploy.targets.kubernetes.test_instances import drift
from tests.unit.deploy.targets.kubernetes.test_rollout import NAME, processes


def context(live: LiveEnvironment) -> OperationContext:
    return OperationContext(
        spec=order(live, "0.1.0", FIRST).spec,
        health_timeout=20_000,
        emit=live.workspace.emit,
        cancellation=Cancellation(),
    )


def test_what_is_stopped_is_started_as_it_was(place: ClusterBench) -> None:
    """No pod is left, the release is known, and a deployment of another one works from there, too."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        operations, instances = live.target.operations, live.target.instances
        assert operations.stop(instances.look().running, context(live)) == f"{NAME} stopped"
        assert place.runs() == []
        stopped = instances.look().stopped
        assert [each.labels["release.version"] for each in stopped] == ["0.1.0"]
        assert operations.start(stopped, context(live)) == f"{NAME}: 2 of 2 pods are ready on 1 node"
        assert runs(live) == [(FIRST, "0.1.0")]
        assert drift(live, "0.1.0", FIRST) == []
        operations.stop(instances.look().running, context(live))
        roll_out(live, "0.2.0", NEXT)
        assert runs(live) == [(NEXT, "0.2.0")]


def test_a_restart_replaces_every_pod_and_is_no_drift(place: ClusterBench) -> None:
    """Twice: the second takes the annotation of the first over; a deployment afterwards has no conflict."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        operations, instances = live.target.operations, live.target.instances
        seen = set(place.cluster.names("pods"))
        for _ in range(2):
            assert operations.restart(instances.look().running, context(live))
            place.cluster.settle()
            now = set(place.cluster.names("pods"))
            assert not seen & now
            seen = now
        assert drift(live, "0.1.0", FIRST) == []
        roll_out(live, "0.2.0", NEXT)
        assert runs(live) == [(NEXT, "0.2.0")]


def test_a_start_that_fails_says_why(place: ClusterBench) -> None:
    """A stopped release may have lost its image since."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        operations, instances = live.target.operations, live.target.instances
        operations.stop(instances.look().running, context(live))
        place.becomes("0.1.0", "pull")
        with pytest.raises(DeploymentFailed, match="ImagePullBackOff"):
            operations.start(instances.look().stopped, context(live))
        place.becomes("0.1.0", "good")


def test_an_autoscaler_would_start_again_what_is_stopped(place: ClusterBench) -> None:
    """So it is refused, and nothing is changed."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)

        def scale(data: dict[str, Any]) -> None:
            data["spec"]["replicas"] = 3

        place.cluster.change("deployments", NAME, scale, "kube-controller-manager")
        place.cluster.settle()
        with pytest.raises(UsageError, match="autoscaler"):
            live.target.operations.stop(live.target.instances.look().running, context(live))
        assert len(place.runs()) == 3


def test_no_process_is_stopped_if_one_cannot_be(place: ClusterBench) -> None:
    """An autoscaler has one of two: known before the first one is stopped."""
    with place.live() as live:
        asked = order(live, "0.1.0", FIRST)
        two = replace(asked, spec=processes(asked.spec, "worker", "web"))
        live.target.rollouts.roll_out(two, means(live))

        def scale(data: dict[str, Any]) -> None:
            data["spec"]["replicas"] = 3

        place.cluster.change("deployments", f"{NAME}-web", scale, "kube-controller-manager")
        place.cluster.settle()
        pods = place.runs()
        with pytest.raises(UsageError, match="nothing was stopped"):
            live.target.operations.stop(live.target.instances.look().running, context(live))
        place.cluster.settle()
        assert place.runs() == pods


def request(live: LiveEnvironment, script: str) -> CommandRequest:
    asked = order(live, "0.1.0", FIRST)
    return CommandRequest(
        name=f"{NAME}-run-0123",
        place=live.place,
        role=RUN,
        identity=asked.identity,
        image=asked.image,
        command=("/bin/sh", "-c", script),
        entrypoint="replace",
        spec=asked.spec,
        secrets={},
        timeout=20_000,
    )


def test_a_command_runs_as_a_job_and_leaves_nothing(place: ClusterBench) -> None:
    """Its output is shown once, its status is told, and no Service sends it a request."""
    with place.live() as live:
        operations, said = live.target.operations, list[str]()
        job = operations.begin(request(live, "echo done; exit 3"), live.workspace.emit)
        assert [each.status for each in operations.one_offs()] == ["running"]
        attachment = Attachment(say=said.append, timeout=20_000, cancellation=Cancellation())
        assert operations.attach(job, attachment) == 3
        assert said == ["done"]
        (pod,) = place.cluster.store.of("pods")
        assert pod["metadata"]["labels"]["release.role"] == "run"
        assert operations.end(job, grace=0) == 3
        place.cluster.settle()
        assert place.cluster.names("jobs") == place.cluster.names("pods") == []
        assert operations.end(job, grace=0) is None


def test_a_command_that_takes_too_long_is_stopped(place: ClusterBench) -> None:
    """It has no status then."""
    with place.live() as live:
        operations = live.target.operations
        job = operations.begin(request(live, "sleep 600"), live.workspace.emit)
        attachment = Attachment(say=lambda _: None, timeout=5_000, cancellation=Cancellation())
        with pytest.raises(TimeoutError):
            operations.attach(job, attachment)
        assert operations.end(job, grace=0) is None
        place.cluster.settle()
        assert place.cluster.names("pods") == []


def test_a_job_of_another_program_is_not_taken_for_ours(place: ClusterBench) -> None:
    """Its labels are other ones."""
    with place.live() as live:
        asked = request(live, "sleep 600")
        live.target.operations.begin(asked, live.workspace.emit)
        other = replace(asked, identity=replace(asked.identity, deployment=NEXT))
        with pytest.raises(EngineError):
            live.target.operations.begin(other, live.workspace.emit)


def test_a_command_beside_what_serves_uses_kubectl(place: ClusterBench) -> None:
    """With the same access; what follows `--` is the command's own."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        (first, _) = live.target.instances.look().running
        command = live.target.operations.execution(first, ("ls", "-l"), has_terminal=True)
        assert command.argv == (
            *("kubectl", "--namespace=shop", "exec", "--stdin", "--tty", first.name),
            *("--container=service", "--", "ls", "-l"),
        )


def test_lines_have_the_time_that_the_node_wrote(place: ClusterBench) -> None:
    """Of every pod, by process and replica."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        operations = live.target.operations
        sources = operations.sources(live.target.instances.look().running)
        assert [each.replica for each in sources] == ["1", "2"]
        lines = list(
            operations.read(sources[0], last=10, since=None, follow=False, cancellation=Cancellation())
        )
        assert [(each.moment, each.text) for each in lines] == [
            ("2026-11-20T10:00:00.5Z", "starting"),
            ("2026-11-20T10:00:01.5Z", "it is good"),
        ]


def test_the_output_of_a_failed_deployment_is_kept_until_the_next_one(place: ClusterBench) -> None:
    """Masked, in a ConfigMap; a deployment that goes well removes it."""
    with place.live() as live:
        roll_out(live, "0.1.0", FIRST)
        operations = live.target.operations
        assert (operations.refusal("failed"), operations.failed()) == ("", None)
        asked = replace(means(live), mask=Mask([Redacted("starting")]))
        with pytest.raises(Restored):
            live.target.rollouts.roll_out(order(live, "0.3.0", NEXT), asked)
        found = operations.failed()
        assert found is not None
        assert (found.deployment, found.version) == (NEXT, "0.3.0")
        assert [line.text for line in found.lines] == ["***", "it is crash"]
        roll_out(live, "0.2.0", "c" * 12)
        assert operations.failed() is None
        assert place.cluster.names("configmaps")
