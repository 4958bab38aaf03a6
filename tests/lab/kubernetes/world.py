"""A service in a repository of its own, released into a registry and deployed into a namespace."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import yaml

from release.reference import Reference
from tests.cluster.bench import foreign_documents
from tests.engine import lab, tiny
from tests.engine.deploy.world import APP, Ended, World
from tests.lab import images
from tests.lab.meeting import meet

REPLICAS: Final = 2
USER: Final = "65534"
REGISTRY: Final = os.environ.get("RELEASE_TEST_REGISTRY", "")
"""Host of a registry that this machine writes to and every node reads from, as "127.0.0.1:5000"."""


@dataclass(kw_only=True)
class ClusterWorld(World):
    """One service with one environment, a namespace. Its images are of two megabytes, without a build."""

    namespace: str
    digests: dict[str, str] = field(default_factory=dict)
    """Of what was released, by version."""
    registry_host: str = REGISTRY

    def __post_init__(self) -> None:
        """The repository is in the registry that the nodes reach."""
        self.repository = f"{self.registry_host}/{self.service}"
        super().__post_init__()

    @property
    def name(self) -> str:
        """The name of its Deployment and Service."""
        return self.container

    def configure(self, **settings: str) -> None:
        """Settings are TOML values of the environment; those of its table begin with `kubernetes.`."""
        usual = {
            "engine": '"kubernetes"',
            "publish": '["80:8000"]',
            "replicas": str(REPLICAS),
            "user": f'"{USER}"',
            "stop_grace": '"2s"',
            "kubernetes.namespace": json.dumps(self.namespace),
            "kubernetes.pre_stop": '"1s"',
        }
        super().configure(**{**usual, **settings})

    def build(self, version: str, mode: str, commit: str, settings: Mapping[str, Any]) -> tiny.TinyImage:
        """Send an image to the registry: of busybox, or of Python for a world with an `app` of its own."""
        if self.app is not APP:
            made = super().build(version, mode, commit, settings)
            self._docker_push(f"sha-{commit}")
        else:
            documents = images.made(self.service, version=version, mode=mode)
            images.push_to(registry_url(self.registry_host), self.service, documents)
            made = documents.image
        self.digests[version] = str(made.id)
        return made

    def foreign(self, version: str, *words: str) -> str:
        """Apply a Deployment and its Service with kubectl; the name of the Deployment."""
        self.apply(*self.manifests("web", f"{self.repository}@{self.digests[version]}"))
        self.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        return "web"

    def manifests(self, name: str, image: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """A Deployment and a Service that satisfy the strictest of the Pod Security Standards."""
        strict = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        rights = {
            "runAsNonRoot": True,
            "runAsUser": int(USER),
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        return foreign_documents(
            name,
            image,
            terminationGracePeriodSeconds=2,
            securityContext=rights,
            container={"securityContext": strict},
        )

    def apply(self, *documents: Any) -> None:
        """Apply documents with kubectl."""
        self.kubectl("apply", "--filename", "-", given=yaml.safe_dump_all(documents))

    def _docker_push(self, tag: str) -> None:
        argv = ["docker", "push", "--quiet", f"{self.repository}:{tag}"]
        subprocess.run(argv, check=True, capture_output=True)

    def meet(self, *each: tuple[str, ...]) -> list[Ended]:
        """Several `invoke` that stand before the lock in the same moment: see `meeting`."""
        method = "release.deploy.targets.kubernetes.lock_store:KubernetesLockStore.put"
        return meet(self.root, self.environ, method, each)

    def forget(self, version: str) -> None:
        """Let the registry lose the manifest of a release."""
        url = f"{registry_url(self.registry_host)}/v2/{self.service}/manifests/{self.digests[version]}"
        requests.delete(url, timeout=10).raise_for_status()

    def deployed(self, version: str, *words: str, **environ: str) -> Ended:
        """Deploy and expect it to go well."""
        ended = self.invoke("deploy", "--to", version, "--yes", *words, cwd=None, **environ)
        assert ended.status == 0, ended.err
        return ended

    def rolled_back(self, *words: str) -> Ended:
        """Roll back and expect it to go well."""
        ended = self.invoke("rollback", "--yes", *words)
        assert ended.status == 0, ended.err
        return ended

    def drift(self) -> list[str]:
        """What `status` finds changed."""
        found: list[str] = self.invoke("status", "--json").data["drift"]
        return found

    # what really runs

    def kubectl(self, *words: str, given: str | None = None) -> str:
        """Run kubectl in the namespace, with the rights of the test."""
        argv = ["kubectl", "--namespace", self.namespace, *words]
        done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """Objects of a kind, as JSON."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "--output", "json"))["items"]
        return found

    def names(self, kind: str) -> list[str]:
        """Names of the objects of a kind."""
        return sorted(each["metadata"]["name"] for each in self.objects(kind))

    def deployment(self) -> dict[str, Any]:
        """The Deployment as the cluster has it."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "deployment", self.name, "--output", "json"))
        return found

    def running(self) -> list[str]:
        """Versions of the pods that are not about to go."""
        pods = [each["metadata"] for each in self.objects("pods")]
        alive = [each for each in pods if not each.get("deletionTimestamp")]
        return sorted(each["annotations"]["release.version"] for each in alive)

    def settles(self, version: str, count: int = REPLICAS) -> None:
        """Wait until nothing but this version runs, as often as it should, and the old pods are gone."""
        wanted = [version] * count

        def settled() -> bool:
            return self.running() == wanted and len(self.objects("pods")) == count

        lab.eventually(settled, what=f"{count} pods of {version}; {self.running()}", seconds=60)

    def clean(self) -> None:
        """Take the images of Python from this machine's engine; the namespace is the fixture's."""
        for name in self.images:
            self.engine.untag(Reference.parse(name))


def registry_url(host: str) -> str:
    """Return the address of a registry: engines and nodes speak plain HTTP on loopback alone."""
    name = host.partition(":")[0]
    return f"http://{host}" if name in ("127.0.0.1", "localhost") else f"https://{host}"


def api_server() -> tuple[str, int]:
    """Return host and port of the API server of KUBECONFIG's current context."""
    parts = urlsplit(current()["cluster"]["server"])
    assert parts.hostname is not None
    return parts.hostname, parts.port or 443


def current() -> dict[str, Any]:
    """Return cluster and user of KUBECONFIG's current context."""
    argv = ["kubectl", "config", "view", "--minify", "--flatten", "--output", "json"]
    found = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return {"cluster": found["clusters"][0]["cluster"], "user": found["users"][0]["user"]}


def kubeconfig(path: Path, *, user: Mapping[str, Any] | None = None, server: str = "") -> Path:
    """Write a kubeconfig for the same cluster with another user, or by another way to its API server.

    The other way has another name than the certificate of the API server, so it is not verified there.
    """
    known = current()
    cluster = known["cluster"]
    if server:
        cluster = {"server": server, "insecure-skip-tls-verify": True}
    document = {
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "users": [{"name": "test", "user": dict(user if user is not None else known["user"])}],
    }
    path.write_text(yaml.safe_dump(document))
    path.chmod(0o600)
    return path
