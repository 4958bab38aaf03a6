"""The bytes of an image are looked for on the engine, then in the registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from release.deploy.core.image_location import ImageLocation, locate
from release.deploy.planning.preflight import refuse
from release.errors import TargetUnavailable
from release.images.registry import OCI_MANIFEST
from release.reference import Digest
from tests.unit.deploy.fakes import FakeEngine, digest, release, stored
from tests.unit.images.fake_registry import FakeRegistry, serving

BASE, OWN = digest("base"), digest("own")


def test_an_image_on_the_engine_is_found_without_asking_a_registry() -> None:
    """So a rollback works while the registry is down: this one has an address that nobody listens on."""
    target = release()
    image = target.body.image.model_copy(update={"repository": "127.0.0.1:1/api"})
    engine = FakeEngine(images=(stored(Digest(image.digest)),))
    assert locate(engine, image).where == "engine"


def test_without_a_registry_an_image_that_the_engine_lacks_is_nowhere() -> None:
    """The engine's own store was the registry."""
    found = locate(FakeEngine(), release().body.image)
    assert found.where == "nowhere"
    assert "there is no other place" in found.problem


def test_a_registry_that_does_not_answer_is_a_finding_and_no_crash() -> None:
    """It is told together with everything else."""
    image = release().body.image.model_copy(update={"repository": "127.0.0.1:1/api"})
    found = locate(FakeEngine(), image)
    assert found.where == "nowhere"
    assert "127.0.0.1:1" in found.problem


def test_what_a_registry_would_give_is_told_with_its_layers() -> None:
    """Its config names them, uncompressed; that it is asked is said."""
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [str(BASE)]}}).encode()
    layer, told = b"a layer", list[str]()
    with serving(FakeRegistry()) as registry:
        registry.blobs = {str(Digest.of(blob)): blob for blob in (config, layer)}
        manifest = registry.add(manifest_of(config, layer))
        image = release().body.image.model_copy(
            update={"repository": registry.repository.text, "digest": str(manifest)}
        )
        found = locate(FakeEngine(), image, told.append)
    assert found == ImageLocation(where="registry", diff_ids=(BASE,))
    assert told == [f"asking the registry {registry.host} for the image"]


def manifest_of(config: bytes, layer: bytes) -> bytes:
    def descriptor(blob: bytes, kind: str) -> dict[str, object]:
        return {"mediaType": kind, "digest": str(Digest.of(blob)), "size": len(blob)}

    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar+gzip")],
        }
    ).encode()


def test_a_registry_that_wants_a_login_says_so_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The bytes may well be there: no copy has to be found, and nothing built again."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving(FakeRegistry(auth="basic")) as registry:
        image = release().body.image.model_copy(update={"repository": registry.repository.text})
        found = locate(FakeEngine(), image)
    with pytest.raises(TargetUnavailable) as caught:
        refuse("deploy", found, [], None)
    assert caught.value.hint.startswith(f"docker login {registry.host}; or else ")
