"""Settings with everything in them, and the order of a rollout."""

from __future__ import annotations

from typing import Any

from release.deploy.core.instance import InstanceSet
from release.deploy.core.place import Identity, Place
from release.deploy.core.rollout import RolloutRequest
from release.records import Image, Release
from release.reference import Digest
from release.runspec import Healthcheck, Mount, Probe, Publish, RecordedFile, RunSpec
from release.targetspec import KubernetesSpec
from tests.unit.ledger import samples

EVERYTHING: dict[str, Any] = {
    "command": ("serve", "--price", "$(5)"),
    "entrypoint": "replace",
    "env": {"LOG_LEVEL": "info", "TOKEN": "plain"},
    "secrets": {"TOKEN": "key:0123", "KEY": "key:4567"},
    "secret_files": {"KEY": "/run/secrets/key"},
    "files": {"/etc/app/x.toml": RecordedFile(content="a", sha256="a" * 64, mode=0o440)},
    "publish": (Publish.model_validate("80:8000"), Publish.model_validate("81:8000"), "53:53/udp"),
    "volumes": (Mount.model_validate("data:/data:ro"),),
    "memory": 1 << 28,
    "cpus": 500,
    "user": "10001:10002",
    "read_only": True,
    "tmpfs": ("/tmp",),
    "tmpfs_options": {"/tmp": "size=64m"},
    "cap_add": ("CAP_NET_BIND_SERVICE",),
    "cap_drop": ("ALL",),
    "stop_grace": 3500,
    "labels": {"team": "core"},
    "healthcheck": Healthcheck(command=("well",), interval=1000, timeout=2000, retries=4),
    "health_tcp": (8000,),
    "probe": Probe(port=8000, path="/healthz"),
    "replicas": 3,
    "kubernetes": KubernetesSpec(
        service_type="NodePort",
        service_account="api",
        pull_secrets=("login",),
        node_selector={"pool": "web"},
        max_surge=2,
        max_unavailable=1,
        request_memory=1 << 27,
        request_cpus=250,
    ),
}


def order(**settings: Any) -> RolloutRequest:
    body = samples.release("0.1.0+build.7", repository="registry.example/api").body
    assert isinstance(body, Release)
    image: Image = body.image
    return RolloutRequest(
        place=Place(service="api", environment="production"),
        identity=Identity(
            deployment="a" * 12,
            version=body.version,
            commit="c" * 40,
            digest=Digest(image.digest),
            record="e" * 64,
        ),
        image=image,
        spec=RunSpec.model_validate(settings),
        secrets={},
        before=InstanceSet(running=(), stopped=()),
        old=None,
        health_timeout=20_500,
    )
