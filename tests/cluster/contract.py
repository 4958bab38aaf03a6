"""Promises that an API server alone keeps, without a node: the tests' own server and a real one pass them.

A subclass is a row; its module has the fixture `cluster`: a namespace in which nothing is.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Secret, ServiceAccount

from release.deploy.core.operations import RUN, CommandRequest
from release.deploy.core.place import Place
from release.deploy.core.rollout import RolloutRequest
from release.deploy.targets.kubernetes.api import Cluster
from release.deploy.targets.kubernetes.compared import differing
from release.deploy.targets.kubernetes.documents import documents
from release.deploy.targets.kubernetes.faults import Conflicts, Forbidden
from release.deploy.targets.kubernetes.jobs import Jobs
from release.deploy.targets.kubernetes.kinds import KINDS, meta_of
from release.deploy.targets.kubernetes.lock_store import KubernetesLockStore
from release.deploy.targets.kubernetes.preflight import Preflight
from release.deploy.targets.kubernetes.sealed import Sealed
from release.deploy.targets.kubernetes.submit import Submit
from release.errors import EngineError, NameTaken
from release.programs.cancellation import Cancellation
from release.runspec import RunSpec
from release.secrets.redact import Redacted
from tests.unit.deploy.targets.kubernetes.samples import EVERYTHING, order

PLACE = Place(service="api", environment="production")
NAME = "api-production"


def submit(cluster: Cluster, *, force: bool = False) -> Submit:
    return Submit(cluster=cluster, place=PLACE, force=force)


def plain(found: object) -> dict[str, Any]:
    """An object as JSON."""
    made: dict[str, Any] = msgspec.to_builtins(found)
    return made


def applied(cluster: Cluster, asked: RolloutRequest) -> dict[str, Any]:
    """Apply all documents; the Deployment as the server has it."""
    for document in documents(asked):
        submit(cluster).apply(document)
    found = cluster.get(Deployment, NAME)
    assert found is not None
    return plain(found)


class ApiContract:
    """Each test is one promise about what is written, and what a server makes of it."""

    def test_what_is_applied_comes_back_as_it_was_written(self, cluster: Cluster) -> None:
        """With every setting; applied again, nothing changes: no new generation, and no drift."""
        asked = order(**EVERYTHING)
        written = documents(asked)
        with pytest.raises(Forbidden, match="service account"):
            submit(cluster).rehearse(written)
        cluster.create(ServiceAccount(metadata=ObjectMeta(name="api")))
        submit(cluster).rehearse(written)
        assert cluster.get(Deployment, NAME) is None
        made = applied(cluster, asked)
        for document in written:
            found = cluster.get(KINDS[document["kind"]], NAME)
            assert found is not None
            assert list(differing(document["spec"], plain(found)["spec"])) == []
        again = applied(cluster, asked)
        assert again["metadata"]["generation"] == made["metadata"]["generation"]

    def test_a_setting_that_is_left_out_later_goes(self, cluster: Cluster) -> None:
        """Server-side apply removes the fields that its manager does not apply any more."""
        applied(cluster, order(env={"A": "1", "B": "2"}, memory=1 << 28))
        made = applied(cluster, order(env={"B": "2"}))
        (container,) = made["spec"]["template"]["spec"]["containers"]
        assert container["env"] == [{"name": "B", "value": "2"}]
        assert not container.get("resources")

    def test_a_field_of_another_manager_is_a_conflict(self, cluster: Cluster) -> None:
        """Field and manager are named, also in a trial; forced, the field is ours again."""
        applied(cluster, order())
        (document,) = documents(order())
        pod = {"containers": [{"name": "service", "image": "other:1"}]}
        cluster.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": NAME},
                "spec": {"template": {"spec": pod}},
            },
            force=True,
            manager="somebody",
        )
        with pytest.raises(Conflicts) as caught:
            submit(cluster).rehearse([document])
        assert "image is managed by somebody" in caught.value.found
        submit(cluster, force=True).apply(document)
        submit(cluster).rehearse([document])

    def test_objects_named_by_their_content_never_change(self, cluster: Cluster) -> None:
        """Written twice they are the same; one of that name with another content is refused."""
        sealed = Sealed(cluster=cluster, place=PLACE)
        spec = RunSpec(secrets={"TOKEN": "key:0123"})
        sealed.write({"TOKEN": Redacted("s3cret")}, [spec])
        sealed.write({"TOKEN": Redacted("s3cret")}, [spec])
        with pytest.raises(EngineError, match="another content"):
            sealed.write({"TOKEN": Redacted("another")}, [spec])
        found = cluster.get(Secret, f"{NAME}-token-key-0123")
        assert found is not None
        found.data = {"value": "eA=="}
        with pytest.raises(EngineError):
            cluster.replace(found)
        written = documents(order())
        reference = sealed.keep("a" * 12, written)
        assert sealed.kept(reference) == written
        cluster.delete("ConfigMap", reference.partition("@")[0])
        assert cluster.get(ConfigMap, reference.partition("@")[0]) is None

    def test_a_lock_is_taken_once_freed_once_and_taken_again(self, cluster: Cluster) -> None:
        """By the version that was read."""
        store = KubernetesLockStore(cluster=cluster)
        store.put("lock", {"release.lock.who": "Ada", "release.lock.expires": "2999-01-01T00:00:00Z"}, "{}")
        with pytest.raises(NameTaken):
            store.put("lock", {"release.lock.who": "Grace"}, "{}")
        first = store.get("lock")
        assert first is not None
        store.drop(first.id)
        store.drop(first.id)
        assert store.get("lock") is None
        store.put("lock", {"release.lock.who": "Grace"}, "x" * 5000)
        store.drop(first.id)
        second = store.get("lock")
        assert second is not None
        assert (second.metadata["release.lock.who"], len(second.payload)) == ("Grace", 5000)

    def test_a_job_is_created_suspended_and_removed(self, cluster: Cluster) -> None:
        """Its own field of another operation is taken over."""
        asked = order()
        jobs = Jobs(cluster=cluster)
        job = jobs.create(
            CommandRequest(
                name=f"{NAME}-run-1",
                place=PLACE,
                role=RUN,
                identity=asked.identity,
                image=asked.image,
                command=("/bin/sh", "-c", "sleep 600"),
                entrypoint="replace",
                spec=asked.spec,
                secrets={},
                timeout=1000,
            )
        )
        jobs.stop(job)
        state = jobs.get(job)
        assert state is not None
        assert (state.status, state.exit_code) == ("exited", 1)
        jobs.remove(job)
        assert not meta_of(jobs.get(job)).name

    def test_the_account_of_the_tests_may_do_all_of_it(self, cluster: Cluster) -> None:
        """The server's answer is understood."""
        assert list(Preflight(cluster=cluster).problems(RunSpec(), None)) == []

    def test_a_watch_ends_and_pods_are_listed_with_a_version(self, cluster: Cluster) -> None:
        """Nothing runs: the watch ends by itself."""
        pods, version = cluster.pods.list({"release.service": "api"})
        assert pods == ()
        cluster.pods.await_change({"release.service": "api"}, version)
        Cancellation().check()
