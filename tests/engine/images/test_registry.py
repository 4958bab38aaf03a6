"""Reading back and promoting in a real registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from release.errors import RegistryError, RegistryUnreachable
from release.images.engine import Engine
from release.images.registry import OCI_INDEX, Manifest, Registry
from release.programs.cancellation import Cancellation
from release.reference import Digest, Reference, Repository
from tests.engine import lab


@pytest.fixture(scope="module")
def pushed(
    engine: Engine, running_registry: lab.RunningRegistry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reference]:
    """A small image in the registry under the tag `sha-1`."""
    reference = Repository(running_registry.repository()).tagged("sha-1")
    folder = tmp_path_factory.mktemp("image")
    lab.build(engine, str(reference), dockerfile="FROM scratch\nCOPY Dockerfile /\n", folder=folder)
    engine.push(reference, cancellation=Cancellation())
    yield reference
    engine.untag(reference)


@pytest.fixture
def manifest(pushed: Reference) -> Manifest:
    """The image's manifest."""
    return existing(pushed)


def existing(reference: Reference) -> Manifest:
    found = Registry(reference.repository).manifest(reference)
    assert found is not None
    return found


def other(manifest: Manifest) -> Manifest:
    """Another manifest of the same image: the same JSON with one more white space."""
    return Manifest.parse(manifest.content + b"\n", manifest.media_type)


def test_a_tag_and_its_digest_give_the_same_bytes(pushed: Reference, manifest: Manifest) -> None:
    """What is read by tag is what is read by digest, and hashes to it."""
    assert existing(pushed.repository.at(manifest.digest)) == manifest
    assert Digest.of(manifest.content) == manifest.digest


def test_what_is_not_there_is_none(pushed: Reference) -> None:
    """An unknown tag, digest and repository are None, an unknown blob is not there."""
    registry, nowhere = Registry(pushed.repository), Digest.of(b"nowhere")
    assert registry.manifest(pushed.repository.tagged("9.9.9")) is None
    assert registry.manifest(pushed.repository.at(nowhere)) is None
    assert not registry.has_blob(nowhere)
    elsewhere = Repository(f"{pushed.repository}-no")
    assert Registry(elsewhere).manifest(elsewhere.tagged("1")) is None


def test_a_version_tag_gets_the_recorded_bytes(pushed: Reference, manifest: Manifest) -> None:
    """Promotion puts the same digest under the tag, and can be repeated."""
    registry = Registry(pushed.repository)
    registry.put_manifest(manifest, "1.4.2")
    registry.put_manifest(manifest, "1.4.2")
    assert existing(pushed.repository.tagged("1.4.2")) == manifest


def test_a_tag_is_never_moved(pushed: Reference, manifest: Manifest) -> None:
    """Another digest under a tag that exists is refused, both are named, and nothing has changed."""
    registry = Registry(pushed.repository)
    registry.put_manifest(manifest, "2.0.0")
    with pytest.raises(RegistryError) as caught:
        registry.put_manifest(other(manifest), "2.0.0")
    assert manifest.digest.text in str(caught.value)
    assert other(manifest).digest.text in str(caught.value)
    assert existing(pushed.repository.tagged("2.0.0")) == manifest


def test_a_tag_of_an_index_is_not_moved_either(pushed: Reference, manifest: Manifest) -> None:
    """What is under the tag may be an index: it stays, and reading it as an image says what it is."""
    body = b'{"schemaVersion":2,"mediaType":"%s","manifests":[]}' % OCI_INDEX.encode()
    tag = pushed.repository.tagged("index")
    url = f"http://{tag.repository.host}/v2/{tag.repository.path}/manifests/index"
    requests.put(url, data=body, headers={"Content-Type": OCI_INDEX}, timeout=5).raise_for_status()
    with pytest.raises(RegistryError, match="another digest"):
        Registry(tag.repository).put_manifest(manifest, "index")
    with pytest.raises(RegistryError, match="an index of several images"):
        Registry(tag.repository).manifest(tag)


def test_a_blob_is_streamed_and_hashed(pushed: Reference, manifest: Manifest) -> None:
    """The config can be read, also only in part."""
    registry = Registry(pushed.repository)
    with registry.blob(manifest.config) as stream:
        assert Digest.of(stream.read()) == manifest.config.digest
    with registry.blob(manifest.layers[0]) as stream:
        assert len(stream.read(2)) == 2


def test_a_damaged_blob_is_not_passed_on(
    pushed: Reference, manifest: Manifest, running_registry: lab.RunningRegistry
) -> None:
    """Bytes that changed on the registry's disk are a RegistryError."""
    layer = manifest.layers[0].digest
    path = running_registry.storage / "docker/registry/v2/blobs/sha256" / layer.hex[:2] / layer.hex / "data"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with pytest.raises(RegistryError, match="hash"), Registry(pushed.repository).blob(manifest.layers[0]):
            pass
    finally:
        path.write_bytes(content)


def test_a_login_is_needed_and_used(
    locked_registry: lab.RunningRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS with a certificate we trust, and the login of config.json."""
    assert locked_registry.certificate is not None
    repository = Repository(locked_registry.repository())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(locked_registry.certificate.certificate))
    monkeypatch.setenv("DOCKER_CONFIG", str(lab.docker_config(tmp_path / "none")))
    with pytest.raises(RegistryError, match="401") as caught:
        Registry(repository).ping()
    assert caught.value.hint == f"docker login {repository.host}"
    config = lab.docker_config(tmp_path / "docker", (repository.host, lab.Login()))
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    Registry(repository).ping()
    assert Registry(repository).manifest(repository.tagged("1")) is None


def test_a_certificate_that_nobody_vouches_for_is_refused(locked_registry: lab.RunningRegistry) -> None:
    """Not even on loopback is an untrusted certificate passed over, or plain HTTP tried instead."""
    with pytest.raises(RegistryUnreachable, match="does not trust") as caught:
        Registry(Repository(locked_registry.repository())).ping()
    assert "RELEASE_REGISTRY_CA" in caught.value.hint
    assert f"certs.d/{locked_registry.host}/ca.crt" in caught.value.hint
