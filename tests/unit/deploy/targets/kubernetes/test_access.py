"""Access to a cluster: kubeconfigs, contexts, service accounts and credential plugins."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from release.config.kubernetes import Kubernetes
from release.deploy.core.place import Place
from release.deploy.targets.kubernetes import access as access_module
from release.deploy.targets.kubernetes import library
from release.deploy.targets.kubernetes.access import Access, read_access
from release.deploy.targets.kubernetes.opening import open_target
from release.deploy.targets.kubernetes.transport import ClusterTransport
from release.errors import EngineError, EngineUnreachable, UsageError


def written(path: Path, name: str, server: str, user: Mapping[str, Any], current: str = "") -> Path:
    """A kubeconfig with one context."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        **({"current-context": current} if current else {}),
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority": "ca.crt"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"ns-{name}"}}],
        "users": [{"name": name, "user": dict(user)}],
    }
    path.write_text(json.dumps(document))
    return path


def test_the_current_context_is_taken_or_the_one_that_is_named(tmp_path: Path) -> None:
    """Of several files the first that has a name wins; a relative path is relative to its own file."""
    one = written(tmp_path / "a" / "config", "one", "https://one", {"token": "t1"}, current="one")
    two = written(tmp_path / "b" / "config", "two", "https://two", {"token": "t2"}, current="two")
    shadow = written(tmp_path / "c" / "config", "one", "https://other", {"token": "t3"})
    environ = {"KUBECONFIG": f"{one}:{tmp_path / 'gone'}:{two}:{shadow}"}
    first = read_access(Kubernetes(), environ)
    assert str(first) == "https://one namespace ns-one"
    assert first.config.cluster.certificate_auth == str(tmp_path / "a" / "ca.crt")
    second = read_access(Kubernetes(context="two", namespace="shop"), environ)
    assert str(second) == "https://two namespace shop"
    third = read_access(Kubernetes(kubeconfig=str(two)), environ)
    assert third.config.context_name == "two"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "while parsing a flow"),
        ("[]", "is not a kubeconfig"),
        ("{}", "No current context set"),
        (
            '{"current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "y"}}]}',
            "there is no 'y'",
        ),
        ('{"contexts": [{"name": "x"}], "current-context": "x"}', "there is no 'context'"),
        ('{"contexts": 7}', "not iterable"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_a_usage_error(tmp_path: Path, content: str, words: str) -> None:
    """File and reason are named; nothing is asked of a cluster."""
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        read_access(Kubernetes(), {"KUBECONFIG": str(path)})
    assert words in caught.value.found
    assert str(path) in caught.value.found


def test_a_context_that_is_missing_is_named(tmp_path: Path) -> None:
    """With the command that lists them."""
    path = written(tmp_path / "config", "one", "https://one", {})
    with pytest.raises(UsageError, match="Context 'two' not found") as caught:
        read_access(Kubernetes(context="two"), {"KUBECONFIG": str(path)})
    assert "kubectl config get-contexts" in caught.value.hint


def test_a_pod_uses_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is no kubeconfig, and no context is named."""
    for name, text in (("token", "t"), ("namespace", "shop"), ("ca.crt", "")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(access_module, "SERVICE_ACCOUNT", str(tmp_path))
    monkeypatch.setattr(access_module, "_DEFAULT", str(tmp_path / "gone"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert str(read_access(Kubernetes(), {})) == "https://10.0.0.1:443 namespace shop"
    with pytest.raises(UsageError, match="no kubeconfig"):
        read_access(Kubernetes(context="one"), {})


PLUGIN = """\
import json, os, pathlib, sys
count = pathlib.Path(sys.argv[1])
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
print("a warning", file=sys.stderr)
print(json.dumps({"apiVersion": asked["apiVersion"], "kind": "ExecCredential",
                  "status": {"token": f"{os.environ['WHO']}-{number}"}}))
"""


def with_plugin(tmp_path: Path, version: str = "client.authentication.k8s.io/v1", **changes: Any) -> Access:
    script = tmp_path / "plugin.py"
    script.write_text(changes.pop("code", PLUGIN))
    plugin = {
        "apiVersion": version,
        "command": sys.executable,
        "args": [str(script), str(tmp_path / "count")],
        "env": [{"name": "WHO", "value": "ada"}],
        "installHint": "install it",
    }
    path = written(tmp_path / "config", "one", "http://one", {"exec": plugin | changes}, current="one")
    return read_access(Kubernetes(), {"KUBECONFIG": str(path)})


def asked(access: Access, *refused: str) -> list[str]:
    """The tokens of the requests; a server refuses some of them."""
    seen = list[str]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers["Authorization"].removeprefix("Bearer "))
        return httpx2.Response(401 if seen[-1] in refused else 200)

    transport = ClusterTransport(access, httpx2.MockTransport(answer))
    with httpx2.Client(transport=transport, base_url="http://one") as client:
        for _ in range(2):
            client.get("/")
    return seen


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_plugin_gives_the_token_and_is_asked_again_when_it_is_refused(tmp_path: Path, version: str) -> None:
    """Once for all requests, as long as the server takes its token."""
    access = with_plugin(tmp_path, f"client.authentication.k8s.io/{version}")
    assert asked(access) == ["ada-1", "ada-1"]
    assert asked(access, "ada-2") == ["ada-2", "ada-2", "ada-3"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"version": "client.authentication.k8s.io/v1alpha1"}, EngineError, "it speaks"),
        ({"code": "print('hello')"}, EngineError, "it printed no JSON"),
        ({"code": "print('{}')"}, EngineError, "it returned no token"),
        ({"code": "import sys; sys.exit('no login')"}, EngineUnreachable, "no login"),
    ],
)
def test_a_plugin_that_fails_is_told_with_its_own_hint(
    tmp_path: Path, changes: dict[str, Any], error: type[EngineError], words: str
) -> None:
    """Program, reason, and how to install it."""
    with pytest.raises(error) as caught:
        asked(with_plugin(tmp_path, **changes))
    assert words in caught.value.found
    assert caught.value.hint == "install it"


def test_the_clock_of_the_server_is_read_from_its_answers(tmp_path: Path) -> None:
    """Locks expire by one clock."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Date": "Tue, 01 Jan 2999 00:00:00 GMT"})

    transport = ClusterTransport(with_plugin(tmp_path), httpx2.MockTransport(answer))
    with httpx2.Client(transport=transport, base_url="http://one") as client:
        client.get("/")
    assert transport.clock_ahead > 10**12


def test_an_answer_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others send has a limit."""
    monkeypatch.setattr("release.deploy.targets.kubernetes.transport._LARGEST", 1000)
    long = httpx2.ByteStream(b"x" * 1001)
    answers = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=long))
    transport = ClusterTransport(with_plugin(tmp_path), answers)
    client = httpx2.Client(transport=transport, base_url="http://one")
    with client, pytest.raises(EngineError, match="1000"):
        client.get("/")


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an optional dependency."""
    monkeypatch.setattr(library, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="lightkube is not installed") as caught:
        open_target(Place(service="api", environment="production"), *([None] * 4))  # type: ignore[arg-type]
    assert "nox-release[kubernetes]" in caught.value.hint
