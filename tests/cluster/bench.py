"""A service with a real repository and ledger, whose environment is in the strict cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from release.config import Environment
from release.config.kubernetes import Kubernetes
from release.deploy.core.image_location import Tell
from release.deploy.core.place import Place
from release.deploy.environment import environment
from release.deploy.targets.kubernetes.access import read_access
from release.deploy.targets.kubernetes.api import connected
from release.deploy.targets.kubernetes.kinds import Document
from release.deploy.targets.kubernetes.target import KubernetesTarget
from release.events import Emit
from release.records import Image
from release.reference import Digest
from tests.cluster.server import ClusterServer
from tests.cluster.wire import empty_registry, served
from tests.unit.deploy.bench import MemoryBench
from tests.unit.repository import Repository

TABLE = """\
[tool.release]
service = "api"
registry = "HOST"
[tool.release.smoke]
port = 8000
[tool.release.environments.production]
engine = "kubernetes"
replicas = 2
publish = ["80:8000"]
env = { LOG_LEVEL = "info", PRICE = "$(5)$$" }
watch = "0s"
health_timeout = "20s"
kubernetes = { namespace = "shop" }
"""


class Ticking:
    """A clock that runs by itself, half a second for each look at it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        self.seconds += 0.5
        return self.seconds

    def pause(self, seconds: float) -> None:
        self.seconds += seconds


def kubeconfig(cluster: ClusterServer, path: Path) -> Path:
    """A kubeconfig for the cluster."""
    path.write_text(
        json.dumps(
            {
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": cluster.url}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "ada"}}],
                "users": [{"name": "ada", "user": {"token": cluster.token}}],
            }
        )
    )
    return path


@dataclass
class ClusterBench(MemoryBench):
    """A service, and the cluster that it runs in."""

    cluster: ClusterServer = field(default_factory=ClusterServer)
    clock: Ticking = field(default_factory=Ticking)

    def open(
        self,
        place: Place,
        settings: Environment,
        ports: Mapping[str, int | None],
        stack: ExitStack,
        emit: Emit,
    ) -> KubernetesTarget:
        """In the place of `release.deploy.targets.open_target`: with another clock and no registry."""
        table = settings.kubernetes or Kubernetes()
        cluster = stack.enter_context(connected(read_access(table, self.environ)))
        return KubernetesTarget(
            cluster=cluster,
            place=place,
            force=table.conflicts == "force",
            clock=self.clock,
            missing=self._missing,
        )

    @property
    def environ(self) -> Mapping[str, str]:
        return {"KUBECONFIG": str(kubeconfig(self.cluster, self.repository.root.parent / "kubeconfig"))}

    def _missing(self, image: Image, tell: Tell) -> str:
        return "" if Digest(image.digest) in self.machine.registry else "the registry lacks it"

    def foreign(self, version: str) -> str:
        """Apply a Deployment and its Service as kubectl does; the name of the Deployment."""
        digest = self.released(version).body.image.digest
        self.applies(*foreign_documents("web", f"{self.images}@{digest}"))
        return "web"

    def applies(self, *documents: Document) -> None:
        """Apply documents as kubectl does, and let the cluster run them."""
        access = read_access(Kubernetes(namespace="shop"), self.environ)
        with connected(access) as cluster:
            for document in documents:
                cluster.apply(document, manager="kubectl")
        self.cluster.settle()

    def becomes(self, version: str, kind: str) -> None:
        """Say what becomes of pods of this version: see `Running.images`."""
        self.cluster.running.images[self.released(version).body.image.digest] = kind

    def runs(self) -> list[str]:
        """Versions of the pods that are not about to go."""
        pods = [each["metadata"] for each in self.cluster.store.of("pods")]
        alive = [each for each in pods if not each.get("deletionTimestamp")]
        return sorted(each["annotations"]["release.version"] for each in alive)


def foreign_documents(name: str, image: str, **pod: Any) -> tuple[Document, Document]:
    """A Deployment of two pods and its Service, as people write them."""
    labels = {"app": name}
    http = {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}
    container = {
        "name": "web",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
        "env": [{"name": "LOG_LEVEL", "value": "debug"}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "timeoutSeconds": 2},
        "resources": {"limits": {"memory": "256Mi", "cpu": "500m"}, "requests": {"cpu": "100m"}},
        **pod.pop("container", {}),
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], **pod}},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": labels, "ports": [http]},
    }
    return deployment, service


@contextmanager
def cluster_bench(
    root: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], table: str = TABLE
) -> Iterator[ClusterBench]:
    """A bench with two good releases and one that ends at once."""
    repository = Repository.init(root / "repository")
    with served(ClusterServer()) as cluster, empty_registry() as host:
        made = ClusterBench(repository=repository, capture=capture, cluster=cluster, images=f"{host}/api")
        repository.commit("feat: start", **{"pyproject.toml": table.replace("HOST", host), "tasks.py": ""})
        monkeypatch.setattr(environment, "open_target", made.open)
        monkeypatch.chdir(repository.root)
        for version in ("0.1.0", "0.2.0", "0.3.0"):
            made.release(version)
            cluster.images.append(f"{made.images}@{made.released(version).body.image.digest}")
        made.becomes("0.3.0", "crash")
        yield made
