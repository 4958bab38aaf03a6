"""The team's own manifests as the objects of an environment, in the strict cluster of the tests."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.deploy.targets.kubernetes.kinds import Document
from tests.cluster.bench import TABLE, ClusterBench, cluster_bench, foreign_documents
from tests.unit.repository import without_own_settings

MANIFESTS = """\
[tool.release]
service = "api"
registry = "HOST"
[tool.release.smoke]
port = 8000
[tool.release.environments.production]
engine = "kubernetes"
watch = "0s"
health_timeout = "20s"
kubernetes = { namespace = "shop", %s }
"""


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[ClusterBench]:
    """A service whose environment is described by files in `deploy`."""
    without_own_settings(monkeypatch)
    table = MANIFESTS % 'manifests = ["deploy/*.yaml"]'
    with cluster_bench(tmp_path, monkeypatch, capsys, table) as made:
        yield made


def config_map(name: str, **data: str) -> Document:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def written(bench: ClusterBench, *documents: Any, name: str = "all.yaml") -> None:
    """Write documents into a file of `deploy`."""
    folder = bench.repository.root / "deploy"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(yaml.safe_dump_all(documents))


def usual(bench: ClusterBench, **pod: Any) -> tuple[Document, Document]:
    """A Deployment and a Service; the image has a tag, as people write it."""
    return foreign_documents("shop-web", f"{bench.images}:latest", **pod)


def refused(bench: ClusterBench) -> str:
    """The error of a deployment that must not begin."""
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 2
    assert bench.cluster.names("deployments") == []
    return bench.said


def test_images_of_the_service_are_replaced_and_everything_is_labelled(bench: ClusterBench) -> None:
    """The record keeps the documents by digest; what runs is what the record says."""
    written(bench, *usual(bench), config_map("shop-web", COLOUR="blue"))
    status, record = bench.run("deploy", "--to", "0.1.0", "--yes")
    assert status == 0, bench.said
    digest = bench.released("0.1.0").body.image.digest
    kept = json.loads(record["run_spec"]["kubernetes"]["documents"])
    assert [each["kind"] for each in kept] == ["ConfigMap", "Service", "Deployment"]
    assert kept[2]["spec"]["template"]["spec"]["containers"][0]["image"] == f"{bench.images}@{digest}"
    assert [each["name"] for each in record["run_spec"]["processes"]] == ["shop-web"]
    assert bench.runs() == ["0.1.0", "0.1.0"]
    for kind in ("deployments", "services", "configmaps"):
        there = bench.cluster.store.objects[(kind, "shop-web")]["metadata"]
        assert there["labels"]["release.service"] == "api", kind
    status, state = bench.run("status")
    assert (status, state["drift"], state["running"]["version"]) == (0, [], "0.1.0")


def test_an_init_container_of_the_service_runs_the_released_digest_too(bench: ClusterBench) -> None:
    """Whatever tag the file has; an image of another repository stays."""
    init = [{"name": "wait", "image": f"{bench.images}:latest"}, {"name": "perms", "image": "busybox:1"}]
    written(bench, *usual(bench, initContainers=init))
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0, bench.said
    (pod, *_) = bench.cluster.store.of("pods")
    digest = bench.released("0.1.0").body.image.digest
    assert [each["image"] for each in pod["spec"]["initContainers"]] == [
        f"{bench.images}@{digest}",
        "busybox:1",
    ]


def test_a_value_of_the_wrong_type_and_a_password_in_a_config_map_are_refused(bench: ClusterBench) -> None:
    """By name, before anything is touched; the password is not said."""
    deployment, service = usual(bench)
    deployment["spec"]["replicas"] = "2"
    written(bench, deployment, service)
    assert "spec.replicas is '2', not a whole number" in refused(bench)
    written(bench, *usual(bench), config_map("pw", DB_PASSWORD="hunter2hunter2"))
    said = refused(bench)
    assert "ConfigMap pw: DB_PASSWORD looks like a secret" in said
    assert "hunter2" not in said


def test_a_service_account_of_the_manifests_comes_with_their_first_deployment(bench: ClusterBench) -> None:
    """The server checks the first pod with another account, because this one does not exist yet."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}
    written(bench, *usual(bench, serviceAccountName="web"), account)
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0, bench.said
    (pod, *_) = bench.cluster.store.of("pods")
    assert pod["spec"]["serviceAccountName"] == "web"


def test_a_rollback_applies_exactly_what_ran(bench: ClusterBench) -> None:
    """Removed objects come back, added ones go, changed ones are as before; nothing of others is touched."""
    written(bench, *usual(bench), config_map("first", COLOUR="blue"))
    bench.applies(config_map("foreign", A="b"))
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0, bench.said
    written(bench, *usual(bench, container={"args": ["--new"]}), config_map("second", COLOUR="red"))
    assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 0, bench.said
    names = set(bench.cluster.names("configmaps"))
    assert ("first" in names, "second" in names) == (False, True)
    (bench.repository.root / "deploy" / "all.yaml").unlink()
    assert bench.run("rollback", "--yes")[0] == 0, bench.said
    names = set(bench.cluster.names("configmaps"))
    assert ("first" in names, "second" in names, "foreign" in names) == (True, False, True)
    deployment = bench.cluster.store.objects[("deployments", "shop-web")]
    assert "args" not in deployment["spec"]["template"]["spec"]["containers"][0]
    assert bench.runs() == ["0.1.0", "0.1.0"]
    assert bench.run("status")[1]["drift"] == []


def test_a_release_that_fails_gives_back_all_objects(bench: ClusterBench) -> None:
    """From the inventory of what ran, with the objects that the new manifests lack."""
    written(bench, *usual(bench), config_map("first", COLOUR="blue"))
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0, bench.said
    written(bench, *usual(bench), config_map("second", COLOUR="red"))
    assert bench.run("deploy", "--to", "0.3.0", "--yes")[0] == 3, bench.said
    names = set(bench.cluster.names("configmaps"))
    assert ("first" in names, "second" in names) == (True, False)
    assert bench.runs() == ["0.1.0", "0.1.0"]


def test_run_settings_and_manifests_replace_each_other(bench: ClusterBench) -> None:
    """Either way, the objects of the other are removed when the new ones serve."""
    host = bench.images.rpartition("/")[0]
    written(bench, *usual(bench), config_map("first", COLOUR="blue"))
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0, bench.said
    (bench.repository.root / "pyproject.toml").write_text(TABLE.replace("HOST", host))
    assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 0, bench.said
    assert bench.cluster.names("deployments") == ["api-production"]
    assert "first" not in bench.cluster.names("configmaps")
    assert bench.run("rollback", "--yes")[0] == 0, bench.said
    assert bench.cluster.names("deployments") == ["shop-web"]
    assert "first" in bench.cluster.names("configmaps")


def test_an_object_of_another_program_is_not_taken(bench: ClusterBench) -> None:
    """It has the name, and none of our labels."""
    written(bench, *usual(bench), config_map("foreign", A="new"))
    bench.applies(config_map("foreign", A="b"))
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 1
    assert "no deployment made it" in bench.said
    assert bench.cluster.store.objects[("configmaps", "foreign")]["data"] == {"A": "b"}


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ([config_map("x")], "no Deployment names an image of"),
        ([{**config_map("x"), "metadata": {"name": "x", "namespace": "other"}}], "for the namespace other"),
        ([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}], "belongs to no namespace"),
        ([{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}], "must not hold its value"),
        ([{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "x"}}], "only Deployments"),
        ([{"apiVersion": "acme/v1", "kind": "Shop", "metadata": {"name": "x"}}], "a deployment applies"),
        ([{"apiVersion": "extensions/v1", "kind": "Ingress", "metadata": {"name": "x"}}], "is not applied"),
        ([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x"}}], "no metadata.name"),
        (["text"], "is not an object"),
    ],
)
def test_documents_that_cannot_be_deployed_are_refused(
    bench: ClusterBench, documents: list[Any], said: str
) -> None:
    """Each by kind and name, before anything is touched."""
    written(bench, *documents)
    assert said in refused(bench)


def test_what_a_deployment_cannot_prove_or_must_not_record_is_refused(bench: ClusterBench) -> None:
    """Another image, several containers, a secret in a variable."""
    first, service = usual(bench)
    other, _ = foreign_documents("redis", "redis:7")
    written(bench, first, service, other)
    assert "Deployment redis runs no image of" in refused(bench)
    first["spec"]["template"]["spec"]["containers"].append({"name": "proxy", "image": "envoy"})
    written(bench, first)
    assert "2 containers in each pod" in refused(bench)
    plain, _ = usual(bench, container={"env": [{"name": "API_TOKEN", "value": "hunter2hunter2"}]})
    written(bench, plain)
    said = refused(bench)
    assert "API_TOKEN looks like a secret" in said
    assert "hunter2" not in said


def test_a_pattern_without_a_file_is_refused(bench: ClusterBench) -> None:
    """With the folder in which it was looked for."""
    assert "no file matches" in refused(bench)
    written(bench, name="broken.yaml")
    (bench.repository.root / "deploy" / "broken.yaml").write_text("a: [")
    assert "it is not YAML" in refused(bench)


def test_a_missing_permission_for_a_kind_is_named(bench: ClusterBench) -> None:
    """Before anything is touched; other kinds need no further permission."""
    bench.cluster.forbidden |= {("patch", "configmaps")}
    written(bench, *usual(bench), config_map("x", A="b"))
    assert "patch configmaps" in refused(bench)
    written(bench, *usual(bench))
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0, bench.said


def test_a_drill_refuses_manifests(bench: ClusterBench) -> None:
    """It would need other names for all objects."""
    written(bench, *usual(bench))
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0, bench.said
    assert bench.run("drill", "--to", "0.1.0", "--yes")[0] == 2
    assert "a drill starts pods of run settings" in bench.said


def test_what_runs_is_restarted_stopped_and_started(bench: ClusterBench) -> None:
    """By the documents of the inventory."""
    written(bench, *usual(bench))
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0, bench.said
    assert bench.run("restart", "--message", "why", "--yes")[0] == 0, bench.said
    assert bench.run("stop", "--message", "why", "--yes")[0] == 0, bench.said
    assert bench.runs() == []
    assert bench.run("start")[0] == 0, bench.said
    assert bench.runs() == ["0.1.0", "0.1.0"]


# renderers


def program(folder: Path, name: str, script: str) -> Path:
    """A program that stands in for a renderer."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def configure(bench: ClusterBench, keys: str) -> None:
    host = bench.images.rpartition("/")[0]
    (bench.repository.root / "pyproject.toml").write_text((MANIFESTS % keys).replace("HOST", host))


def test_kustomize_renders_an_overlay(bench: ClusterBench) -> None:
    """The real kubectl: names, labels and a generated ConfigMap are those of the overlay."""
    base = bench.repository.root / "deploy" / "base"
    base.mkdir(parents=True)
    (base / "all.yaml").write_text(yaml.safe_dump_all(usual(bench)))
    (base / "kustomization.yaml").write_text("resources: [all.yaml]\n")
    overlay = bench.repository.root / "deploy" / "production"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(
        "resources: [../base]\nnamePrefix: prod-\n"
        "configMapGenerator: [{name: app, literals: [COLOUR=blue]}]\n"
    )
    configure(bench, 'kustomize = "deploy/production"')
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0, bench.said
    assert bench.cluster.names("deployments") == ["prod-shop-web"]
    assert any(name.startswith("prod-app-") for name in bench.cluster.names("configmaps"))
    (overlay / "kustomization.yaml").write_text("resources: [../nowhere]\n")
    assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 2
    assert "nowhere" in bench.said


def test_helm_renders_a_chart(bench: ClusterBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for `helm template`, which refuses every word that it does not expect."""
    root = bench.repository.root
    rendered = root / "rendered.yaml"
    rendered.write_text(yaml.safe_dump_all(usual(bench)))
    wanted = f"template shop {root}/chart --namespace shop --values {root}/a.yaml --values {root}/b.yaml"
    script = f'[ "$*" = "{wanted}" ] || {{ echo "Error: unexpected: $*" >&2; exit 1; }}\ncat {rendered}'
    tools = program(root.parent / "tools", "helm", script).parent
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    configure(bench, 'chart = { path = "chart", values = ["a.yaml", "b.yaml"], release_name = "shop" }')
    assert bench.run("deploy", "--to", "0.1.0", "--yes")[0] == 0, bench.said
    assert bench.cluster.names("deployments") == ["shop-web"]
    configure(bench, 'chart = { path = "other" }')
    assert bench.run("deploy", "--to", "0.2.0", "--yes")[0] == 2
    assert "Error: unexpected: template api" in bench.said


def test_a_missing_renderer_is_named(bench: ClusterBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that would have run."""
    import shutil

    tools = bench.repository.root.parent / "few"
    tools.mkdir()
    for name in ("git", "sh"):
        (tools / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tools))
    configure(bench, 'chart = { path = "chart" }')
    assert "the program helm is not installed" in refused(bench)
    configure(bench, 'kustomize = "deploy"')
    assert "the program kubectl is not installed" in refused(bench) or "kustomize" in bench.said
