"""Images that an engine fetches for a deployment, from a registry that does one thing wrong."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from release.errors import RegistryError, TransferBroken
from release.images.engine import Engine
from release.images.registry import OCI_MANIFEST, Manifest, Registry
from release.reference import Digest, Reference, Repository
from tests.engine import lab
from tests.engine.faults.proxy import ALWAYS, Answer, CutDownload, Fault, FaultProxy, fault_proxy

LAYER = ("GET", "/blobs/sha256")


@pytest.fixture
def proxy(running_registry: lab.RunningRegistry) -> Iterator[FaultProxy]:
    """In front of a registry of this worker."""
    with fault_proxy(running_registry.host) as made:
        yield made


@pytest.fixture
def remote_image(engine: Engine, proxy: FaultProxy) -> Iterator[Reference]:
    """An image that only the registry has, and this engine never had: not even in its build cache."""
    reference = put_image(Repository(f"{proxy.host}/{lab.unique()}"))
    yield reference
    engine.untag(reference)


def put_image(repository: Repository, tag: str = "1") -> Reference:
    """An image of one small file, made by hand (OCI Image Specification 1.1); by its digest."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = 4096
        tar.addfile(member, io.BytesIO(os.urandom(member.size)))
    diff = put_blob(repository, layer.getvalue())
    settings = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [diff["digest"]]},
    }
    config = put_blob(repository, json.dumps(settings).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **diff}],
    }
    made = Manifest.parse(json.dumps(manifest).encode())
    Registry(repository).put_manifest(made, tag)
    return repository.at(made.digest)


def put_blob(repository: Repository, content: bytes) -> dict[str, Any]:
    """Upload it in one request (OCI Distribution 1.1, "Pushing blobs"); its digest and size."""
    digest = str(Digest.of(content))
    begun = requests.post(f"http://{repository.host}/v2/{repository.path}/blobs/uploads/", timeout=30)
    where = f"{begun.headers['Location']}&digest={digest}"
    requests.put(where, data=content, timeout=30).raise_for_status()
    return {"digest": digest, "size": len(content)}


@pytest.mark.parametrize("action", [CutDownload(after=100), Answer(status=503), Answer(status=429)], ids=str)
def test_a_download_that_breaks_once_is_finished(
    engine: Engine, proxy: FaultProxy, remote_image: Reference, action: CutDownload | Answer
) -> None:
    """By the engine itself, or by beginning again: the image is there, by its digest."""
    proxy.arm(Fault(method=LAYER[0], path=LAYER[1], action=action))
    assert engine.pull(remote_image).id == remote_image.digest
    assert proxy.hits


def test_a_download_that_breaks_every_time_is_given_up(
    engine: Engine, proxy: FaultProxy, remote_image: Reference
) -> None:
    """After three attempts, with the engine's words and what to do."""
    proxy.arm(Fault(method=LAYER[0], path=LAYER[1], action=CutDownload(after=100), times=ALWAYS))
    with pytest.raises(TransferBroken) as caught:
        engine.pull(remote_image)
    assert "run it again" in caught.value.hint
    assert engine.inspect(remote_image) is None


def test_an_image_that_is_not_there_is_asked_for_once(
    engine: Engine, proxy: FaultProxy, remote_image: Reference
) -> None:
    """It does not appear by asking again."""
    nowhere = remote_image.repository.at(Digest.of(b"nowhere"))
    proxy.requests.clear()
    with pytest.raises(RegistryError, match="pull") as caught:
        engine.pull(nowhere)
    assert not isinstance(caught.value, TransferBroken)
    assert f"the registry has no {nowhere}" in caught.value.hint
    assert sum("/manifests/" in line and line.startswith("GET") for line in proxy.requests) <= 2
