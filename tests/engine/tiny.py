"""Tiny images without a build: two documents and a layer, loaded onto a base that the engine has.

A build leaves a record of itself, which BuildKit keeps for two days (buildkitd.toml, `[history]`), and every
container that is removed afterwards waits while the engine's store walks over all of them.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from release.images.engine import Engine
from release.images.layout import read_layout
from release.reference import Digest, Reference
from tests.engine import lab

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, kw_only=True)
class TinyImage:
    """A tiny image: its id and its documents' digests."""

    id: Digest
    config: Digest
    layers: tuple[Digest, ...]
    media_type: str
    size: int
    """Of the manifest, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Documents:
    """What an image is: its manifest, its config, and the layer that is its own."""

    manifest: bytes
    config: bytes
    layer: bytes

    @property
    def image(self) -> TinyImage:
        """By its digests."""
        return TinyImage(
            id=Digest.of(self.manifest),
            config=Digest.of(self.config),
            layers=tuple(Digest(layer["digest"]) for layer in json.loads(self.manifest)["layers"]),
            media_type=MANIFEST,
            size=len(self.manifest),
        )


def documents(
    config: Mapping[str, Any], tar: bytes, *, below: tuple[Mapping[str, Any], ...] = ()
) -> Documents:
    """An image of this config and layer (OCI Image Specification 1.1, "Image Manifest").

    Args:
        config: the document, without this layer.
        tar: the layer, uncompressed.
        below: descriptors of the layers under it, whose ids the config has.
    """
    ids = (*config["rootfs"]["diff_ids"], str(Digest.of(tar)))
    written = json.dumps({**config, "rootfs": {"type": "layers", "diff_ids": ids}}).encode()
    layer = gzip.compress(tar, mtime=0)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(_CONFIG, written),
        "layers": [*below, _descriptor(_LAYER, layer)],
    }
    return Documents(manifest=json.dumps(manifest).encode(), config=written, layer=layer)


def on_small_base(engine: Engine, *, files: Mapping[str, str], settings: Mapping[str, Any]) -> Documents:
    """An image that adds files to the small base, and settings to the base's own (`Env` is added to).

    Its layer is like no other. An engine takes an equal layer that it has already; another test that removes
    its image in this moment would take that layer away.
    """
    below, base = _small_base(engine)
    own = {**base["config"], **settings, "Env": [*base["config"]["Env"], *settings.get("Env", ())]}
    return documents(
        {**base, "config": own, "history": []}, _tar({"own": lab.unique(), **files}), below=below
    )


def load(engine: Engine, name: str, made: Documents) -> None:
    """Give it to the engine under a name, as an image layout with the layers that it has left out."""
    index = {
        "schemaVersion": 2,
        "manifests": [
            {**_descriptor(MANIFEST, made.manifest), "annotations": {"io.containerd.image.name": name}}
        ],
    }
    blobs = {f"blobs/sha256/{Digest.of(blob).hex}": blob for blob in (made.manifest, made.config, made.layer)}
    layout = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode()}
    subprocess.run(
        ["docker", "load", "--quiet"],
        env={**os.environ, **engine.command_environment()},
        input=_tar({**layout, **blobs}),
        check=True,
        capture_output=True,
    )
    found = engine.inspect(Reference.parse(name))
    assert found is not None
    assert found.id == made.image.id


@functools.cache
def _small_base(engine: Engine) -> tuple[tuple[Mapping[str, Any], ...], Mapping[str, Any]]:
    """The descriptors of the small base's layers, and its config."""
    stored = engine.inspect(Reference.parse(lab.SMALL_IMAGE))
    assert stored is not None, "lab.small_image() makes it"
    with engine.exported(stored.id) as stream:
        read = read_layout(stream).documents
    manifest = json.loads(read[stored.id])
    return tuple(manifest["layers"]), json.loads(read[Digest(manifest["config"]["digest"])])


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def _tar(files: Mapping[str, str | bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            written = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(written), 0o644
            tar.addfile(member, io.BytesIO(written))
    return archive.getvalue()
