"""Run settings become objects: every setting, names and labels that fit, and text that is taken as it is."""

from __future__ import annotations

from typing import Any

import pytest
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Service
from lightkube.resources.policy_v1 import PodDisruptionBudget

from release.config.kubernetes import unsupported_settings
from release.deploy.core.place import Place
from release.deploy.targets.kubernetes import naming
from release.deploy.targets.kubernetes.documents import documents
from release.deploy.targets.kubernetes.pod import literal, size
from release.runspec import Probe, ProcessSpec, RunSpec
from release.tmpfs import Tmpfs
from tests.cluster import rules
from tests.unit.deploy.targets.kubernetes.samples import EVERYTHING, order

REFUSED = {"networks", "pids", "init", "stop_signal", "log_driver", "log_options", "proxy", "restart"}
"""Settings that no cluster keeps: see `unsupported_settings`."""
ELSEWHERE = {"health_command", "watch", "processes", "swarm"}


def written(**settings: Any) -> dict[str, dict[str, Any]]:
    """The objects of these settings by kind, taken by a strict server."""
    found = documents(order(**settings))
    models: dict[str, Any] = {
        "Deployment": Deployment,
        "Service": Service,
        "PodDisruptionBudget": PodDisruptionBudget,
    }
    for each in found:
        rules.check_fields(each, models[each["kind"]])
        rules.check({**each, "metadata": {**each["metadata"], "namespace": "shop"}}, None)
    return {each["kind"]: each for each in found}


def container(**settings: Any) -> dict[str, Any]:
    pod = written(**settings)["Deployment"]["spec"]["template"]["spec"]
    return dict(pod["containers"][0])


def test_every_setting_is_thought_of() -> None:
    """A new one has to be written here, or be named as one that a cluster does without."""
    assert set(RunSpec.model_fields) == set(EVERYTHING) | REFUSED | ELSEWHERE


def test_settings_become_a_deployment() -> None:
    """Each of them, in the form in which the server gives it back."""
    found = written(**EVERYTHING)["Deployment"]
    spec, pod = found["spec"], found["spec"]["template"]["spec"]
    assert (spec["replicas"], spec["progressDeadlineSeconds"]) == (3, 21)
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 1}
    assert pod["terminationGracePeriodSeconds"] == 9
    assert pod["serviceAccountName"] == "api"
    assert pod["automountServiceAccountToken"] is True
    assert pod["nodeSelector"] == {"pool": "web", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    assert pod["imagePullSecrets"] == [{"name": "login"}]
    one = pod["containers"][0]
    assert one["image"].startswith("registry.example/api@sha256:")
    assert one["command"] == ["serve", "--price", "$$(5)"]
    assert one["resources"] == {
        "limits": {"cpu": "500m", "memory": "256Mi"},
        "requests": {"cpu": "250m", "memory": "128Mi"},
    }
    assert one["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10002,
    }
    assert found["spec"]["template"]["metadata"]["annotations"]["team"] == "core"


def test_values_of_secrets_are_named_and_never_written() -> None:
    """A secret goes before a plain value of its name; one that is a file has its path in a variable."""
    one = container(**EVERYTHING)
    env = {each["name"]: each for each in one["env"]}
    reference = {"name": "api-production-token-key-0123", "key": "value"}
    assert env["TOKEN"] == {"name": "TOKEN", "valueFrom": {"secretKeyRef": reference}}
    assert env["KEY_FILE"]["value"] == "/run/secrets/key"
    assert "KEY" not in env
    mounts = {each["mountPath"]: each.get("subPath") for each in one["volumeMounts"]}
    assert mounts == {"/data": None, "/tmp": None, "/etc/app/x.toml": "value", "/run/secrets/key": "value"}


def test_a_service_finds_its_pods_by_the_name_of_a_port() -> None:
    """Two ports of the Service may lead to one of the container; a worker gets no request."""
    found = written(**EVERYTHING)
    ports = [(each["name"], each["port"], each["targetPort"]) for each in found["Service"]["spec"]["ports"]]
    assert ports == [("tcp-80", 80, "tcp-80"), ("tcp-81", 81, "tcp-80"), ("udp-53", 53, "udp-53")]
    assert found["Service"]["spec"]["selector"]["release.process"] == ""
    named = {each["name"] for each in container(**EVERYTHING)["ports"]}
    assert named == {"tcp-80", "udp-53"}


def test_health_gates_become_probes() -> None:
    """`healthcheck` goes before the request; a status that no kubelet takes for an answer is asked later."""
    one = container(**EVERYTHING)
    assert one["startupProbe"]["tcpSocket"] == {"port": 8000}
    assert one["readinessProbe"]["exec"] == {"command": ["well"]}
    assert (one["readinessProbe"]["timeoutSeconds"], one["readinessProbe"]["failureThreshold"]) == (2, 4)
    asked = container(probe=Probe(port=1, path="/x", host="api.example"), health_command=("ready",))
    assert asked["readinessProbe"]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "api.example"}]
    assert asked["startupProbe"]["exec"] == {"command": ["ready"]}
    assert "readinessProbe" not in container(probe=Probe(port=1, status=404))


@pytest.mark.parametrize(
    ("settings", "strategy"),
    [
        ({"volumes": ("data:/data",)}, "Recreate"),
        ({"volumes": ("data:/data:ro",)}, "RollingUpdate"),
        ({}, "RollingUpdate"),
    ],
)
def test_two_pods_never_write_to_one_volume(settings: dict[str, Any], strategy: str) -> None:
    """The old one ends first."""
    assert written(**settings)["Deployment"]["spec"]["strategy"]["type"] == strategy


def test_an_exclusive_process_never_runs_twice() -> None:
    """The old one has ended before the new one starts."""
    spec = RunSpec(processes=(ProcessSpec(name="beat", settings=RunSpec(), exclusive=True),))
    (found,) = documents(order(processes=spec.processes))
    assert found["spec"]["strategy"] == {"type": "Recreate"}
    assert found["metadata"]["name"] == "api-production-beat"


def test_a_user_is_not_root_unless_the_settings_say_so() -> None:
    """A name of a user proves nothing to a kubelet."""
    assert container()["securityContext"]["runAsNonRoot"] is True
    assert container(user="0")["securityContext"]["runAsNonRoot"] is False


@pytest.mark.parametrize("text", ["$(HOME)", "$$", "a$", "$", "$((1))", "plain"])
def test_a_cluster_takes_text_as_it_is(text: str) -> None:
    """It reads `$$` as `$`, and replaces only `$(NAME)`."""
    assert expanded(literal(text), {"HOME": "/root"}) == text


def expanded(text: str, known: dict[str, str]) -> str:
    """As k8s.io/kubernetes/third_party/forked/golang/expansion reads it."""
    found, at = "", 0
    while at < len(text):
        if text[at] != "$" or at + 1 == len(text):
            found, at = found + text[at], at + 1
        elif text[at + 1] == "$":
            found, at = found + "$", at + 2
        elif text[at + 1] == "(" and ")" in text[at:]:
            name = text[at + 2 : text.index(")", at)]
            found, at = found + known.get(name, f"$({name})"), text.index(")", at) + 1
        else:
            found, at = found + text[at : at + 2], at + 2
    return found


@pytest.mark.parametrize("number", [1 << 30, 1 << 20, 3 << 20, 1500 << 10, 1000, 1_500_000, 1, 1001])
def test_a_size_is_written_as_the_server_gives_it_back(number: int) -> None:
    """Else it would be drift."""
    assert rules.canonical(size(number)) == size(number)


def test_names_and_labels_fit_however_long_they_are() -> None:
    """And differ where what they are made of differs."""
    long = Place(service="s" * 40, environment="e" * 40, process="p" * 40)
    names = {
        naming.workload(long),
        naming.workload(long.at("q" * 40)),
        naming.lock_name(long.lock),
        naming.secret_name(long, "A_" * 40, "12345678:0123456789abcdef"),
        naming.file_name(long, "/etc/" + "x" * 80, "a" * 64),
        naming.file_name(long, "/other/" + "x" * 80, "a" * 64),
        naming.inventory_name(long, "a" * 64),
        naming.command_name(long, "a" * 12, "up"),
    }
    assert len(names) == 8
    assert all(rules.DNS_LABEL.fullmatch(name) for name in names), names
    labels, notes = naming.split(long.labels("serving") | {"release.digest": "sha256:" + "a" * 64})
    assert all(rules.LABEL_VALUE.fullmatch(value) for value in labels.values())
    assert list(notes) == ["release.digest"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"networks": ("web",)}, "networks: Kubernetes has no such setting for a pod; use a NetworkPolicy"),
        ({"user": "app"}, "user: Kubernetes needs numbers"),
        ({"restart": "no"}, "pods of a Deployment are always started again"),
        ({"publish": ("127.0.0.1:80:80",)}, "a Service has an address of its own"),
        ({"volumes": ("/srv:/srv",)}, "use a PersistentVolumeClaim by its name"),
        ({"health_tcp": (1, 2)}, "not several"),
        ({"proxy": "traefik"}, "Services and Ingresses send the requests"),
    ],
)
def test_what_no_cluster_keeps_is_refused(settings: dict[str, Any], words: str) -> None:
    """Also of recorded settings, which may be those of an engine."""
    (found,) = unsupported_settings(RunSpec.model_validate(settings), ())
    assert words in found


def test_an_owner_of_a_folder_in_memory_is_refused() -> None:
    """A cluster sets none; a size is kept."""
    assert list(unsupported_settings(RunSpec(), [Tmpfs.model_validate("/tmp:size=1m")])) == []
    (found,) = unsupported_settings(RunSpec(), [Tmpfs.model_validate("/tmp:uid=1")])
    assert "sets no owner and no mode" in found
